/* SPDX-License-Identifier: MIT
 *
 * Sockets, processes, timers and triggers in a kqueue.
 */
#include "cases.h"

#include <netinet/in.h>

static void shutdown_by_oneself_is_the_end_of_writing(void)
{
    int s[2], kq = kqueue();
    struct kevent event;

    open_sockets(s);
    CHECK_IS(change(kq, s[0], EVFILT_WRITE, EV_ADD), 0);
    CHECK_IS(take(kq, &event), 1);
    CHECK_IS(event.flags & EV_EOF, 0);
    CHECK_IS(shutdown(s[0], SHUT_WR), 0);
    CHECK_IS(take(kq, &event), 1);
    CHECK_IS(event.flags & EV_EOF, EV_EOF);
    CHECK_IS(event.fflags, 0);
    close_pair(s);
    close(kq);
}

static void shutdown_by_the_peer_is_the_end_of_reading(void)
{
    int s[2], kq = kqueue();
    struct kevent event;

    open_sockets(s);
    CHECK_IS(change(kq, s[0], EVFILT_READ, EV_ADD), 0);
    put(s[1]);
    CHECK_IS(shutdown(s[1], SHUT_WR), 0);
    CHECK_IS(take(kq, &event), 1);
    CHECK_IS(event.flags & EV_EOF, EV_EOF);
    CHECK_IS(event.data, 1);
    CHECK_IS(change(kq, s[0], EVFILT_READ, EV_DELETE), 0);
    CHECK_IS(change(kq, s[0], EVFILT_WRITE, EV_ADD), 0);
    CHECK_IS(take(kq, &event), 1);
    CHECK_IS(event.flags & EV_EOF, 0);
    close_pair(s);
    close(kq);
}

static void the_peer_closes(void)
{
    int s[2], kq = kqueue();
    struct kevent event;

    open_sockets(s);
    CHECK_IS(change(kq, s[0], EVFILT_READ, EV_ADD), 0);
    close(s[1]);
    CHECK_IS(take(kq, &event), 1);
    CHECK_IS(event.flags & EV_EOF, EV_EOF);
    CHECK_IS(change(kq, s[0], EVFILT_READ, EV_DELETE), 0);
    CHECK_IS(change(kq, s[0], EVFILT_WRITE, EV_ADD), 0);
    CHECK_IS(take(kq, &event), 1);
    CHECK_IS(event.flags & EV_EOF, EV_EOF);
    close(s[0]);
    close(kq);
}

static void a_socket_that_never_connected_is_silent(void)
{
    int s = socket(AF_INET, SOCK_STREAM, 0), kq = kqueue();

    CHECK_IS(change(kq, s, EVFILT_READ, EV_ADD), 0);
    CHECK_IS(change(kq, s, EVFILT_WRITE, EV_ADD), 0);
    CHECK_IS(count_events(kq), 0);
    close(s);
    close(kq);
}

/* An address of the loopback device at which nobody listens. */
static struct sockaddr_in nobody(int type)
{
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    const int s = socket(AF_INET, type, 0);

    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK_IS(bind(s, (struct sockaddr *)&address, sizeof address), 0);
    CHECK_IS(getsockname(s, (struct sockaddr *)&address, &size), 0);
    close(s);
    return address;
}

static void a_connection_that_is_refused(void)
{
    struct sockaddr_in address = nobody(SOCK_STREAM);
    int error = 0, s = socket(AF_INET, SOCK_STREAM, 0), kq = kqueue();
    socklen_t size = sizeof error;
    struct kevent event;

    fcntl(s, F_SETFL, O_NONBLOCK);
    connect(s, (struct sockaddr *)&address, sizeof address);
    CHECK_IS(change(kq, s, EVFILT_WRITE, EV_ADD), 0);
    for (int i = 0; i < 2; i++) {
        CHECK_IS(take(kq, &event), 1);
        CHECK_IS(event.flags & EV_EOF, EV_EOF);
        CHECK_IS(event.fflags, ECONNREFUSED);
    }
    CHECK_IS(getsockopt(s, SOL_SOCKET, SO_ERROR, &error, &size), 0);
    CHECK_IS(error, ECONNREFUSED);
    close(s);
    close(kq);
}

