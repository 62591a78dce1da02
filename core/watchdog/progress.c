/* SPDX-License-Identifier: MIT
 *
 * For the watchdog: asks the kernel what is left in a descriptor, and whether anybody has read it
 * or written to it since it was last asked. Nothing is read, written or changed.
 *
 * How much the answers are worth depends on the descriptor (enum readyq__evidence). A TCP socket
 * counts its bytes. For others only the amount that is waiting is known, and that may be the same
 * twice because as much has arrived as was read: a queue that may be full proves nothing. The
 * process's own count of calls distinguishes the two: Linux counts read(2) and write(2), but not
 * recv(2) and send(2); macOS and the BSDs count what is sent to sockets and received from them,
 * with any call (sosend, soreceive: ru_msgsnd, ru_msgrcv), and nothing else.
 */
#include "internal.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#if READYQ__HAS_EPOLL
#include <linux/sockios.h>
#else
#include <sys/resource.h>
#endif

/* ------------------------------------------------------------------ what the kernel can tell */

static int get_option(int fd, int level, int option)
{
    int value = 0;
    socklen_t length = sizeof value;

    return getsockopt(fd, level, option, &value, &length) == 0 ? value : 0;
}

#if READYQ__HAS_EPOLL
/* linux/tcp.h and netinet/tcp.h cannot both be included, and the latter lacks the counts: the
 * offsets are those of struct tcp_info, which only grows (bytes_acked and bytes_received: Linux
 * 4.1). */
enum { INFO_BACKLOG = 24, INFO_ACKED = 120, INFO_RECEIVED = 128, INFO_SIZE = 136, GET_INFO = 11 };
enum { MEMORY_RECEIVED = 0, MEMORY_VALUES = 9, GET_MEMORY = 55 }; /* SO_MEMINFO: Linux 4.12 */

/* What the kernel does not fill in is 0. */
static void get_tcp_info(int fd, unsigned char info[INFO_SIZE])
{
    socklen_t length = INFO_SIZE;

    memset(info, 0, INFO_SIZE);
    getsockopt(fd, IPPROTO_TCP, GET_INFO, info, &length);
}

static uint64_t get_field(const unsigned char info[INFO_SIZE], size_t at)
{
    uint64_t value;

    memcpy(&value, info + at, sizeof value);
    return value;
}

static int64_t count_backlog(int fd)
{
    unsigned char info[INFO_SIZE];
    uint32_t backlog;

    get_tcp_info(fd, info);
    memcpy(&backlog, info + INFO_BACKLOG, sizeof backlog);
    return backlog;
}

/* Includes the buffers, so that each of several datagrams counts. */
static int64_t count_received(int fd)
{
    uint32_t memory[MEMORY_VALUES] = {0};
    socklen_t length = sizeof memory;

    getsockopt(fd, SOL_SOCKET, GET_MEMORY, memory, &length);
    return memory[MEMORY_RECEIVED];
}

static int64_t count_unsent(int fd)
{
    int unsent = 0;

    ioctl(fd, SIOCOUTQ, &unsent);
    return unsent;
}

static void ask_tcp(int fd, struct readyq__sample *sample)
{
    unsigned char info[INFO_SIZE];

    get_tcp_info(fd, info);
    sample->done = get_field(info, INFO_RECEIVED) - (uint64_t)sample->unread +
                   get_field(info, INFO_ACKED) + (uint64_t)count_unsent(fd);
}

static bool is_error_pending(const struct pollfd *polled)
{
    return polled->revents & POLLERR;
}

/* Those that are consumed by read(2); others, such as a queue's descriptor, are not. */
static bool is_read_by_calls(int fd)
{
    static const char *const names[] = {"[eventfd]", "[timerfd]", "[signalfd]", "inotify",
                                        "[pidfd]"};
    char text[64];

    readyq_describe(fd, text, sizeof text);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(text, names[i]) == 0)
            return true;
    return false;
}

bool readyq__count_calls(struct readyq__calls *calls)
{
    unsigned long long reads = 0, writes = 0;
    char line[64];
    FILE *file = fopen("/proc/self/io", "re");
    int found = 0;

    if (file == NULL)
        return false;
    while (fgets(line, sizeof line, file) != NULL)
        found += sscanf(line, "syscr: %llu", &reads) + sscanf(line, "syscw: %llu", &writes);
    fclose(file);
    *calls = (struct readyq__calls){reads, writes};
    return found == 2;
}

/* A local datagram socket does not report how many datagrams wait in it. */
static enum readyq__evidence judge_socket(int family, int type, bool listens)
{
    const bool internet = family == AF_INET || family == AF_INET6;

    if (listens)
        return internet ? READYQ__SAMPLES : READYQ__BLIND;
    if (internet && type == SOCK_STREAM)
        return READYQ__EXACT;
    return family == AF_UNIX && type == SOCK_DGRAM ? READYQ__BLIND : READYQ__SAMPLES;
}

static enum readyq__evidence judge_other(int fd, const struct stat *file)
{
    return S_ISFIFO(file->st_mode) || S_ISREG(file->st_mode) || is_read_by_calls(fd) ||
                   (S_ISCHR(file->st_mode) && isatty(fd))
               ? READYQ__CALLS
               : READYQ__BLIND;
}

/* The other end of a pipe is counted here as well. */
static bool shows_writes(bool is_socket)
{
    (void)is_socket;
    return true;
}
#else
static void ask_tcp(int fd, struct readyq__sample *sample)
{
    (void)fd, (void)sample;
}

static int64_t count_backlog(int fd)
{
    (void)fd;
    return 0;
}

static int64_t count_received(int fd)
{
    (void)fd;
    return 0;
}

