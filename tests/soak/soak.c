/* SPDX-License-Identifier: MIT
 *
 * A mixed load on one queue for a while, with an account at its end: what was sent, what was
 * delivered, and that nothing was lost, stale, early, or a wait that ended for nothing. It looks at
 * a queue from outside, as a server would: sockets that come and go, timers, children, queued
 * signals, triggers fired by eight threads, wakes, and forks whose children use the queue.
 *
 *     soak SECONDS SOCKETS
 *
 * The writing end of each pair belongs to a thread of its own; all else to the main thread.
 */
#include "soak.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define TIMERS 1000
#define CHILDREN 16
#define WAIT (50 * MS)

struct pair {
    readyq_watch watch;
    int near;
    _Atomic int far; /* -1: closed by the peer */
    _Atomic uint64_t sent;
    uint64_t got;
};

struct timer {
    readyq_watch watch;
    int64_t due;
};

struct child {
    readyq_watch watch;
    int status; /* expected */
};

static readyq *q;
static struct pair *pairs;
static size_t npairs;
static struct timer timers[TIMERS];
static struct child children[CHILDREN];
static uint64_t main_random = 88172645463325252u;
static struct account account;

/* ------------------------------------------------------------------ sockets */

static void open_one(struct pair *pair)
{
    static const uint32_t modes[] = {0, 0, READYQ_EDGE, READYQ_ONESHOT};
    int ends[2];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
    pair->near = ends[0];
    pair->got = 0;
    CHECK(readyq_add(q, &pair->watch, pair->near, READYQ_READ | modes[draw(&main_random) % 4]) ==
          0);
    atomic_store(&pair->sent, 0);
    atomic_store(&pair->far, ends[1]);
}

/* Half of them are closed first and removed then, as careless programs do. */
static void renew(struct pair *pair)
{
    account.lost += atomic_load(&pair->sent) - pair->got;
    account.ends++;
    if (draw(&main_random) % 2) {
        CHECK(readyq_remove(&pair->watch) == 0);
        CHECK(close(pair->near) == 0);
    } else {
        CHECK(close(pair->near) == 0);
        CHECK(readyq_remove(&pair->watch) == 0);
    }
    open_one(pair);
}

/* An edge may tell of what was read with the one before; nothing else may come with nothing. */
static void read_all(struct pair *pair)
{
    static char bytes[4096];
    ssize_t n, all = 0;

    while ((n = read(pair->near, bytes, sizeof bytes)) > 0)
        all += n;
    pair->got += (uint64_t)all;
    account.bytes += (uint64_t)all;
    if (n == 0)
        renew(pair);
    else if (all == 0 && !(pair->watch.interest & READYQ_EDGE))
        account.stale++;
    else if (pair->watch.interest & READYQ_ONESHOT)
        CHECK(readyq_modify(&pair->watch, READYQ_READ | READYQ_ONESHOT) == 0);
}

/* The peer of all pairs: writes, and now and then closes. */
static void *run_peer(void *unused)
{
    uint64_t random = 362436069;

    while (!atomic_load(&stopping)) {
        struct pair *pair = &pairs[draw(&random) % npairs];
        const int far = atomic_load(&pair->far);

        if (draw(&random) % 200 == 0)
            doze(&random, MS);
        if (far < 0)
            continue;
        if (draw(&random) % 100 == 0) {
            atomic_store(&pair->far, -1);
            CHECK(close(far) == 0);
            atomic_fetch_add(&made.ends, 1);
            continue;
        }
        atomic_fetch_add(&pair->sent, 1);
        if (write(far, "x", 1) == 1)
            atomic_fetch_add(&made.bytes, 1);
        else
            atomic_fetch_sub(&pair->sent, 1);
    }
    return unused;
}

/* ------------------------------------------------------------------ timers and children */

static void set_timer(struct timer *timer)
{
    const int64_t delay = (int64_t)(draw(&main_random) % (100 * (uint64_t)MS));

    timer->due = readyq_now(q) + delay;
    CHECK(readyq_add_timer(q, &timer->watch, delay, 0) == 0);
}

/* A child that uses the queue: it is its own, with everything in it. */
static int use_inherited(void)
{
    readyq_watch trigger = {0}, timer = {0}, *w;
    bool fired = false, expired = false;

    alarm(60);
    if (readyq_add_trigger(q, &trigger) < 0 || readyq_fire(&trigger) < 0 ||
        readyq_add_timer(q, &timer, MS, 0) < 0)
        return 2;
    while (!fired || !expired) {
        if (readyq_wait(q, 10 * SECOND, 0) < 0)
            return 3;
        while ((w = readyq_next(q)) != NULL) {
            fired |= w == &trigger;
            expired |= w == &timer;
        }
    }
    return 0;
}

