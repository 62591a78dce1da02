/* SPDX-License-Identifier: MIT
 *
 * The operations of operations.c that change queues, descriptors and watches.
 */
#ifndef CHANGES_H
#define CHANGES_H

#include "world.h"

#include <sys/eventfd.h>
#include <sys/socket.h>

static pid_t dead; /* a child that has ended with status 7 and is never reaped */

/* ------------------------------------------------------------------ the queue's life */

static void open_one(struct world *o, struct queue *of)
{
    const bool has_options = byte(o) != 255;
    const unsigned generation = of->generation + 1;
    struct readyq_options options = {0};
    int error;

    memset(of, 0, sizeof *of);
    of->generation = generation;
    of->nest = -1;
    options.virtual_clock = byte(o) % 4 != 0;
    options.interruptible = byte(o) % 2;
    of->is_virtual = has_options && options.virtual_clock;
    error = readyq_open(&of->q, has_options ? &options : NULL);
    CHECK((error == 0) == (of->q != NULL));
    if (error == 0)
        return;
    fprintf(stderr, "open: %d, %s\n", error, strerror(abs(error)));
    fail(__FILE__, __LINE__, "an error of opening that was not expected");
}

/* A queue that is open, or that is closed and referenced. */
static struct queue *get_queue(struct world *o)
{
    struct queue *of = any_queue(o);

    if (of->q == NULL)
        open_one(o, of);
    return of;
}

static void queue_ended(struct world *o, struct queue *of)
{
    if (!of->closed)
        empty_queue(o, of);
    forget_number(o, of->nest);
    for (int i = 0; i < WATCHES; i++) /* the file may have been watched under any of its numbers */
        if (o->watches[i].in != NULL && !is_ours(o, o->watches[i].w->fd))
            mark_closed(&o->watches[i]);
    of->nest = -1;
    of->closed = true;
}

static void do_close(struct world *o)
{
    struct queue *of = any_queue(o);

    if (of->q == NULL)
        return;
    CHECK(readyq_close(of->q) == 0);
    queue_ended(o, of);
    if (of->refs == 0)
        of->q = NULL;
}

static void do_ref(struct world *o)
{
    struct queue *of = get_queue(o);

    CHECK(readyq_ref(of->q) == of->q);
    of->refs++;
}

/* The reference of readyq_open() is dropped only by readyq_close() here. */
static void do_unref(struct world *o)
{
    struct queue *of = any_queue(o);

    if (of->q == NULL || of->refs == 0)
        return;
    readyq_unref(of->q);
    if (--of->refs == 0 && of->closed)
        of->q = NULL;
}

/* ------------------------------------------------------------------ descriptors */

static int open_thing(int kind, int p[2])
{
    p[1] = -1;
    switch (kind % 8) {
    case 0: return pipe2(p, O_NONBLOCK);
    case 1: return socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, p);
    case 2: return socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, p);
    case 3: return p[0] = eventfd(0, EFD_NONBLOCK);
    case 4: return p[0] = open("/dev/null", O_RDWR);
    case 5: return p[0] = open("/", O_RDONLY);
    case 6: return p[0] = open("/proc/self/exe", O_RDONLY);
    default: return p[0] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    }
}

static void do_open(struct world *o)
{
    int *first = any_thing(o), *second = any_thing(o), p[2];

    close_thing(o, first);
    CHECK(open_thing(byte(o), p) >= 0);
    *first = p[0];
    if (p[1] < 0)
        return;
    if (second == first) {
        close(p[1]);
        return;
    }
    close_thing(o, second);
    *second = p[1];
}

static void do_close_thing(struct world *o)
{
    close_thing(o, any_thing(o));
}

static void do_dup(struct world *o)
{
    int *from = any_thing(o), *to = any_thing(o), copy;

    if (*from < 0 || to == from)
        return;
    if (*to >= 0 && byte(o) % 2) { /* onto its number */
        forget_number(o, *to);
        CHECK(dup2(*from, *to) == *to);
        return;
    }
    copy = dup(*from);
    CHECK(copy >= 0);
    close_thing(o, to);
    *to = copy;
}

static void do_write(struct world *o)
{
    static const char bytes[4096];
    const int fd = *any_thing(o);
    const uint8_t size = byte(o);

    if (size < 250)
        (void)!write(fd, bytes, size % 16 + 8u);
    else
        for (int i = 0; i < 256 && write(fd, bytes, sizeof bytes) > 0; i++)
            ;
}

static void do_read(struct world *o)
{
    static char bytes[65536];
    const int fd = *any_thing(o);

    (void)!read(fd, bytes, byte(o) % 2 ? 8 : sizeof bytes);
}

