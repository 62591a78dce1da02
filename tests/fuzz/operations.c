/* SPDX-License-Identifier: MIT
 *
 * A fuzzer of the C API: bytes become valid and invalid calls on a small world (world.h,
 * changes.h), and the invariants are checked after each of them. No input sleeps: a wait uses a
 * virtual clock, or is short, or is woken before it begins.
 */
#include "changes.h"

#include <pthread.h>
#include <semaphore.h>
#include <sys/wait.h>

enum { OPERATIONS = 200 };

/* ------------------------------------------------------------------ the other thread */

/* A call to readyq_wait() by thread 1, for which this thread waits. */
static struct {
    sem_t go, done;
    readyq *q;
    readyq_batch *b;
    int64_t timeout;
    int max, result;
} other;

static void *run_other(void *unused)
{
    for (;;) {
        while (sem_wait(&other.go) < 0)
            ;
        other.result = readyq_wait(other.q, other.b, other.timeout, other.max);
        sem_post(&other.done);
    }
    return unused;
}

static void start_other(void)
{
    pthread_t thread;
    sigset_t all, mask;

    CHECK(sem_init(&other.go, 0, 0) == 0 && sem_init(&other.done, 0, 0) == 0);
    sigfillset(&all);
    CHECK(pthread_sigmask(SIG_SETMASK, &all, &mask) == 0);
    CHECK(pthread_create(&thread, NULL, run_other, NULL) == 0);
    CHECK(pthread_sigmask(SIG_SETMASK, &mask, NULL) == 0);
}

static int wait_in(int thread, readyq *q, readyq_batch *b, int64_t timeout, int max)
{
    if (thread == 0)
        return readyq_wait(q, b, timeout, max);
    other.q = q;
    other.b = b;
    other.timeout = timeout;
    other.max = max;
    sem_post(&other.go);
    while (sem_wait(&other.done) < 0)
        ;
    return other.result;
}

/* ------------------------------------------------------------------ waiting */

/* Whether a wait without a timeout would end by itself. */
static bool will_end(const struct world *o, const struct queue *of)
{
    for (int i = 0; i < WATCHES; i++) {
        const struct watch *s = &o->watches[i];

        if (s->in != of || s->held != NULL)
            continue;
        if (s->w->kind == READYQ_KIND_TIMER && of->is_virtual && s->due < INT64_MAX - 1 &&
            s->period < 1000000000)
            return true;
        if (s->fired > s->told)
            return true;
    }
    return false;
}

/* The batch is open in that queue now, and the watches that the thread held there are given
 * back. */
static void begin_wait(struct world *o, struct queue *of, struct batch *b, int thread)
{
    if (b->of != NULL && b->of != of)
        give_back(o, b);
    b->of = of;
    b->thread = thread;
    for (int i = 0; i < BATCHES; i++)
        if (o->batches[i].of == of && o->batches[i].thread == thread)
            give_back(o, &o->batches[i]);
}

/* After a wait or a look that was valid. */
static void end_wait(struct world *o, struct queue *of, struct batch *b, int n, int max)
{
    if (n == -ESHUTDOWN) {
        if (b->of != NULL)
            give_back(o, b);
        b->of = NULL;
        CHECK(readyq_next(b->b) == NULL && readyq_peek(b->b, NULL, NULL, 0) == 0);
    } else {
        begin_wait(o, of, b, b->thread);
        if (n >= 0)
            check_found(o, b, n, max > 0 && n == max);
    }
}

static int wait_for(struct world *o, struct queue *of, struct batch *b, int thread, int64_t timeout,
                    int max)
{
    const int64_t before = readyq_now(of->q);
    const int n = wait_in(thread, of->q, b->b, timeout, max);

    CHECK((n == -EINVAL) == (timeout < -1 || max < 0));
    CHECK(n == -EINVAL || (n == -ESHUTDOWN) == of->closed);
    CHECK(n >= 0 || n == -EINVAL || n == -ESHUTDOWN || n == -EINTR);
    CHECK(max <= 0 || n <= max);
    if (n == 0 && timeout > 0 && !of->woken)
        CHECK(readyq_now(of->q) - before >= timeout);
    CHECK(n != 0 || timeout != -1 || of->woken);
    if (n == -EINVAL)
        return n;
    b->thread = thread;
    of->woken &= n != 0; /* a wait that finds something leaves the wake to the next one */
    end_wait(o, of, b, n, max);
    return n;
}

static void do_wait(struct world *o)
{
    struct queue *of = get_queue(o);
    struct batch *b = any_batch(o);
    const int thread = byte(o) % 4 == 3;
    const int64_t time = any_time(o);
    const int max = (int8_t)byte(o);
    const bool is_long = time == -1 || (of->is_virtual ? time >= INT64_MAX / 2 : time > 255);

    if (is_long && !of->closed && !(time == -1 && will_end(o, of))) {
        CHECK(readyq_wake(of->q) == 0);
        of->woken = true;
    }
    wait_for(o, of, b, thread, time, max);
}

static readyq_watch *take(struct world *o, struct batch *b)
{
    readyq_watch *first, *w;

    check_batch(o, b);
    first = readyq_first(b->b);
    w = readyq_next(b->b);
    CHECK(w == first);
    if (w != NULL)
        check_delivery(o, b, w);
    return w;
}

static void do_next(struct world *o)
{
    struct batch *b = any_batch(o);

    for (int n = byte(o) % 8; n >= 0 && take(o, b) != NULL; n--)
        ;
}

static void finish(struct world *o, struct batch *b)
{
    CHECK(readyq_done(b->b) == 0);
    if (b->of != NULL)
        give_back(o, b);
    b->of = NULL;
}

