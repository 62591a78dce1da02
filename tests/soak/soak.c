/* SPDX-License-Identifier: MIT
 *
 * A mixed load on one queue for some time, and an account at the end: how many events were sent and
 * delivered, and that none was lost, stale or early, and no wait ended for nothing. It uses a queue
 * as a server would: sockets that come and go, timers, children, queued signals, triggers fired by
 * eight threads, wakes, and forks whose children use the queue.
 *
 *     soak SECONDS SOCKETS
 *
 * A pool of threads waits. There is no lock: the state of a watch belongs to the thread whose batch
 * holds it. The writing end of each pair belongs to a thread of its own.
 */
#include "soak.h"

#include <errno.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define TIMERS 1000
#define CHILDREN 16
#define WORKERS 3 /* the first one is the main thread */
#define BATCHES 2
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
    int status;         /* expected */
    atomic_bool active; /* started, and not delivered yet */
};

struct worker {
    readyq_batch batches[BATCHES];
    readyq_watch idle; /* a timer that each turn restarts, so that it never fires */
    uint64_t random;
    struct account account;
    pthread_t thread;
};

static readyq *q;
static struct pair *pairs;
static size_t npairs;
static struct timer timers[TIMERS];
static struct child children[CHILDREN];
static struct worker workers[WORKERS];
static atomic_bool over; /* for the workers: nothing is sent any more */

/* ------------------------------------------------------------------ sockets */

/* After the last line it may belong to another thread. */
static void open_one(struct pair *pair, uint64_t *random)
{
    static const uint32_t modes[] = {0, 0, READYQ_EDGE, READYQ_ONESHOT};
    int ends[2];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
    pair->near = ends[0];
    pair->got = 0;
    CHECK(readyq_add(q, &pair->watch, pair->near, READYQ_READ | modes[draw(random) % 4]) == 0);
    atomic_store(&pair->sent, 0);
    atomic_store(&pair->far, ends[1]);
}

/* Half of them are closed before they are removed, as careless programs do. */
static void renew(struct worker *worker, struct pair *pair)
{
    worker->account.lost += atomic_load(&pair->sent) - pair->got;
    worker->account.ends++;
    if (draw(&worker->random) % 2) {
        CHECK(readyq_remove(&pair->watch) == 0);
        CHECK(close(pair->near) == 0);
    } else {
        CHECK(close(pair->near) == 0);
        CHECK(readyq_remove(&pair->watch) == 0);
    }
    open_one(pair, &worker->random);
}

/* An edge may report data that was read with the edge before; all other watches are reported only
 * with data. */
static void read_all(struct worker *worker, struct pair *pair)
{
    char bytes[4096];
    ssize_t n, all = 0;

    while ((n = read(pair->near, bytes, sizeof bytes)) > 0)
        all += n;
    pair->got += (uint64_t)all;
    worker->account.bytes += (uint64_t)all;
    if (n == 0)
        renew(worker, pair);
    else if (all == 0 && !(pair->watch.interest & READYQ_EDGE))
        worker->account.stale++;
    else if (pair->watch.interest & READYQ_ONESHOT)
        CHECK(readyq_modify(&pair->watch, READYQ_READ | READYQ_ONESHOT) == 0);
}

/* The peer of all pairs: writes, and sometimes closes. */
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

/* A timer that has fired is added again, or restarted, which is the same. */
static void set_timer(struct timer *timer, uint64_t *random)
{
    const int64_t delay = (int64_t)(draw(random) % (100 * (uint64_t)MS));

    timer->due = readyq_now(q) + delay;
    if (timer->watch.kind == READYQ_KIND_TIMER && draw(random) % 2)
        CHECK(readyq_restart(&timer->watch, delay) == 0);
    else
        CHECK(readyq_add_timer(q, &timer->watch, delay, 0) == 0);
}

/* A child that uses the queue, which is its own there, with all watches. */
static int use_inherited(void)
{
    readyq_batch batch = {0};
    readyq_watch trigger = {0}, timer = {0}, *w;
    bool fired = false, expired = false;

    alarm(60);
    if (readyq_add_trigger(q, &trigger) < 0 || readyq_fire(&trigger) < 0 ||
        readyq_add_timer(q, &timer, MS, 0) < 0)
        return 2;
    while (!fired || !expired) {
        if (readyq_wait(q, &batch, 10 * SECOND, 0) < 0)
            return 3;
        while ((w = readyq_next(&batch)) != NULL) {
            fired |= w == &trigger;
            expired |= w == &timer;
        }
    }
    return 0;
}

static void spawn(struct child *child, bool uses)
{
    const int code = (int)(draw(&workers[0].random) % 100) + 10;
    const pid_t pid = fork();

    if (pid == 0)
        _exit(uses ? use_inherited() : code);
    CHECK(pid > 0);
    child->status = (uses ? 0 : code) << 8;
    atomic_store(&child->active, true);
    CHECK(readyq_add_process(q, &child->watch, pid) == 0);
    atomic_fetch_add(&made.children, 1);
}

static void spawn_one(bool uses)
{
    for (int i = 0; i < CHILDREN; i++)
        if (!atomic_load(&children[i].active)) {
            spawn(&children[i], uses);
            return;
        }
}

/* ------------------------------------------------------------------ deliveries */

static void deliver_timer(struct worker *worker, struct timer *timer)
{
    worker->account.early += readyq_now(q) < timer->due;
    worker->account.timers++;
    if (!atomic_load(&stopping))
        set_timer(timer, &worker->random);
}

