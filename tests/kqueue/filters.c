/* SPDX-License-Identifier: MIT
 *
 * The filters: when a knote is ready, and what is reported then. Only asks, by poll(2); what a
 * kernel would see in its own structures and Linux does not show is told where it is used.
 */
#include "knotes.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/timerfd.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define PIPEFS 0x50495045 /* f_type of an unnamed pipe */

#ifndef SO_COOKIE
#define SO_COOKIE 57
#endif

/* ------------------------------------------------------------------ files */

bool ask(struct pollfd *one)
{
    const struct timespec none = {0, 0};

    one->revents = 0;
    return syscall(SYS_ppoll, one, 1, &none, NULL, 8) == 1;
}

int stat_file(int fd, struct stat *file)
{
    return fstatat(fd, "", file, AT_EMPTY_PATH);
}

uint64_t file_of(int fd)
{
    struct stat file;

    if (stat_file(fd, &file) < 0)
        return 0;
    return ((uint64_t)file.st_dev << 40 ^ (uint64_t)file.st_ino << 4) | 1;
}

static bool is_access(int fd, int mode)
{
    const int flags = (int)syscall(SYS_fcntl, fd, F_GETFL) & O_ACCMODE;

    return flags == mode || flags == O_RDWR;
}

#define MASTER makedev(5, 2)

/* By its device; isatty() fails where the other side is gone. */
static bool is_pseudo_terminal(const struct stat *file)
{
    return S_ISCHR(file->st_mode) && (major(file->st_rdev) == 136 || file->st_rdev == MASTER);
}

static bool is_master(int fd)
{
    struct stat file;

    return stat_file(fd, &file) == 0 && S_ISCHR(file.st_mode) && file.st_rdev == MASTER;
}

bool is_pipe(int fd)
{
    struct statfs system;

    return fstatfs(fd, &system) == 0 && system.f_type == PIPEFS;
}

static enum kind kind_of(int fd)
{
    struct stat file;

    if (kqueue_of(fd) != NULL)
        return KQUEUE;
    if (stat_file(fd, &file) < 0)
        return NO_FILE;
    if (S_ISSOCK(file.st_mode))
        return SOCKET;
    if (S_ISFIFO(file.st_mode))
        return is_pipe(fd) ? PIPE : FIFO;
    if (S_ISREG(file.st_mode) || S_ISDIR(file.st_mode))
        return NEVER_BLOCKS;
    if (is_pseudo_terminal(&file) || (S_ISCHR(file.st_mode) && isatty(fd)))
        return TERMINAL;
    return OTHER; /* or NEVER_BLOCKS: epoll will tell */
}

/* ------------------------------------------------------------------ sockets */

/* Which sockets are shut for sending, by what identifies a socket for ever. Linux shows it only
 * when both sides are. */
static uint64_t shut[65536];

static uint64_t cookie_of(int fd)
{
    uint64_t cookie = 0;
    socklen_t size = sizeof cookie;

    getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size);
    return cookie;
}

void note_shutdown(int fd)
{
    const uint64_t cookie = cookie_of(fd);

    shut[cookie % 65536] = cookie;
}

static bool is_shut(int fd)
{
    const uint64_t cookie = cookie_of(fd);

    return cookie != 0 && shut[cookie % 65536] == cookie;
}

static int option_of(int fd, int option)
{
    int value = 0;
    socklen_t size = sizeof value;

    return getsockopt(fd, SOL_SOCKET, option, &value, &size) == 0 ? value : 0;
}

/* so_error. SO_ERROR would clear it, which a kernel's filter does not: so its kind is guessed. Only
 * Linux has one for an AF_UNIX socket that was closed with data in it. */
unsigned error_of(int fd)
{
    struct tcp_info info;
    socklen_t size = sizeof info;

    if (option_of(fd, SO_DOMAIN) == AF_UNIX)
        return 0;
    memset(&info, 0, sizeof info);
    if (option_of(fd, SO_TYPE) != SOCK_STREAM)
        return ECONNREFUSED;
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 && info.tcpi_rtt == 0)
        return ECONNREFUSED;
    return ECONNRESET;
}