static void do_done(struct world *o)
{
    struct batch *b = any_batch(o);

    finish(o, b);
    if (byte(o) % 2)
        renew_batch(b);
}

static void do_look(struct world *o)
{
    struct queue *of = get_queue(o);
    struct batch *b = any_batch(o);
    const int max = byte(o) % 4;
    const int n = readyq_look(of->q, b->b, max);

    CHECK((n == -ESHUTDOWN) == of->closed);
    b->thread = 0;
    end_wait(o, of, b, n, max);
}

static void do_wake(struct world *o)
{
    struct queue *of = get_queue(o);

    CHECK(readyq_wake(of->q) == (of->closed ? -ESHUTDOWN : 0));
    of->woken = true;
}

/* On the real clock they may have become due a moment ago. */
static bool has_only_timers(const struct world *o, const struct batch *b)
{
    for (int i = 0; i < WATCHES; i++)
        if (o->watches[i].held == b && o->watches[i].w->kind != READYQ_KIND_TIMER)
            return false;
    return !b->of->is_virtual;
}

/* Takes everything: then everything that is due has been reported, and nothing else, except for the
 * watches that the other thread holds. */
static void settle(struct world *o, struct queue *of, struct batch *b)
{
    struct pollfd nest = {.fd = of->nest, .events = POLLIN};
    bool shown;
    int n;

    for (int i = 0; i < BATCHES; i++) /* as its readyq_fileno() indicates */
        if (of->nest >= 0 && o->batches[i].of == of && o->batches[i].thread == 0)
            finish(o, &o->batches[i]);
    /* As the wait would: that may list what the other thread's batch has noted, and arm watches of a
     * queue that this one watches. */
    if (b->of != of || b->thread != 0)
        finish(o, b);
    shown = of->nest < 0 || poll(&nest, 1, 0) == 1;
    n = wait_for(o, of, b, 0, 0, 0);
    if (n < 0)
        return;
    CHECK(shown || has_only_timers(o, b) || n == 0);
    for (int i = 0; i < WATCHES; i++)
        o->watches[i].delivered = false;
    while (take(o, b) != NULL)
        ;
    for (int i = 0; i < WATCHES; i++) {
        const struct watch *s = &o->watches[i];

        CHECK(s->in != of || (s->held != NULL && s->held->thread != 0) || is_told(s));
    }
}

static void do_settle(struct world *o)
{
    struct queue *of = get_queue(o);

    settle(o, of, any_batch(o));
}

/* ------------------------------------------------------------------ looking into it, and fork */

/* A nested queue is a descriptor like any other; its number belongs to the queue. */
static void do_fileno(struct world *o)
{
    struct queue *of = get_queue(o);
    int fd;

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

    for (int i = 0; i < BATCHES; i++)
        check_batch(o, &o->batches[i]);
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
    CHECK(readyq_explain_for(call, fd < 0 ? NULL : "%s%n", error, text, size) == text);
    CHECK(size == 0 || memchr(text, 0, size) != NULL);
    CHECK(readyq_describe(fd, text, size) == text);
    CHECK(size == 0 || memchr(text, 0, size) != NULL);
    free(text);
}

/* In a child epoll does not know which file a closed number had: it may be another queue's by now,
 * in a circle, which is ELOOP. */
static bool has_closed(const struct world *o, const struct queue *of)
{
    for (int i = 0; i < WATCHES; i++)
        if (o->watches[i].in == of && o->watches[i].closed)
            return true;
    return false;
}

/* The child has one thread. The watches of the other one are free, because it will never give them
 * back. */
static _Noreturn void run_child(struct world *o)
{
    signal(SIGABRT, SIG_DFL);
    for (int i = 0; i < BATCHES; i++)
        if (o->batches[i].of != NULL && o->batches[i].thread != 0) {
            give_back(o, &o->batches[i]);
            o->batches[i].of = NULL;
        }
    for (int i = 0; i < QUEUES; i++) {
        struct queue *of = &o->queues[i];

        if (of->q == NULL || of->closed || has_closed(o, of))
            continue;
        of->nest = -1; /* the parent's until the queue is used */
        settle(o, of, &o->batches[i]);
        settle(o, of, &o->batches[0]);
        CHECK(readyq_close(of->q) == 0);
        empty_queue(o, of);
    }
    _exit(0);
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
    if (pid == 0)
        run_child(o);
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
    do_ref,    do_unref,     do_done,        do_done,    do_restart,     do_restart,
    do_due,    do_wait,
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
        renew(&o->watches[i]);
    for (int i = 0; i < BATCHES; i++)
        renew_batch(&o->batches[i]);
}

static void end(struct world *o)
{
    for (int i = 0; i < QUEUES; i++) {
        struct queue *of = &o->queues[i];

        if (of->q == NULL)
            continue;
        settle(o, of, &o->batches[i]);
        CHECK(readyq_close(of->q) == 0);
        if (!of->closed)
            empty_queue(o, of);
        for (; of->refs > 0; of->refs--)
            readyq_unref(of->q);
    }
    for (int i = 0; i < BATCHES; i++) { /* the batch may be open in a queue that is closed */
        CHECK(readyq_done(o->batches[i].b) == 0);
        free(o->batches[i].b);
    }
    for (int i = 0; i < WATCHES; i++)
        free(o->watches[i].w);
    for (int i = 0; i < THINGS; i++)
        if (o->things[i] >= 0)
            close(o->things[i]);
}

/* The default action would end the fuzzer. The action must be the same after each input. */
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
    start_other();
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
