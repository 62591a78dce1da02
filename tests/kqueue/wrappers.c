/* SPDX-License-Identifier: MIT
 *
 * What ends registrations: the calls that close numbers, and fork. Calls inside the C library do
 * not come here; those that close a file for the program are wrapped too. A child of vfork runs in
 * its parent's memory, and must not change it. And what a BSD shows of its descriptors otherwise.
 */
#include "knotes.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static pid_t owner;

bool is_child(void)
{
    const bool child = owner != getpid();

    owner = getpid();
    return child;
}

/* Whether there is anything to drop. */
static bool is_ours(void)
{
    return owner == getpid() && !LIST_EMPTY(&kqueues);
}

/* ------------------------------------------------------------------ fork */

static void before_fork(void)
{
    lock();
}

static void in_parent(void)
{
    unlock();
}

static void in_child(void)
{
    owner = getpid();
    forget_all();
    unlock();
}

/* Its handler runs first in a child: no other has been registered yet. */
__attribute__((constructor)) static void start(void)
{
    owner = getpid();
    pthread_atfork(before_fork, in_parent, in_child);
}

/* glibc's fork() calls another _Fork(). */
pid_t _Fork(void)
{
    pid_t (*real)(void) = (pid_t(*)(void))dlsym(RTLD_NEXT, "_Fork");
    pid_t pid;

    lock();
    pid = real();
    if (pid == 0) {
        owner = getpid();
        forget_all();
    }
    unlock();
    return pid;
}

/* ------------------------------------------------------------------ closing */

static int close_now(int fd)
{
    int result, error;

    lock();
    drop_numbers((unsigned)fd, (unsigned)fd);
    result = (int)syscall(SYS_close, fd);
    error = errno;
    unlock();
    errno = error;
    return result;
}

int close(int fd)
{
    return fd >= 0 && is_ours() ? close_now(fd) : (int)syscall(SYS_close, fd);
}

/* The numbers of what `from` is, after the system call that made `to`. */
static int note_duplicate(int from, int to)
{
    struct kqueue *kq = kqueue_of(from);

    if (to >= 0 && kq != NULL)
        add_number(kq, to);
    return to;
}

int dup3(int from, int to, int flags)
{
    int result, error;

    if (from == to || to < 0 || !is_ours() || syscall(SYS_fcntl, from, F_GETFD) < 0)
        return (int)syscall(SYS_dup3, from, to, flags);
    lock();
    drop_numbers((unsigned)to, (unsigned)to);
    result = note_duplicate(from, (int)syscall(SYS_dup3, from, to, flags));
    error = errno;
    unlock();
    errno = error;
    return result;
}

int dup2(int from, int to)
{
    if (from == to)
        return syscall(SYS_fcntl, from, F_GETFD) < 0 ? -1 : to;
    return dup3(from, to, 0);
}

static int duplicate(int from, int command, long least)
{
    int result, error;

    if (!is_ours())
        return (int)syscall(SYS_fcntl, from, command, least);
    lock();
    result = note_duplicate(from, (int)syscall(SYS_fcntl, from, command, least));
    error = errno;
    unlock();
    errno = error;
    return result;
}

int dup(int from)
{
    return duplicate(from, F_DUPFD, 0);
}

/* A pipe of two directions. */
static int get_flags(int fd)
{
    const int flags = (int)syscall(SYS_fcntl, fd, F_GETFL);

    if (flags < 0 || (flags & O_ACCMODE) == O_RDWR || !is_pipe(fd) ||
        kqueue_kernel()->wrong_end != BOTH_WAYS)
        return flags;
    return (flags & ~O_ACCMODE) | O_RDWR;
}

int fcntl(int fd, int command, ...)
{
    va_list arguments;
    long argument;

    va_start(arguments, command);
    argument = va_arg(arguments, long);
    va_end(arguments);
    if (command == F_DUPFD || command == F_DUPFD_CLOEXEC)
        return duplicate(fd, command, argument & 0xffffffff);
    if (command == F_GETFL)
        return get_flags(fd);
    return (int)syscall(SYS_fcntl, fd, command, argument);
}

int fcntl64(int fd, int command, ...) __attribute__((alias("fcntl")));

int close_range(unsigned first, unsigned last, int flags)
{
    const bool closes = !(flags & 4); /* CLOSE_RANGE_CLOEXEC */
    int result, error;

    if (!closes || first > last || !is_ours())
        return (int)syscall(SYS_close_range, first, last, flags);
    lock();
    drop_numbers(first, last);
    result = (int)syscall(SYS_close_range, first, last, flags);
    error = errno;
    unlock();
    errno = error;
    return result;
}

static void drop_number(int fd)
{
    if (fd < 0 || !is_ours())
        return;
    lock();
    drop_numbers((unsigned)fd, (unsigned)fd);
    unlock();
}

#define REAL(name) ((int (*)(void *))dlsym(RTLD_NEXT, name))

int fclose(FILE *file)
{
    drop_number(fileno(file));
    return REAL("fclose")(file);
}

int pclose(FILE *file)
{
    drop_number(fileno(file));
    return REAL("pclose")(file);
}

int closedir(DIR *directory)
{
    drop_number(dirfd(directory));
    return REAL("closedir")(directory);
}

/* ------------------------------------------------------------------ files */

static bool is_kqueue(int fd)
{
    bool found;

    if (!is_ours())
        return false;
    lock();
    found = kqueue_of(fd) != NULL;
    unlock();
    return found;
}