static bool end(struct knote *kn, unsigned error)
{
    kn->event.flags |= EV_EOF;
    kn->event.fflags = error;
    return true;
}

static bool is_out_of_band(struct knote *kn, int revents)
{
    if (!(kn->fflags & NOTE_OOB) || !(revents & POLLPRI))
        return false;
    kn->event.fflags |= NOTE_OOB;
    return true;
}

static bool is_socket_ready(struct knote *kn, int revents)
{
    const bool writes = kn->event.filter == EVFILT_WRITE;
    const unsigned error = revents & POLLERR ? error_of(kn->fd) : 0;
    const bool no_more = writes ? is_shut(kn->fd) : (revents & POLLRDHUP) != 0;

    if (kn->event.filter == EVFILT_EXCEPT && is_out_of_band(kn, revents))
        return true;
    if (kn->event.filter == EVFILT_EXCEPT && kqueue_kernel()->except == ONLY_OOB)
        return false;
    if (option_of(kn->fd, SO_ACCEPTCONN))
        return !writes && (revents & POLLIN);
    if ((revents & POLLHUP) && !(revents & (POLLRDHUP | POLLERR)) &&
        option_of(kn->fd, SO_TYPE) != SOCK_DGRAM)
        return false; /* never connected: Linux calls it hung up */
    if (no_more || (revents & POLLHUP))
        return end(kn, error);
    return error != 0 || (revents & (writes ? POLLOUT : POLLIN));
}

/* ------------------------------------------------------------------ pipes and terminals */

static bool is_pipe_ready(struct knote *kn, int revents)
{
    const struct kernel *kernel = kqueue_kernel();
    const bool writes = kn->event.filter == EVFILT_WRITE;
    const bool over = (revents & (POLLERR | POLLHUP)) != 0;
    const bool right_end = is_access(kn->fd, writes ? O_WRONLY : O_RDONLY);

    if (kn->kind == FIFO && !right_end && kernel->fifo_wrong_end == FIFO_SILENT)
        return false;
    if (kn->kind == FIFO && writes && kernel->fifo_write_eof)
        return end(kn, 0);
    if (over && !(kn->kind == FIFO && kernel->fifo_never_eof))
        return end(kn, 0);
    if (kn->kind == FIFO && !right_end)
        return writes || kn->event.data > 0;
    if (!right_end)
        return writes && kernel->wrong_end == BOTH_WAYS;
    return revents & (writes ? POLLOUT : POLLIN);
}

static bool is_terminal_ready(struct knote *kn, int revents)
{
    const bool writes = kn->event.filter == EVFILT_WRITE;

    if (!(revents & (POLLHUP | POLLERR)))
        return revents & (writes ? POLLOUT : POLLIN);
    if (kqueue_kernel()->tty_end == TTY_NO_END)
        return !writes && kn->event.data > 0;
    if (writes && kqueue_kernel()->tty_end == TTY_READ_ENDS)
        return !is_master(kn->fd);
    return end(kn, 0);
}

/* ------------------------------------------------------------------ files, kqueues, processes */

static bool is_file_ready(const struct knote *kn)
{
    struct stat file;

    if (kn->event.filter == EVFILT_WRITE || stat_file(kn->fd, &file) < 0)
        return true;
    return !S_ISREG(file.st_mode) || lseek(kn->fd, 0, SEEK_CUR) != file.st_size;
}

static bool is_kqueue_ready(struct knote *kn)
{
    if (!is_open(kn->inner))
        return false;
    if (!kn->inner->notifying)
        pump(kn->inner);
    kn->event.data = kn->inner->count;
    return kn->inner->count > 0;
}