static void spawn(struct child *child, bool uses)
{
    const int code = (int)(draw(&main_random) % 100) + 10;
    const pid_t pid = fork();

    if (pid == 0)
        _exit(uses ? use_inherited() : code);
    CHECK(pid > 0);
    child->status = (uses ? 0 : code) << 8;
    CHECK(readyq_add_process(q, &child->watch, pid) == 0);
    atomic_fetch_add(&made.children, 1);
}

static void spawn_one(bool uses)
{
    for (int i = 0; i < CHILDREN; i++)
        if (children[i].watch.queue == NULL) {
            spawn(&children[i], uses);
            return;
        }
}

/* ------------------------------------------------------------------ deliveries */

static void deliver(readyq_watch *w)
{
    if (w->kind == READYQ_KIND_FD) {
        read_all(w->data);
    } else if (w->kind == READYQ_KIND_TIMER) {
        struct timer *timer = w->data;

        account.early += readyq_now(q) < timer->due;
        account.timers++;
        if (!atomic_load(&stopping))
            set_timer(timer);
    } else if (w->kind == READYQ_KIND_PROCESS) {
        const struct child *child = w->data;

        account.children++;
        CHECK(w->status == child->status);
        CHECK(waitpid(w->pid, NULL, 0) == w->pid);
    } else {
        *(uint64_t *)w->data += w->count;
    }
}

/* One wait, of which something is left untaken now and then. At most one of them may end with
 * nothing before its time for each wake. */
static bool turn(void)
{
    const bool picky = draw(&main_random) % 8 == 0;
    const int64_t begin = readyq_now(q);
    const int n = readyq_wait(q, WAIT, picky ? 20 : 0);
    int left = picky ? 10 : INT32_MAX;
    readyq_watch *w;

    CHECK(n >= 0);
    if (n == 0 && readyq_now(q) - begin < WAIT)
        account.empty++;
    for (; left > 0 && (w = readyq_next(q)) != NULL; left--)
        deliver(w);
    return n > 0;
}

static void run(int64_t seconds)
{
    const int64_t end = readyq_now(q) + seconds * SECOND;
    int64_t next_child = 0, next_user = 0;

    while (readyq_now(q) < end) {
        turn();
        if (readyq_now(q) >= next_child) {
            spawn_one(false);
            next_child = readyq_now(q) + 20 * MS;
        }
        if (readyq_now(q) >= next_user) {
            spawn_one(true);
            next_user = readyq_now(q) + SECOND;
        }
    }
}

/* ------------------------------------------------------------------ beginning and end */

static void begin(size_t sockets)
{
    npairs = sockets / 2;
    pairs = calloc(npairs, sizeof *pairs);
    CHECK(pairs != NULL);
    for (size_t i = 0; i < npairs; i++) {
        pairs[i].watch.data = &pairs[i];
        open_one(&pairs[i]);
    }
    for (int i = 0; i < TIMERS; i++) {
        timers[i].watch.data = &timers[i];
        set_timer(&timers[i]);
    }
    for (int i = 0; i < CHILDREN; i++)
        children[i].watch.data = &children[i];
}

/* What is on its way arrives while nobody sends any more. */
static void end(void)
{
    for (int quiet = 0; quiet < 4;)
        quiet = turn() ? 0 : quiet + 1;
    for (size_t i = 0; i < npairs; i++) {
        account.lost += atomic_load(&pairs[i].sent) - pairs[i].got;
        CHECK(close(pairs[i].near) == 0);
        if (pairs[i].far >= 0)
            CHECK(close(pairs[i].far) == 0);
    }
    for (int i = 0; i < TIMERS; i++)
        account.lost += timers[i].watch.queue != NULL;
    for (int i = 0; i < CHILDREN; i++)
        account.lost += children[i].watch.queue != NULL;
}

int main(int argc, char **argv)
{
    const int64_t seconds = argc > 1 ? atoi(argv[1]) : 10;
    size_t sockets = argc > 2 ? (size_t)atoi(argv[2]) : 10000;
    struct rlimit limit = {sockets + 200, sockets + 200};
    struct readyq_stats stats;
    struct threads threads;

    if (setrlimit(RLIMIT_NOFILE, &limit) < 0) {
        CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
        sockets = limit.rlim_cur - 200;
    }
    CHECK(readyq_open(&q, NULL) == 0);
    begin(sockets);
    start(&threads, q, run_peer, &account);
    run(seconds);
    stop(&threads);
    end();
    CHECK(readyq_stats(q, &stats) == 0);
    printf("soak: %zu sockets, %lld s\n", sockets, (long long)seconds);
    readyq_close(q);
    free(pairs);
    return report(&account, &stats);
}