/* so_error without an end: readable, without a flag; and peeking does not clear it. */
static void a_datagram_that_is_refused(void)
{
    struct sockaddr_in address = nobody(SOCK_DGRAM);
    int s = socket(AF_INET, SOCK_DGRAM, 0), kq = kqueue();
    struct kevent event;
    char byte;

    CHECK_IS(connect(s, (struct sockaddr *)&address, sizeof address), 0);
    CHECK_IS(change(kq, s, EVFILT_READ, EV_ADD), 0);
    CHECK_IS(count_events(kq), 0);
    CHECK_IS(send(s, "x", 1, 0), 1);
    CHECK_IS(take(kq, &event), 1);
    CHECK_IS(event.flags & (EV_EOF | EV_ERROR), 0);
    CHECK_IS(event.data, 0);
    for (int i = 0; i < 2; i++)
        CHECK_IS(recv(s, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 ? errno : 0, ECONNREFUSED);
    CHECK_IS(take(kq, &event), 1);
    CHECK_IS(recv(s, &byte, 1, MSG_DONTWAIT) < 0 ? errno : 0, ECONNREFUSED);
    CHECK_IS(take(kq, &event), 0);
    close(s);
    close(kq);
}

#if defined(EVFILT_EXCEPT)
static void open_connection(int s[2])
{
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    const int listener = socket(AF_INET, SOCK_STREAM, 0);

    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK_IS(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    CHECK_IS(listen(listener, 1), 0);
    CHECK_IS(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    s[0] = socket(AF_INET, SOCK_STREAM, 0);
    CHECK_IS(connect(s[0], (struct sockaddr *)&address, sizeof address), 0);
    s[1] = accept(listener, NULL, NULL);
    close(listener);
}

static void except(void)
{
    int s[2], p[2], kq = kqueue();
    struct kevent event;
    const int missing = per_kernel(EINVAL, EINVAL, EINVAL, EINVAL, 0, 0, 0);

    open_connection(s);
    CHECK_IS(change_it(kq, s[0], EVFILT_EXCEPT, EV_ADD, NOTE_OOB, 0), missing);
    CHECK_IS(count_events(kq), 0);
    put(s[1]);
    CHECK_IS(take(kq, &event), per_kernel(0, 0, 0, 0, 0, 1, 0));
    CHECK_IS(event.fflags & NOTE_OOB, 0);
    get(s[0]);
    CHECK_IS(count_events(kq), 0);
    CHECK_IS(send(s[1], "!", 1, MSG_OOB), 1);
    CHECK_IS(take(kq, &event), missing == 0);
    CHECK_IS(event.fflags & NOTE_OOB, missing == 0 ? NOTE_OOB : 0);
    close_pair(s);
    open_pair(p);
    CHECK_IS(change_it(kq, p[0], EVFILT_EXCEPT, EV_ADD, NOTE_OOB, 0),
             per_kernel(EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EOPNOTSUPP));
    close_pair(p);
    close(kq);
}
#else
static void except(void)
{
}
#endif

/* ------------------------------------------------------------------ processes */

static void the_end_of_a_child(void)
{
    int p[2], kq = kqueue(), status = 0;
    struct kevent event;
    pid_t pid;
    char byte;

    open_pair(p);
    pid = fork();
    if (pid == 0) {
        close(p[1]);
        _exit((int)read(p[0], &byte, 1));
    }
    close(p[0]);
    CHECK_IS(change_it(kq, pid, EVFILT_PROC, EV_ADD, NOTE_EXIT, 5), 0);
    CHECK_IS(count_events(kq), 0);
    close(p[1]);
    CHECK_IS(take_some(kq, &event, 1, 10000), 1);
    CHECK_IS((pid_t)event.ident, pid);
    CHECK_IS(event.fflags & NOTE_EXIT, NOTE_EXIT);
    CHECK_IS((intptr_t)event.udata, 5);
    CHECK_IS(change_it(kq, pid, EVFILT_PROC, EV_DELETE, NOTE_EXIT, 0), ENOENT);
    CHECK_IS(waitpid(pid, &status, 0), pid);
    close(kq);
}

static void a_child_that_has_ended_already(void)
{
    int kq = kqueue();
    struct kevent event;
    siginfo_t info;
    const pid_t pid = fork();
    const int error = per_kernel(0, ESRCH, ESRCH, ESRCH, ESRCH, ESRCH, 0);

    if (pid == 0)
        _exit(0);
    memset(&info, 0, sizeof info);
    CHECK_IS(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    CHECK_IS(change_it(kq, pid, EVFILT_PROC, EV_ADD, NOTE_EXIT, 0), error);
    CHECK_IS(take(kq, &event), error == 0);
    CHECK_IS(waitpid(pid, NULL, 0), pid);
    CHECK_IS(change_it(kq, pid, EVFILT_PROC, EV_ADD, NOTE_EXIT, 0), ESRCH);
    close(kq);
}

/* ------------------------------------------------------------------ timers and triggers */

static void a_timer(void)
{
    int kq = kqueue();
    struct kevent event, timer = make_change(1, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, 3);

    timer.data = 2 * SOON;
#if defined(NOTE_MSECONDS)
    timer.fflags = NOTE_MSECONDS;
#endif
    CHECK_IS(kevent(kq, &timer, 1, NULL, 0, NULL), 0);
    CHECK_IS(take_some(kq, &event, 1, 0), 0);
    CHECK_IS(take_some(kq, &event, 1, 10000), 1);
    CHECK_IS((intptr_t)event.udata, 3);
    CHECK_IS(event.data, 1);
    CHECK_IS(count_events(kq), 0);
    close(kq);
}

#if defined(EVFILT_USER)
static void *trigger(void *kq)
{
    nap();
    change_it(*(int *)kq, 1, EVFILT_USER, 0, NOTE_TRIGGER, 4);
    return NULL;
}

static void a_trigger_ends_the_sleep_of_another_thread(void)
{
    int kq = kqueue();
    struct kevent event;
    pthread_t thread;

    if (this_kernel() == NETBSD7) /* it has none */
        return;
    CHECK_IS(change_it(kq, 1, EVFILT_USER, EV_ADD | EV_CLEAR, 0, 4), 0);
    CHECK_IS(count_events(kq), 0);
    CHECK_IS(pthread_create(&thread, NULL, trigger, &kq), 0);
    CHECK_IS(take_some(kq, &event, 1, 10000), 1);
    CHECK_IS((int)event.filter, (int)EVFILT_USER);
    pthread_join(thread, NULL);
    CHECK_IS(count_events(kq), 0);
    close(kq);
}
#else
static void a_trigger_ends_the_sleep_of_another_thread(void)
{
}
#endif

static void the_peer_closes_with_unread_data(void)
{
    int s[2], kq = kqueue();
    struct kevent event;

    open_sockets(s);
    put(s[0]);
    CHECK_IS(change(kq, s[0], EVFILT_READ, EV_ADD), 0);
    close(s[1]);
    CHECK_IS(take(kq, &event), 1);
    CHECK_IS(event.flags & EV_EOF, EV_EOF);
    CHECK_IS(event.fflags, 0);
    close(s[0]);
    close(kq);
}

/* Elsewhere it depends on the device. */
static void a_device_on_macos(void)
{
    struct kevent change = make_change(open("/dev/zero", O_RDONLY), EVFILT_READ, EV_ADD, 0, 0);
    int kq = kqueue();

    if (this_kernel() == MACOS) {
        CHECK_IS(kevent(kq, &change, 1, NULL, 0, NULL) < 0 ? errno : 0, EINVAL);
#if defined(NOTE_LOWAT)
        change.fflags = NOTE_LOWAT;
        change.data = 1;
        CHECK_IS(kevent(kq, &change, 1, NULL, 0, NULL) < 0 ? errno : 0, 0);
#endif
    }
    close((int)change.ident);
    close(kq);
}

CASES(CASE(shutdown_by_oneself_is_the_end_of_writing),
      CASE(shutdown_by_the_peer_is_the_end_of_reading), CASE(the_peer_closes),
      CASE(the_peer_closes_with_unread_data), CASE(a_device_on_macos),
      CASE(a_socket_that_never_connected_is_silent), CASE(a_connection_that_is_refused),
      CASE(a_datagram_that_is_refused), CASE(except), CASE(the_end_of_a_child),
      CASE(a_child_that_has_ended_already), CASE(a_timer),
      CASE(a_trigger_ends_the_sleep_of_another_thread))
