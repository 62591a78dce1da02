/* SPDX-License-Identifier: MIT
 *
 * A change that the kernel refuses since it has no memory: it is reported, and changes nothing. The
 * linker replaces the call that makes changes (see the Makefile). A kqueue refuses each change in
 * its receipt, or all of a call. faults.c does the same for each call in turn, on Linux.
 */
#include "things.h"

#include <poll.h>
#if HAS_EPOLL
#include <sys/epoll.h>
#else
#include "kevent_call.h"
#endif

static bool refuses;  /* the next addition or change */
static bool by_error; /* the whole call */

static bool is_refused(void)
{
    const bool refused = refuses;
    refuses = false;
    errno = refused ? ENOMEM : errno;
    return refused;
}

#if HAS_EPOLL

int __real_epoll_ctl(int set, int operation, int fd, struct epoll_event *event);
int __wrap_epoll_ctl(int set, int operation, int fd, struct epoll_event *event);
int __wrap_epoll_ctl(int set, int operation, int fd, struct epoll_event *event)
{
    if (operation != EPOLL_CTL_DEL && is_refused())
        return -1;
    return __real_epoll_ctl(set, operation, fd, event);
}

#else

int __wrap_kevent(int kq, const struct kevent *changes, event_count nchanges, struct kevent *events,
                  event_count nevents, const struct timespec *timeout)
{
    if (nchanges == 0 || !(changes[0].flags & EV_ADD) || !is_refused())
        return __real_kevent(kq, changes, nchanges, events, nevents, timeout);
    if (by_error || nevents < nchanges)
        return -1;
    for (event_count i = 0; i < nchanges; i++) {
        events[i] = changes[i];
        events[i].flags = EV_ERROR;
        events[i].data = ENOMEM;
    }
    return (int)nchanges;
}

#endif

static void test_a_refused_addition_is_reported_and_changes_nothing(void)
{
    for (int i = 0; i < 2; i++) {
        readyq_watch w = {0};
        readyq *q = open_queue();
        int p[2];
        open_pipe(p);
        refuses = true;
        by_error = i == 1;
        CHECK_IS(readyq_add(q, &w, p[0], READYQ_READ), -ENOMEM);
        CHECK(!refuses);
        CHECK_IS(readyq_size(q), 0);
        put(p[1]);
        CHECK_QUIET(q);
        add(q, &w, p[0], READYQ_READ);
        CHECK_TAKES(q, &w);
        readyq_close(q);
        close_pair(p);
    }
}

static void test_a_refused_change_leaves_the_watch_as_it_was(void)
{
    for (int i = 0; i < 2; i++) {
        readyq_watch w;
        readyq *q = open_queue();
        int p[2];
        open_unix(p);
        add(q, &w, p[0], READYQ_READ);
        refuses = true;
        by_error = i == 1;
        CHECK_IS(readyq_modify(&w, READYQ_WRITE), -ENOMEM);
        CHECK(!refuses);
        CHECK_IS(w.interest, READYQ_READ);
        CHECK_QUIET(q);
        put(p[1]);
        CHECK_TAKES(q, &w);
        CHECK_IS(w.ready, READYQ_READ);
        CHECK_IS(stats_of(q).stale, 0);
        CHECK_IS(readyq_modify(&w, READYQ_WRITE), 0);
        CHECK_TAKES(q, &w);
        CHECK_IS(w.ready, READYQ_WRITE);
        readyq_close(q);
        close_pair(p);
    }
}

/* It has to be registered again, with the generation that it had. */
static void test_a_refused_change_of_an_exclusive_watch_leaves_it_as_it_was(void)
{
    const uint32_t interest = READYQ_READ | READYQ_EXCLUSIVE;
    char differences[200];
    readyq_watch w;
    readyq *q = open_queue();
    int p[2];
    open_pipe(p);
    add(q, &w, p[0], interest);
    refuses = true;
    CHECK_IS(readyq_modify(&w, interest | READYQ_EDGE), -ENOMEM);
    CHECK(!refuses);
    if (has_ghosts(q))
        CHECK_IS(readyq_check(q, differences, sizeof differences), 0);
    put(p[1]);
    CHECK_TAKES(q, &w);
    CHECK_IS(stats_of(q).stale, 0);
    CHECK_IS(stats_of(q).ghosts, 0);
    readyq_close(q);
    close_pair(p);
}

static void test_a_fileno_that_is_refused_can_be_asked_for_again(void)
{
    readyq_watch w;
    readyq *q = open_queue();
    int p[2];
    open_pipe(p);
    add(q, &w, p[0], READYQ_READ);
    refuses = true;
    CHECK_IS(readyq_fileno(q), -ENOMEM);
    CHECK(!refuses);
    struct pollfd one = {.fd = readyq_fileno(q), .events = POLLIN};
    CHECK(one.fd >= 0);
    CHECK_IS(poll(&one, 1, 0), 0);
    put(p[1]);
    CHECK_IS(poll(&one, 1, 1000), 1);
    CHECK_TAKES(q, &w);
    readyq_close(q);
    close_pair(p);
}

TESTS(TEST(test_a_refused_addition_is_reported_and_changes_nothing),
      TEST(test_a_refused_change_leaves_the_watch_as_it_was),
      TEST(test_a_refused_change_of_an_exclusive_watch_leaves_it_as_it_was),
      TEST(test_a_fileno_that_is_refused_can_be_asked_for_again))