static bool has_ended(struct knote *kn)
{
    siginfo_t info;
    struct pollfd one = {.fd = kn->fd, .events = POLLIN};

    if (!ask(&one))
        return false;
    memset(&info, 0, sizeof info);
    kn->event.flags |= EV_EOF | EV_ONESHOT;
    kn->event.fflags = NOTE_EXIT;
    if (syscall(SYS_waitid, 3 /* P_PIDFD */, kn->fd, &info, WEXITED | WNOHANG | WNOWAIT, NULL) == 0)
        kn->event.data = info.si_code == CLD_EXITED ? info.si_status << 8 : info.si_status;
    return true;
}

static bool has_expired(struct knote *kn)
{
    uint64_t times;

    if (syscall(SYS_read, kn->fd, &times, sizeof times) == (long)sizeof times)
        kn->event.data += (int64_t)times;
    return kn->event.data > 0;
}

/* ------------------------------------------------------------------ all */

bool is_ready(struct knote *kn)
{
    struct pollfd one = {.fd = kn->fd, .events = POLLIN | POLLOUT | POLLPRI | POLLRDHUP};
    int available = 0;

    if (kn->event.filter == EVFILT_USER)
        return kn->triggered;
    if (kn->event.filter == EVFILT_TIMER)
        return has_expired(kn);
    if (kn->event.filter == EVFILT_PROC)
        return has_ended(kn);
    if (kn->kind == KQUEUE)
        return is_kqueue_ready(kn);
    ask(&one);
    if (one.revents & POLLNVAL)
        return false;
    kn->event.flags &= (unsigned short)~EV_EOF;
    /* Of a pipe that is written to, Linux would count what the other end has. */
    if (kn->event.filter == EVFILT_READ && (kn->kind != PIPE || is_access(kn->fd, O_RDONLY)) &&
        ioctl(kn->fd, FIONREAD, &available) == 0)
        kn->event.data = available;
    switch (kn->kind) {
    case SOCKET: return is_socket_ready(kn, one.revents);
    case PIPE:
    case FIFO: return is_pipe_ready(kn, one.revents);
    case TERMINAL: return is_terminal_ready(kn, one.revents);
    case NEVER_BLOCKS: return is_file_ready(kn);
    default: return one.revents & (kn->event.filter == EVFILT_WRITE ? POLLOUT : POLLIN);
    }
}

/* ------------------------------------------------------------------ attaching */

static int attach_pipe(struct knote *kn)
{
    const struct kernel *kernel = kqueue_kernel();
    const bool writes = kn->event.filter == EVFILT_WRITE;
    struct pollfd one = {.fd = kn->fd};
    const bool right_end = is_access(kn->fd, writes ? O_WRONLY : O_RDONLY);

    if (kn->kind == FIFO)
        return !right_end && kernel->fifo_wrong_end == FIFO_REFUSED ? EINVAL : 0;
    if (!right_end && kernel->wrong_end == REFUSED)
        return EINVAL;
    if (writes && ask(&one) && (one.revents & (POLLERR | POLLHUP))) /* there is no other end */
        return kernel->write_without_reader;
    return 0;
}

/* xnu: the levels are a ceiling that keeps kqueues from watching each other. */
static int attach_level(struct kqueue *outer, struct kqueue *inner, int levels)
{
    if (outer->level > 0 && outer->level < inner->level)
        return EINVAL;
    if (inner->level + 1 > levels)
        return EINVAL;
    if (outer->level < inner->level + 1)
        outer->level = inner->level + 1;
    if (outer->level < 2)
        outer->level = 2;
    if (inner->level == 0)
        inner->level = 1;
    return 0;
}

static int attach_kqueue(struct knote *kn)
{
    const struct kernel *kernel = kqueue_kernel();
    struct kqueue *inner = kqueue_of(kn->fd);
    int error = 0;

    if (kn->event.filter != EVFILT_READ)
        return kernel->no_such_filter;
    if (inner == kn->kq && kernel->refuses_itself)
        return EINVAL;
    if (kernel->levels > 0)
        error = attach_level(kn->kq, inner, kernel->levels);
    if (error == 0) {
        kn->inner = inner;
        inner->watchers++;
    }
    return error;
}