static void do_shutdown(struct world *o)
{
    const int fd = *any_thing(o);

    shutdown(fd, byte(o) % 3);
}

/* ------------------------------------------------------------------ adding */

/* The error must have a text. */
static void check_explained(int fd, int error)
{
    char text[600];

    CHECK(strstr(readyq_explain("call", fd, error, text, sizeof text), "see errno") == NULL);
}

/* Arguments are looked at after the queue, which may be closed, and the watch, which may be in one. */
static void check_arguments(const struct queue *of, bool was_in, bool are_valid, int error)
{
    CHECK((error == -EINVAL) == (!are_valid && !of->closed && !was_in));
}

/* Records the effect of an add of any kind on a watch. */
static void check_added(struct world *o, struct queue *of, struct watch *s, int error, bool was_in)
{
    if (error < 0) {
        CHECK(error > -4096);
        check_explained(-1, error);
        CHECK(!was_in || s->closed || s->w->queue == s->in->q);
        CHECK(error != -ESHUTDOWN || of->closed);
        return;
    }
    CHECK(!was_in && !of->closed && s->w->queue == of->q &&
          s->w->armed == (s->w->interest != 0 || s->w->kind != READYQ_KIND_FD) && s->w->data == s);
    *s = (struct watch){.w = s->w, .in = of};
    check_size(o, of);
}

/* The watch of that number in that queue, if its number was not closed. */
static struct watch *living(struct world *o, const struct queue *of, int fd)
{
    for (int i = 0; i < WATCHES; i++) {
        struct watch *s = &o->watches[i];

        if (s->in == of && !s->closed && s->w->kind == READYQ_KIND_FD && s->w->fd == fd)
            return s;
    }
    return NULL;
}

/* A descriptor of this program can be watched if no watch of the queue has it. */
/* Not all kernels with kqueue have a filter for it. */
static bool is_priority_missing(uint32_t interest, int error)
{
#if defined(READYQ_KQUEUE)
    return error == -ENOTSUP &&
           (interest & (READYQ_READ | READYQ_WRITE | READYQ_PRIORITY)) == READYQ_PRIORITY;
#else
    (void)interest, (void)error;
    return false;
#endif
}

static void do_add(struct world *o)
{
    struct queue *of = get_queue(o);
    struct watch *s = any_watch(o), *old;
    const int fd = any_number(o);
    const uint32_t interest = any_interest(o);
    const bool was_in = s->in != NULL;
    int error;

    old = living(o, of, fd);
    error = readyq_add(of->q, s->w, fd, interest);
    check_added(o, of, s, error, was_in);
    CHECK(error != 0 || ((interest & ~0x707u) == 0 && old == NULL));
    if (error == 0) {
        CHECK(s->w->fd == fd && s->w->interest == interest && readyq_find(of->q, fd) == s->w);
        s->closed = !is_ours(o, fd);
    } else if (error != -EINVAL && !of->closed && !was_in && is_ours(o, fd)) {
        CHECK(error == -EEXIST || error == -ELOOP || is_priority_missing(interest, error));
    }
}

static void do_add_timer(struct world *o)
{
    struct queue *of = get_queue(o);
    struct watch *s = any_watch(o);
    const int64_t delay = any_time(o), period = any_time(o);
    int64_t now;
    const bool was_in = s->in != NULL;
    int error;

    now = readyq_now(of->q);
    error = readyq_add_timer(of->q, s->w, delay, period);
    check_added(o, of, s, error, was_in);
    check_arguments(of, was_in, delay >= 0 && period >= 0, error);
    if (error < 0)
        return;
    s->due = delay < INT64_MAX - now ? now + delay : INT64_MAX;
    s->period = period;
}

static void do_add_signal(struct world *o)
{
    static const int signals[] = {SIGUSR1, SIGUSR2, SIGKILL, SIGSEGV, 0, -1, 65, 1 << 30};
    struct queue *of = get_queue(o);
    struct watch *s = any_watch(o);
    const int number = signals[byte(o) % 8];
    const bool was_in = s->in != NULL;
    int error;

    error = readyq_add_signal(of->q, s->w, number);
    check_added(o, of, s, error, was_in);
    check_arguments(of, was_in, number == SIGUSR1 || number == SIGUSR2, error);
}

static void do_add_process(struct world *o)
{
    const pid_t pids[] = {dead, getpid(), 1, 0, -1, 0x7fffffff, dead};
    struct queue *of = get_queue(o);
    struct watch *s = any_watch(o);
    const pid_t pid = pids[byte(o) % 7];
    const bool was_in = s->in != NULL;
    int error;

    error = readyq_add_process(of->q, s->w, pid);
    check_added(o, of, s, error, was_in);
    check_arguments(of, was_in, pid > 0, error);
    CHECK(error != 0 || s->w->pid == pid);
}

