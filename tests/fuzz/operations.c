/* SPDX-License-Identifier: MIT
 *
 * A fuzzer of the C API: bytes become calls on a small world (world.h, changes.h), good ones and bad ones, and
 * what must be true is checked after each. No input sleeps: a wait is on a virtual clock, or short,
 * or woken before.
 */
#include "changes.h"

#include <sys/wait.h>

enum { OPERATIONS = 200 };

/* ------------------------------------------------------------------ waiting */

/* Whether a wait for ever would end by itself. */
static bool will_end(const struct world *o, const struct queue *of)
{
    for (int i = 0; i < WATCHES; i++) {
        const struct watch *s = &o->watches[i];

        if (s->in == of && s->w->kind == READYQ_KIND_TIMER && of->is_virtual &&
            s->due < INT64_MAX - 1 && s->period < 1000000000)
            return true;
        if (s->in == of && s->fired > s->told)
            return true;
    }
    return false;
}

static int wait_for(struct queue *of, int64_t timeout, int max)
{
    const int64_t before = readyq_now(of->q);
    const int n = readyq_wait(of->q, timeout, max);

    CHECK((n == -EINVAL) == (timeout < -1 || max < 0));
    CHECK(n == -EINVAL || (n == -ESHUTDOWN) == of->closed);
    CHECK(n >= 0 || n == -EINVAL || n == -ESHUTDOWN || n == -EINTR);
    CHECK(max <= 0 || n <= max);
    if (n == 0 && timeout > 0 && !of->woken)
        CHECK(readyq_now(of->q) - before >= timeout);
    CHECK(n != 0 || timeout != -1 || of->woken);
    if (n < 0 && n != -EINTR)
        return n;
    of->left = n > 0 ? n : 0;
    of->woken = of->disturbed = false;
    return n;
}

static void do_wait(struct world *o)
{
    struct queue *of = get_queue(o);
    const int64_t time = any_time(o);
    const int max = (int8_t)byte(o);
    const bool is_long = of != NULL && (time == -1 || !of->is_virtual ? time == -1 || time > 255
                                                                      : time >= INT64_MAX / 2);

    if (of == NULL)
        return;
    if (is_long && !of->closed && !(time == -1 && will_end(o, of))) {
        CHECK(readyq_wake(of->q) == 0);
        of->woken = true;
    }
    wait_for(of, time, max);
}

static readyq_watch *take(struct queue *of)
{
    readyq_watch *w = readyq_next(of->q);

    CHECK(w != NULL || of->left == 0 || of->disturbed);
    if (w == NULL) {
        of->left = 0;
        return NULL;
    }
    CHECK(of->left-- > 0);
    check_delivery(of, w);
    return w;
}

static void do_next(struct world *o)
{
    struct queue *of = get_queue(o);

    for (int n = byte(o) % 8; of != NULL && n >= 0 && take(of) != NULL; n--)
        ;
}

static void do_look(struct world *o)
{
    struct queue *of = get_queue(o);
    const int max = byte(o) % 4;
    const int n = of != NULL ? readyq_look(of->q, max) : -1;

    if (of == NULL || n < 0)
        return;
    of->left = n;
    of->disturbed = false;
}

static void do_wake(struct world *o)
{
    struct queue *of = get_queue(o);

    if (of == NULL)
        return;
    CHECK(readyq_wake(of->q) == (of->closed ? -ESHUTDOWN : 0));
    of->woken = true;
}

/* Takes all there is: then everything due is told, and nothing else. */
static void settle(struct world *o, struct queue *of)
{
    struct pollfd nest = {.fd = of->nest, .events = POLLIN};
    const bool shown = of->nest < 0 || poll(&nest, 1, 0) == 1;
    const int n = wait_for(of, 0, 0);

    if (n < 0)
        return;
    CHECK(n == 0 || shown);
    for (int i = 0; i < WATCHES; i++)
        o->watches[i].delivered = false;
    while (take(of) != NULL)
        ;
    for (int i = 0; i < WATCHES; i++)
        CHECK(o->watches[i].in != of || is_told(&o->watches[i]));
}

static void do_settle(struct world *o)
{
    struct queue *of = get_queue(o);

    if (of != NULL)
        settle(o, of);
}

/* ------------------------------------------------------------------ looking into it, and fork */

/* Nested, it is a thing like any other; its number is the queue's. */
static void do_fileno(struct world *o)
{
    struct queue *of = get_queue(o);
    int fd;

    if (of == NULL)
        return;
    fd = readyq_fileno(of->q);
    CHECK(of->closed ? fd == -ESHUTDOWN : fd >= 0);
    CHECK(of->closed || of->nest < 0 || of->nest == fd);
    of->nest = of->closed ? -1 : fd;
}