/* Their poll(2) does not report POLLERR for a socket, but calls it readable and writable (sopoll,
 * soo_poll). Looking for an error counts as a call if there is data instead. */
static bool is_error_pending(const struct pollfd *polled)
{
    return (polled->revents & POLLIN) && readyq__is_error_pending(polled->fd);
}

/* sendfile(2) is not counted. */
static int64_t count_unsent(int fd)
{
    int unsent = 0;

#if defined(SO_NWRITE)
    unsent = get_option(fd, SOL_SOCKET, SO_NWRITE);
#elif defined(FIONWRITE)
    ioctl(fd, FIONWRITE, &unsent);
#else
    (void)fd;
#endif
    return unsent;
}

bool readyq__count_calls(struct readyq__calls *calls)
{
    struct rusage usage = {0};

    getrusage(RUSAGE_SELF, &usage);
    *calls = (struct readyq__calls){(uint64_t)usage.ru_msgrcv, (uint64_t)usage.ru_msgsnd};
    return true;
}

/* These kernels count neither calls to accept(2) nor the connections that wait for it. */
static enum readyq__evidence judge_socket(int family, int type, bool listens)
{
    (void)family, (void)type;
    return listens ? READYQ__BLIND : READYQ__CALLS;
}

static enum readyq__evidence judge_other(int fd, const struct stat *file)
{
    return S_ISFIFO(file->st_mode) || S_ISREG(file->st_mode) ||
                   (S_ISCHR(file->st_mode) && isatty(fd))
               ? READYQ__SAMPLES
               : READYQ__BLIND;
}

static bool shows_writes(bool is_socket)
{
    return is_socket;
}
#endif

/* ------------------------------------------------------------------ the kinds of descriptors */

static int get_family(int fd)
{
    struct sockaddr_storage here = {0};
    socklen_t length = sizeof here;

    getsockname(fd, (void *)&here, &length);
    return here.ss_family;
}

struct readyq__subject readyq__examine(int fd)
{
    struct readyq__subject subject = {.evidence = READYQ__BLIND};
    struct stat file = {0};

    fstat(fd, &file);
    subject.is_socket = S_ISSOCK(file.st_mode);
    subject.is_file = S_ISREG(file.st_mode);
    subject.shows_writes = shows_writes(subject.is_socket);
    if (subject.is_socket) {
        subject.listens = get_option(fd, SOL_SOCKET, SO_ACCEPTCONN) != 0;
        subject.evidence =
            judge_socket(get_family(fd), get_option(fd, SOL_SOCKET, SO_TYPE), subject.listens);
    } else {
        subject.evidence = judge_other(fd, &file);
    }
    return subject;
}

/* For a listening socket, `unread` is how many connections are waiting. */
void readyq__take_sample(int fd, const struct readyq__subject *subject,
                         struct readyq__sample *sample)
{
    int unread = 0;

    *sample = (struct readyq__sample){0};
    if (subject->listens)
        sample->unread = sample->left = count_backlog(fd);
    else
        sample->unread = ioctl(fd, FIONREAD, &unread) == 0 ? unread : -1;
    if (subject->evidence == READYQ__EXACT) {
        ask_tcp(fd, sample);
    } else if (subject->is_socket && !subject->listens) {
        sample->left = sample->unread + count_received(fd);
        sample->done = (uint64_t)count_unsent(fd);
    } else if (subject->is_file) {
        sample->done = (uint64_t)lseek(fd, 0, SEEK_CUR);
        sample->left = 0;
    } else if (!subject->listens) {
        sample->left = sample->unread;
    }
}

bool readyq__has_progress(const struct readyq__sample *before, const struct readyq__sample *after)
{
    return after->done != before->done || after->left < before->left;
}

uint32_t readyq__ask_ready(int fd, uint32_t asked)
{
    struct pollfd one = {.fd = fd, .events = POLLIN | POLLOUT | POLLPRI};
    uint32_t bits = 0;

    if (poll(&one, 1, 0) <= 0)
        return 0;
    if ((asked & READYQ_ERROR) && is_error_pending(&one))
        return asked;
    if (one.revents & (POLLIN | POLLHUP | POLLERR))
        bits |= READYQ_READ;
    if (one.revents & (POLLOUT | POLLHUP | POLLERR))
        bits |= READYQ_WRITE;
    if (one.revents & (POLLPRI | POLLERR))
        bits |= READYQ_PRIORITY;
    return bits & asked;
}

/* Whether all errors are queued, instead of only the last one being kept. */
bool readyq__queues_errors(int fd)
{
#if READYQ__HAS_EPOLL
    return get_option(fd, IPPROTO_IP, IP_RECVERR) != 0 ||
           get_option(fd, IPPROTO_IPV6, IPV6_RECVERR) != 0;
#else
    (void)fd;
    return false;
#endif
}

bool readyq__are_descriptors_left(void)
{
    const int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    const bool left = fd >= 0 || (errno != EMFILE && errno != ENFILE);

    if (fd >= 0)
        close(fd);
    return left;
}

bool readyq__identify(int fd, struct readyq__identity *identity)
{
    struct stat file;

    if (fstat(fd, &file) < 0)
        return false;
    *identity = (struct readyq__identity){(uint64_t)file.st_dev, (uint64_t)file.st_ino};
    return true;
}

/* A sender may fill a full queue again at once, so that samples of it do not differ. For UDP,
 * FIONREAD reports only one datagram: the memory that the queue takes is used instead. */
bool readyq__has_little_unread(int fd)
{
    int unread = 0;

    return count_received(fd) <= 4096 && ioctl(fd, FIONREAD, &unread) == 0 && unread <= 64;
}