static void deliver_child(struct worker *worker, struct child *child)
{
    worker->account.children++;
    CHECK(child->watch.status == child->status);
    CHECK(waitpid(child->watch.pid, NULL, 0) == child->watch.pid);
    atomic_store(&child->active, false);
}

static void deliver(struct worker *worker, readyq_watch *w)
{
    if (w == &worker->idle)
        worker->account.early++;
    else if (w->kind == READYQ_KIND_FD)
        read_all(worker, w->data);
    else if (w->kind == READYQ_KIND_TIMER)
        deliver_timer(worker, w->data);
    else if (w->kind == READYQ_KIND_PROCESS)
        deliver_child(worker, w->data);
    else
        *(uint64_t *)w->data += w->count;
}

/* One wait, with any batch. Sometimes watches are left untaken, or the batch is closed. For each
 * wake at most one wait may end early with nothing. */
static bool turn(struct worker *worker)
{
    readyq_batch *batch = &worker->batches[draw(&worker->random) % BATCHES];
    const bool picky = draw(&worker->random) % 8 == 0;
    const int64_t begin = readyq_now(q);
    const int n = readyq_wait(q, batch, WAIT, picky ? 20 : 0);
    const int most = picky && n > 10 ? 10 : n;
    int taken = 0;
    readyq_watch *w;

    CHECK(n >= 0);
    if (n == 0 && readyq_now(q) - begin < WAIT)
        worker->account.empty++;
    for (; taken < most && (w = readyq_next(batch)) != NULL; taken++)
        deliver(worker, w);
    CHECK(taken == most);
    CHECK(readyq_restart(&worker->idle, 60 * SECOND) == 0);
    if (draw(&worker->random) % 8 == 0)
        CHECK(readyq_done(batch) == 0);
    return n > 0;
}

static void close_batches(struct worker *worker)
{
    for (int i = 0; i < BATCHES; i++)
        CHECK(readyq_done(&worker->batches[i]) == 0);
}

static void *run_worker(void *worker)
{
    while (!atomic_load(&over))
        turn(worker);
    close_batches(worker);
    return NULL;
}

static void run(int64_t seconds)
{
    const int64_t end = readyq_now(q) + seconds * SECOND;
    int64_t next_child = 0, next_user = 0;

    while (readyq_now(q) < end) {
        turn(&workers[0]);
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

static void start_workers(void)
{
    for (int i = 0; i < WORKERS; i++) {
        struct worker *worker = &workers[i];

        worker->random = 88172645463325252u + (uint64_t)i;
        CHECK(readyq_add_timer(q, &worker->idle, 60 * SECOND, 0) == 0);
        if (i > 0)
            CHECK(pthread_create(&worker->thread, NULL, run_worker, worker) == 0);
    }
}

static void begin(size_t sockets)
{
    uint64_t random = 123456789;

    npairs = sockets / 2;
    pairs = calloc(npairs, sizeof *pairs);
    CHECK(pairs != NULL);
    for (size_t i = 0; i < npairs; i++) {
        pairs[i].watch.data = &pairs[i];
        open_one(&pairs[i], &random);
    }
    for (int i = 0; i < TIMERS; i++) {
        timers[i].watch.data = &timers[i];
        set_timer(&timers[i], &random);
    }
    for (int i = 0; i < CHILDREN; i++)
        children[i].watch.data = &children[i];
}

/* The watches that the other workers left untaken are given back, and taken here. */
static void stop_workers(struct account *account)
{
    atomic_store(&over, true);
    for (int i = 1; i < WORKERS; i++)
        CHECK(pthread_join(workers[i].thread, NULL) == 0);
    for (int quiet = 0; quiet < 4;)
        quiet = turn(&workers[0]) ? 0 : quiet + 1;
    for (int i = 0; i < WORKERS; i++)
        add_account(account, &workers[i].account);
}

static void end(struct account *account)
{
    for (size_t i = 0; i < npairs; i++) {
        account->lost += atomic_load(&pairs[i].sent) - pairs[i].got;
        CHECK(close(pairs[i].near) == 0);
        if (pairs[i].far >= 0)
            CHECK(close(pairs[i].far) == 0);
    }
    for (int i = 0; i < TIMERS; i++)
        account->lost += timers[i].watch.queue != NULL;
    for (int i = 0; i < CHILDREN; i++)
        account->lost += atomic_load(&children[i].active);
}

int main(int argc, char **argv)
{
    const int64_t seconds = argc > 1 ? atoi(argv[1]) : 10;
    size_t sockets = argc > 2 ? (size_t)atoi(argv[2]) : 10000;
    struct rlimit limit = {sockets + 200, sockets + 200};
    struct account account = {0};
    struct readyq_stats stats;
    struct threads threads;

    if (setrlimit(RLIMIT_NOFILE, &limit) < 0) {
        CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
        sockets = limit.rlim_cur - 200;
    }
    CHECK(readyq_open(&q, NULL) == 0);
    begin(sockets);
    start(&threads, q, run_peer);
    start_workers();
    run(seconds);
    stop(&threads);
    stop_workers(&account);
    end(&account);
    CHECK(readyq_stats(q, &stats) == 0);
    printf("soak: %zu sockets, %lld s\n", sockets, (long long)seconds);
    readyq_close(q);
    close_batches(&workers[0]); /* of the closed queue */
    free(pairs);
    return report(&account, &threads, &stats);
}