static int attach_file(struct knote *kn)
{
    const struct kernel *kernel = kqueue_kernel();
    struct stat file = {0};

    kn->fd = (int)kn->event.ident;
    kn->kind = kind_of(kn->fd);
    kn->file = file_of(kn->fd);
    if (kn->event.filter == EVFILT_EXCEPT && kernel->except == MISSING)
        return EINVAL;
    if (kn->event.filter == EVFILT_EXCEPT && kn->kind != SOCKET)
        return kernel->no_such_filter;
    if (kn->kind == KQUEUE)
        return attach_kqueue(kn);
    if (kn->kind == PIPE || kn->kind == FIFO)
        return attach_pipe(kn);
    stat_file(kn->fd, &file);
    if (kernel->device_needs_lowat && S_ISCHR(file.st_mode) && kn->kind != TERMINAL &&
        (!(kn->fflags & NOTE_LOWAT) || kn->data != 1))
        return EINVAL;
    return 0;
}

/* Linux shows that a process is exiting when its first thread has ended. */
static bool is_exiting(pid_t pid)
{
    char text[512] = "", *name_end;
    int fd;

    snprintf(text, sizeof text, "/proc/%d/stat", (int)pid);
    fd = (int)syscall(SYS_openat, AT_FDCWD, text, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || syscall(SYS_read, fd, text, sizeof text - 1) < 0)
        text[0] = 0;
    if (fd >= 0)
        syscall(SYS_close, fd);
    name_end = strrchr(text, ')');
    return name_end == NULL || name_end[2] == 'Z' || name_end[2] == 'X';
}

static int attach_process(struct knote *kn)
{
    const pid_t pid = (pid_t)kn->event.ident;
    int error = 0;

    raise_limit();
    kn->fd = raise_number((int)syscall(SYS_pidfd_open, pid, 0));
    if (kn->fd < 0)
        error = errno == EINVAL || errno == ENOENT ? ESRCH : errno; /* a thread */
    else if (is_exiting(pid) && !kqueue_kernel()->zombies)
        error = ESRCH;
    restore_limit();
    if (error != 0)
        return error;
    kn->event.flags |= EV_CLEAR;
    return 0;
}

static int attach_timer(struct knote *kn)
{
    struct itimerspec time = {0};
    int64_t unit = 1000000;

    raise_limit();
    kn->fd = raise_number(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
    restore_limit();
    if (kn->fd < 0)
        return ENOMEM;
    if (kn->fflags & NOTE_SECONDS)
        unit = 1000000000;
    else if (kn->fflags & NOTE_USECONDS)
        unit = 1000;
    else if (kn->fflags & NOTE_NSECONDS)
        unit = 1;
    time.it_value.tv_sec = (time_t)(kn->data / (1000000000 / unit));
    time.it_value.tv_nsec = (long)(kn->data % (1000000000 / unit) * unit);
    if (kn->data <= 0)
        time.it_value.tv_nsec = 1;
    if (!(kn->event.flags & EV_ONESHOT))
        time.it_interval = time.it_value;
    kn->event.flags |= EV_CLEAR;
    timerfd_settime(kn->fd, 0, &time, NULL);
    return 0;
}

int attach(struct knote *kn)
{
    switch (kn->event.filter) {
    case EVFILT_READ:
    case EVFILT_WRITE:
    case EVFILT_EXCEPT: return attach_file(kn);
    case EVFILT_PROC: return attach_process(kn);
    case EVFILT_TIMER: return attach_timer(kn);
    case EVFILT_USER: kn->triggered = (kn->fflags & NOTE_TRIGGER) != 0; return 0;
    default: return EINVAL;
    }
}

void detach(struct knote *kn)
{
    if (kn->inner != NULL)
        kn->inner->watchers--;
    if ((kn->event.filter == EVFILT_PROC || kn->event.filter == EVFILT_TIMER) && kn->fd >= 0)
        syscall(SYS_close, kn->fd);
}