static void do_add_trigger(struct world *o)
{
    struct queue *of = get_queue(o);
    struct watch *s = any_watch(o);
    const bool was_in = s->in != NULL;

    check_added(o, of, s, readyq_add_trigger(of->q, s->w), was_in);
}

/* ------------------------------------------------------------------ changing */

static void do_modify(struct world *o)
{
    struct watch *s = any_watch(o);
    const uint32_t interest = any_interest(o);
    const int error = readyq_modify(s->w, interest);

    CHECK(error <= 0);
    CHECK((error == -ENOENT) == (s->in == NULL));
    if (error < 0)
        check_explained(s->in != NULL ? s->w->fd : -1, error);
    if (s->in == NULL)
        return;
    CHECK(error != 0 || (s->w->kind == READYQ_KIND_FD && s->w->interest == interest));
    CHECK(error != -EBADF || s->closed);
    s->spent = s->spent && error < 0;
    if (error == 0)
        release(s);
}

/* The queue in which a timer that is in no queue must be restarted. */
static struct queue *home_of(const struct watch *s)
{
    struct queue *of = s->home;

    return of != NULL && of->generation == s->generation && !of->closed ? of : NULL;
}

/* A delivery that was not taken is dropped; a batch that has taken the watch still holds it. */
static void do_restart(struct world *o)
{
    struct watch *s = any_watch(o);
    const int64_t delay = any_time(o);
    struct queue *of = s->in != NULL ? s->in : home_of(s);
    const int64_t now = of != NULL && of->q != NULL ? readyq_now(of->q) : 0;
    const int error = readyq_restart(s->w, delay);

    if (error < 0)
        check_explained(-1, error);
    if (delay < 0)
        CHECK(error == -EINVAL);
    else if (s->in != NULL)
        CHECK(error == (s->w->kind == READYQ_KIND_TIMER ? 0 : -EINVAL));
    else if (s->home != NULL)
        CHECK(error == (of != NULL ? 0 : -ESHUTDOWN));
    else
        CHECK(error == -ENOENT);
    if (error < 0)
        return;
    CHECK(s->w->queue == of->q && s->w->armed);
    if (s->pending || s->held == NULL)
        release(s);
    s->in = of;
    s->home = NULL;
    s->due = delay < INT64_MAX - now ? now + delay : INT64_MAX;
    s->told = 0;
    check_size(o, of);
}

static void do_due(struct world *o)
{
    const struct watch *s = any_watch(o);
    const int64_t due = readyq_due(s->w);

    if (s->in == NULL || s->w->kind != READYQ_KIND_TIMER)
        CHECK(due == -1);
    else if (readyq_now(s->in->q) < s->due)
        CHECK(s->in->is_virtual ? due == s->due : due >= s->due);
}

static void left(struct world *o, struct watch *s, bool again)
{
    struct queue *of = s->in;

    CHECK(s->w->queue == NULL && s->w->ready == 0);
    s->in = NULL;
    release(s);
    check_size(o, of);
    if (again)
        renew(s);
}

static void do_remove(struct world *o)
{
    struct watch *s = any_watch(o);
    const int error = readyq_remove(s->w);

    if (s->in != NULL) {
        CHECK(error == 0);
        left(o, s, byte(o) % 2);
    } else {
        CHECK(error == -ENOENT);
        s->home = NULL; /* it cannot be restarted any more */
    }
}

static void do_stale(struct world *o)
{
    struct queue *of = get_queue(o);
    readyq_watch *w = readyq_stale(of->q);
    struct watch *s;

    if (w == NULL)
        return;
    s = w->data;
    CHECK(s->w == w && s->in == of && s->closed && w->queue == NULL);
    left(o, s, byte(o) % 2);
}

static void do_fire(struct world *o)
{
    struct watch *s = any_watch(o);
    const int error = readyq_fire(s->w);

    if (s->in == NULL)
        CHECK(error == -ENOENT);
    else if (s->w->kind != READYQ_KIND_TRIGGER)
        CHECK(error == -EINVAL);
    else
        CHECK(error == 0);
    s->fired += error == 0;
}

static void do_raise(struct world *o)
{
    const int number = byte(o) % 2 ? SIGUSR1 : SIGUSR2;

    CHECK(raise(number) == 0);
    for (int i = 0; i < WATCHES; i++)
        if (o->watches[i].in != NULL && o->watches[i].w->kind == READYQ_KIND_SIGNAL &&
            o->watches[i].w->signal == number)
            o->watches[i].fired++;
}

#endif