static void do_ask(struct world *o)
{
    struct queue *of = get_queue(o);
    const int fd = any_number(o);
    struct readyq_stats stats;
    readyq_watch *w;

    if (of == NULL)
        return;
    w = readyq_find(of->q, fd);
    CHECK(w == NULL || (((struct watch *)w->data)->w == w && w->fd == fd));
    CHECK(readyq_stats(of->q, &stats) == 0 && stats.watches == readyq_size(of->q));
    CHECK(readyq_ghost(of->q) < 1024);
    CHECK(readyq_backend(of->q) != NULL);
}

static void do_explain(struct world *o)
{
    static const char *const calls[] = {"add", "wait", "", "open", "fd %s%n"};
    const char *call = calls[byte(o) % 5];
    const int fd = any_number(o);
    const int error = -(int)byte(o) * (byte(o) % 16 == 15 ? 8421504 : 1);
    const size_t size = byte(o) * 2u;
    char *text = malloc(size > 0 ? size : 1);

    CHECK(text != NULL);
    CHECK(readyq_explain(call, fd, error, text, size) == text);
    CHECK(size == 0 || memchr(text, 0, size) != NULL);
    CHECK(readyq_describe(fd, text, size) == text);
    CHECK(size == 0 || memchr(text, 0, size) != NULL);
    free(text);
}

/* In a child epoll cannot tell what has a closed number by now: it may be another queue, in a
 * circle, which is ELOOP. */
static bool has_closed(const struct world *o, const struct queue *of)
{
    for (int i = 0; i < WATCHES; i++)
        if (o->watches[i].in == of && o->watches[i].closed)
            return true;
    return false;
}

static void do_fork(struct world *o)
{
    int status;
    pid_t pid;

    if (o->forked || byte(o) != 0x77)
        return;
    o->forked = true;
    pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        signal(SIGABRT, SIG_DFL);
        for (int i = 0; i < QUEUES; i++)
            if (o->queues[i].q != NULL && !o->queues[i].closed && !has_closed(o, &o->queues[i])) {
                o->queues[i].nest = -1; /* its parent's until it is used */
                settle(o, &o->queues[i]);
                settle(o, &o->queues[i]);
                CHECK(readyq_close(o->queues[i].q) == 0);
            }
        _exit(0);
    }
    while (waitpid(pid, &status, 0) < 0)
        CHECK(errno == EINTR); /* the fuzzer's clock */
    CHECK(status == 0);
}

/* ------------------------------------------------------------------ one input */

static void (*const operations[])(struct world *) = {
    do_open,   do_open,      do_close_thing, do_dup,     do_write,       do_write,
    do_read,   do_shutdown,  do_add,         do_add,     do_add,         do_add_timer,
    do_wake,   do_add_timer, do_add_signal,  do_modify,  do_add_process, do_add_trigger,
    do_modify, do_remove,    do_remove,      do_stale,   do_fire,        do_raise,
    do_wait,   do_wait,      do_next,        do_next,    do_look,        do_settle,
    do_settle, do_fileno,    do_ask,         do_explain, do_fork,        do_close,
    do_ref,    do_unref,
};
enum { KINDS = sizeof operations / sizeof *operations };

static void begin(struct world *o, const uint8_t *data, size_t size)
{
    memset(o, 0, sizeof *o);
    o->at = data;
    o->end = data + size;
    for (int i = 0; i < THINGS; i++)
        o->things[i] = -1;
    for (int i = 0; i < WATCHES; i++)
        renew(&o->watches[i], i % 2);
}

static void end(struct world *o)
{
    for (int i = 0; i < QUEUES; i++) {
        struct queue *of = &o->queues[i];

        if (of->q == NULL)
            continue;
        settle(o, of);
        CHECK(readyq_close(of->q) == 0);
        if (!of->closed)
            empty_queue(o, of);
        for (; of->refs > 0; of->refs--)
            readyq_unref(of->q);
    }
    for (int i = 0; i < WATCHES; i++)
        free(o->watches[i].w);
    for (int i = 0; i < THINGS; i++)
        if (o->things[i] >= 0)
            close(o->things[i]);
}

/* The default action would end the fuzzer, and must be in force again after each input. */
static void prepare(void)
{
    signal(SIGUSR1, SIG_IGN);
    signal(SIGUSR2, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    dead = fork();
    if (dead == 0)
        _exit(7);
    CHECK(dead > 0);
    CHECK(waitid(P_PID, (id_t)dead, &(siginfo_t){0}, WEXITED | WNOWAIT) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world o;
    struct sigaction now;
    uint64_t before;

    if (dead == 0)
        prepare();
    before = open_numbers();
    begin(&o, data, size);
    for (int i = 0; i < OPERATIONS && o.at < o.end; i++)
        operations[byte(&o) % KINDS](&o);
    end(&o);
    CHECK(open_numbers() == before);
    CHECK(sigaction(SIGUSR1, NULL, &now) == 0 && now.sa_handler == SIG_IGN);
    return 0;
}