/* A BSD's pipe has no link: pipe_stat(). A kqueue looks like one: kqueue_stat(). */
int fstat(int fd, struct stat *file)
{
    const int result = stat_file(fd, file);

    if (result == 0 && is_kqueue(fd)) {
        file->st_mode = S_IFIFO;
        file->st_nlink = 0;
    } else if (result == 0 && S_ISFIFO(file->st_mode) && is_pipe(fd)) {
        file->st_nlink = 0;
    }
    return result;
}

/* ------------------------------------------------------------------ sockets */

static bool is_socket(int fd)
{
    struct stat file;

    return stat_file(fd, &file) == 0 && S_ISSOCK(file.st_mode);
}

/* A BSD's poll(2) has no POLLERR for a socket with so_error, which is readable and writable, and no
 * POLLHUP for one that was never connected: sopoll, soo_poll. */
static short revents_of(const struct pollfd *polled)
{
    struct pollfd one = {.fd = polled->fd, .events = POLLRDHUP};
    int type = 0;
    socklen_t size = sizeof type;

    if (!(polled->revents & (POLLERR | POLLHUP)) || !is_socket(polled->fd))
        return polled->revents;
    if (polled->revents & POLLERR)
        return (short)((polled->revents & ~POLLERR) | (polled->events & (POLLIN | POLLOUT)));
    getsockopt(polled->fd, SOL_SOCKET, SO_TYPE, &type, &size);
    ask(&one);
    return type == SOCK_DGRAM || (one.revents & POLLRDHUP) ? polled->revents : 0;
}

int poll(struct pollfd *all, nfds_t n, int timeout)
{
    static int (*real)(struct pollfd *, nfds_t, int);
    int result, found = 0;

    if (real == NULL)
        real = (int (*)(struct pollfd *, nfds_t, int))dlsym(RTLD_NEXT, "poll");
    result = real(all, n, timeout);
    for (nfds_t i = 0; i < n && result > 0; i++) {
        all[i].revents = revents_of(&all[i]);
        found += all[i].revents != 0;
    }
    return result > 0 ? found : result;
}

/* A BSD counts what a process sends to sockets and receives from them, by whatever call: sosend,
 * soreceive. Linux leaves these members of struct rusage 0. */
static atomic_long sent, received;

/* The C library's function by a wrapper that counts. */
#define COUNTED(name, counter, parameters, ...)                                                    \
    ssize_t name parameters                                                                        \
    {                                                                                              \
        static ssize_t(*real) parameters;                                                          \
        ssize_t moved;                                                                             \
                                                                                                   \
        if (real == NULL)                                                                          \
            real = (ssize_t(*) parameters)dlsym(RTLD_NEXT, #name);                                 \
        moved = real(__VA_ARGS__);                                                                 \
        if (moved > 0 && is_socket(fd))                                                            \
            atomic_fetch_add(&(counter), 1);                                                       \
        return moved;                                                                              \
    }

COUNTED(read, received, (int fd, void *bytes, size_t size), fd, bytes, size)
COUNTED(readv, received, (int fd, const struct iovec *parts, int n), fd, parts, n)
COUNTED(recvmsg, received, (int fd, struct msghdr *message, int flags), fd, message, flags)
COUNTED(recvfrom, received,
        (int fd, void *restrict bytes, size_t size, int flags, struct sockaddr *restrict from,
         socklen_t *restrict length),
        fd, bytes, size, flags, from, length)
COUNTED(write, sent, (int fd, const void *bytes, size_t size), fd, bytes, size)
COUNTED(writev, sent, (int fd, const struct iovec *parts, int n), fd, parts, n)
COUNTED(send, sent, (int fd, const void *bytes, size_t size, int flags), fd, bytes, size, flags)
COUNTED(sendmsg, sent, (int fd, const struct msghdr *message, int flags), fd, message, flags)
COUNTED(sendto, sent,
        (int fd, const void *bytes, size_t size, int flags, const struct sockaddr *to,
         socklen_t length),
        fd, bytes, size, flags, to, length)

int getrusage(__rusage_who_t who, struct rusage *usage)
{
    const int result = (int)syscall(SYS_getrusage, who, usage);

    if (result == 0 && who == RUSAGE_SELF) {
        usage->ru_msgsnd = atomic_load(&sent);
        usage->ru_msgrcv = atomic_load(&received);
    }
    return result;
}

/* A BSD returns so_error also to those who only peek, and keeps it then; Linux clears it. */
ssize_t recv(int fd, void *bytes, size_t size, int flags)
{
    struct pollfd one = {.fd = fd, .events = POLLIN};
    int available = 0;

    if ((flags & MSG_PEEK) && ask(&one) && (one.revents & POLLERR) &&
        ioctl(fd, FIONREAD, &available) == 0 && available == 0) {
        errno = (int)error_of(fd);
        return -1;
    }
    return recvfrom(fd, bytes, size, flags, NULL, NULL);
}

/* Linux does not show that a socket was shut for sending only. */
int shutdown(int fd, int how)
{
    const int result = (int)syscall(SYS_shutdown, fd, how);
    const int error = errno;
    struct kqueue *kq;
    struct knote *kn;

    if (result == 0 && how != SHUT_RD && is_ours()) {
        lock();
        note_shutdown(fd);
        LIST_FOREACH(kq, &kqueues, link)
        {
            kn = find_knote(kq, (uintptr_t)fd, EVFILT_WRITE);
            if (kn != NULL && is_ready(kn))
                activate(kn);
        }
        unlock();
    }
    errno = error;
    return result;
}
