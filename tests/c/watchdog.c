/* SPDX-License-Identifier: MIT
 *
 * The watchdog: each mistake that it knows, made with a real descriptor, is told once; and programs
 * that make none, also under load, are never accused.
 */
#include "check.h"
#include "things.h"

#include <stdatomic.h>
#include <sys/resource.h>
#if HAS_EPOLL
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#endif

enum { TURNS = 2000 };

static struct {
    int told;
    char text[640]; /* the last one */
    readyq_watch *watch;
} dog;

static void warn(void *data, readyq_watch *w, const char *text)
{
    CHECK(data == &dog);
    dog.told++;
    dog.watch = w;
    snprintf(dog.text, sizeof dog.text, "%s", text);
}

static readyq *open_watched_with(int64_t turn)
{
    const struct readyq_debug debug = {
        .turns = TURNS, .turn = turn, .rest = 50 * MS, .warn = warn, .data = &dog};

    return open_queue_with((struct readyq_options){.debug = &debug});
}

/* On a busy machine any turn may be long. */
static readyq *open_watched(void)
{
    return open_watched_with(LONG);
}

typedef void (*handler)(readyq_watch *w);

/* Waits so often, and calls `handle` for each watch that is taken. */
static void run_with(readyq *q, int64_t timeout, int turns, handler handle)
{
    readyq_batch batch = {0};
    readyq_watch *w;

    for (int i = 0; i < turns; i++) {
        readyq_wait(q, &batch, timeout, 0);
        while ((w = readyq_next(&batch)) != NULL)
            if (handle != NULL)
                handle(w);
    }
    readyq_done(&batch);
}

static void expect_silence(void)
{
    if (dog.told > 0)
        fail(__FILE__, __LINE__, dog.text);
}

/* It is told once, however long it goes on. */
static void expect(const char *beginning, const char *why)
{
    CHECK_HAS(dog.text, beginning);
    CHECK_HAS(dog.text, why);
    CHECK_IS(dog.told, 1);
}

/* Nothing shows it on a kernel with kqueue. */
static void expect_with_epoll(const char *beginning, const char *why)
{
    if (HAS_EPOLL)
        expect(beginning, why);
    else
        expect_silence();
}

/* Watches `fd` without doing anything about it. */
static void spin(int fd, uint32_t interest)
{
    readyq *q = open_watched();
    readyq_watch w;

    add(q, &w, fd, interest);
    for (int i = 0; i < 5 && dog.told == 0; i++) /* its turns may be too slow at first */
        run_with(q, 0, 5 * TURNS, NULL);
    CHECK(dog.watch == (dog.told > 0 ? &w : NULL));
    readyq_close(q);
}

static void ignore(int fd, uint32_t interest, const char *beginning, const char *why)
{
    spin(fd, interest);
    expect(beginning, why);
}

/* ------------------------------------------------------------------ spinning */

#define UNREAD "nobody reads the available data"

static void test_unread_data_of_a_tcp_socket(void)
{
    int p[2];

    open_tcp(p);
    put(p[1]);
    ignore(p[0], READYQ_READ, "(TCP 127.0.0.1:", UNREAD);
    CHECK_HAS(dog.text, " interest READ, ready READ: reported 2,000 times in 0.");
    close_pair(p);
}

static void test_unread_data_of_a_pipe(void)
{
    int p[2];

    open_pipe(p);
    put(p[1]);
    ignore(p[0], READYQ_READ, "(pipe) interest READ, ready READ: reported 2,000 times", UNREAD);
    close_pair(p);
}

static void test_unread_data_of_a_unix_socket(void)
{
    int p[2];

    open_unix(p);
    put(p[1]);
    ignore(p[0], READYQ_READ, "UNIX socket", UNREAD);
    close_pair(p);
}

/* The connection comes over IPv4, but its socket is one of IPv6. */
static void test_unread_data_of_a_tcp_socket_of_ipv6(void)
{
    static const char bytes[100]; /* so many prove something where the socket counts them */
    struct sockaddr_in6 any = {.sin6_family = AF_INET6};
    socklen_t size = sizeof any;
    struct sockaddr_in address = {.sin_family = AF_INET};
    int listener = socket(AF_INET6, SOCK_STREAM, 0), off = 0, client, server;

    CHECK_IS(setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off), 0);
    CHECK_IS(bind(listener, (void *)&any, sizeof any), 0);
    CHECK_IS(listen(listener, 1), 0);
    CHECK_IS(getsockname(listener, (void *)&any, &size), 0);
    address.sin_port = any.sin6_port;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    client = connect_to(&address);
    CHECK((server = accept(listener, NULL, NULL)) >= 0);
    CHECK_IS(write(client, bytes, sizeof bytes), sizeof bytes);
    ignore(server, READYQ_READ, "(TCP [", UNREAD);
    close(server);
    close(client);
    close(listener);
}

static void test_unread_data_of_a_terminal(void)
{
    int p[2];

    open_terminal(p);
    put(p[0]);
    ignore(p[1], READYQ_READ, "/dev/", UNREAD);
    close_pair(p);
}

static void test_unread_data_of_a_file(void)
{
    int fd = open_file();

    ignore(fd, READYQ_READ, "(file ", UNREAD);
    close(fd);
}

static void test_unread_data_before_the_end(void)
{
    int p[2];

    open_tcp(p);
    put(p[1]);
    close(p[1]);
    ignore(p[0], READYQ_READ, "READ|READ_CLOSED", UNREAD);
    close(p[0]);
}

static void test_unread_counts_of_eventfd_and_timerfd(void)
{
#if HAS_EPOLL /* the others do not have them */
    const struct itimerspec soon = {.it_value.tv_nsec = 1};
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC), event = eventfd(1, EFD_CLOEXEC);

    CHECK_IS(timerfd_settime(timer, 0, &soon, NULL), 0);
    ignore(timer, READYQ_READ, "([timerfd])", UNREAD);
    dog.told = 0;
    ignore(event, READYQ_READ, "([eventfd])", UNREAD);
    close(timer);
    close(event);
#endif
}

/* A sender may have filled the queue again before each check. */
static void test_more_than_a_little_unread_data_proves_nothing(void)
{
    static const char bytes[100];
    int p[2];

    open_unix(p);
    CHECK_IS(write(p[1], bytes, sizeof bytes), sizeof bytes);
    spin(p[0], READYQ_READ);
    if (HAS_EPOLL)
        expect_silence();
    else
        expect("UNIX socket", UNREAD); /* calls that read are counted there */
    close_pair(p);
}

static void test_many_unread_datagrams_prove_nothing(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof address;
    int to = socket(AF_INET, SOCK_DGRAM, 0), from = socket(AF_INET, SOCK_DGRAM, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK_IS(bind(to, (void *)&address, sizeof address), 0);
    CHECK_IS(getsockname(to, (void *)&address, &size), 0);
    CHECK_IS(connect(from, (void *)&address, sizeof address), 0);
    for (int i = 0; i < 20; i++)
        put(from);
    spin(to, READYQ_READ);
    if (HAS_EPOLL)
        expect_silence();
    else
        expect("UDP", UNREAD);
    close(to);
    close(from);
}

/* Its calls to read(2) cannot be counted then. */
static void test_unread_data_of_a_pipe_where_no_descriptor_is_left(void)
{
    struct rlimit limit, none;
    int p[2], lowest;
    readyq *q = open_watched();
    readyq_watch w;

    open_pipe(p);
    put(p[1]);
    add(q, &w, p[0], READYQ_READ);
    CHECK((lowest = dup(0)) >= 0);
    close(lowest);
    CHECK_IS(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = (struct rlimit){.rlim_cur = (rlim_t)lowest, .rlim_max = limit.rlim_max};
    CHECK_IS(setrlimit(RLIMIT_NOFILE, &none), 0);
    for (int i = 0; i < 5 && dog.told == 0; i++)
        run_with(q, 0, 5 * TURNS, NULL);
    CHECK_IS(setrlimit(RLIMIT_NOFILE, &limit), 0);
    expect("interest READ, ready READ", UNREAD);
    readyq_close(q);
    close_pair(p);
}

static void test_an_empty_datagram_is_not_read(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof address;
    int to = socket(AF_INET, SOCK_DGRAM, 0), from = socket(AF_INET, SOCK_DGRAM, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK_IS(bind(to, (void *)&address, sizeof address), 0);
    CHECK_IS(getsockname(to, (void *)&address, &size), 0);
    CHECK_IS(sendto(from, "", 0, 0, (void *)&address, sizeof address), 0);
    ignore(to, READYQ_READ, "UDP", UNREAD);
    close(to);
    close(from);
}

static void add_again(readyq_watch *w)
{
    readyq *q = w->queue;

    CHECK_IS(readyq_remove(w), 0);
    CHECK_IS(readyq_add(q, w, w->fd, READYQ_READ), 0);
}

/* Each time it is another watch, of which nothing is known yet. */
static void test_a_watch_that_its_handler_adds_again_does_not_spin(void)
{
    const struct readyq_debug debug = {.turns = 50, .turn = LONG, .warn = warn, .data = &dog};
    readyq *q = open_queue_with((struct readyq_options){.debug = &debug});
    readyq_watch w;
    int p[2];

    open_pipe(p);
    put(p[1]);
    add(q, &w, p[0], READYQ_READ);
    run_with(q, 0, 500, add_again);
    expect_silence();
    run_with(q, 0, 500, NULL);
    expect("(pipe)", "reported 50 times in 0.");
    readyq_close(q);
    close_pair(p);
}

static void test_data_that_arrives_hides_no_spin(void)
{
    readyq *q = open_watched();
    readyq_watch w;
    int p[2];

    open_tcp(p);
    put(p[1]);
    add(q, &w, p[0], READYQ_READ);
    for (int i = 0; i < 5 * TURNS; i++) {
        run_with(q, 0, 1, NULL);
        if (i % 100 == 0)
            put(p[1]);
    }
    expect("TCP", UNREAD);
    readyq_close(q);
    close_pair(p);
}

static void test_the_end_of_a_tcp_socket_is_not_handled(void)
{
    int p[2];

    open_tcp(p);
    close(p[1]);
    ignore(p[0], READYQ_READ, "READ|READ_CLOSED", "the end of its data is not handled");
    close(p[0]);
}

static int ended;

static void read_nothing(readyq_watch *w)
{
    char byte;

    CHECK_IS(read(w->fd, &byte, 1), 0);
    ended++;
}

static void test_the_end_of_a_pipe_is_read_again_and_again(void)
{
    readyq *q = open_watched();
    readyq_watch w;
    int p[2];

    open_pipe(p);
    close(p[1]);
    add(q, &w, p[0], READYQ_READ);
    run_with(q, 0, 5 * TURNS, read_nothing);
    CHECK_IS(ended, 5 * TURNS);
    expect("(pipe)", "the end of its data is not handled");
    readyq_close(q);
    close(p[0]);
}

static void test_the_end_of_a_file_is_read_again_and_again(void)
{
    readyq *q = open_watched();
    int fd = open_file();
    readyq_watch w;

    CHECK_IS(lseek(fd, 0, SEEK_END), 5);
    add(q, &w, fd, READYQ_READ);
    run_with(q, 0, 5 * TURNS, read_nothing);
    expect("(file ", "the end of its data is not handled");
    readyq_close(q);
    close(fd);
}

static void test_nobody_reads_the_other_end_of_a_pipe(void)
{
    int p[2];

    open_pipe(p);
    close(p[0]);
    ignore(p[1], READYQ_WRITE, "WRITE|WRITE_CLOSED", "nobody reads at its other end any more");
    close(p[1]);
}

static void test_write_is_asked_for_though_nothing_is_sent(void)
{
    int p[2];

    open_tcp(p);
    ignore(p[0], READYQ_READ | READYQ_WRITE, "ready WRITE", "WRITE is asked for though nothing");
    close_pair(p);
}

static void test_write_is_asked_for_though_nothing_is_sent_to_a_pipe(void)
{
    int p[2];

    open_pipe(p);
    spin(p[1], READYQ_WRITE);
    expect_with_epoll("(pipe)", "WRITE is asked for though nothing");
    close_pair(p);
}

static void test_write_is_asked_for_though_nothing_is_written_to_a_file(void)
{
    int fd = open_file();

    spin(fd, READYQ_WRITE);
    expect_with_epoll("(file ", "WRITE is asked for though nothing");
    close(fd);
}

static void test_exceptional_data_is_not_read(void)
{
    readyq *q = open_queue();
    int p[2];

    if (has_priority(q)) {
        open_tcp(p);
        CHECK_IS(send(p[1], "!", 1, MSG_OOB), 1);
        ignore(p[0], READYQ_PRIORITY, "PRIORITY", "nobody reads the exceptional data");
        close_pair(p);
    }
    readyq_close(q);
}

static int open_refused(bool queues)
{
    struct sockaddr_in address;
    int closed = open_listener(&address), fd = socket(AF_INET, SOCK_DGRAM, 0), on = 1;

    close(closed);
#if HAS_EPOLL
    if (queues)
        CHECK_IS(setsockopt(fd, IPPROTO_IP, IP_RECVERR, &on, sizeof on), 0);
#else
    (void)queues, (void)on;
#endif
    CHECK_IS(connect(fd, (void *)&address, sizeof address), 0);
    put(fd); /* is refused at once */
    return unblocked(fd);
}

static void test_an_error_is_not_collected(void)
{
    int fd = open_refused(false);

    ignore(fd, READYQ_READ, "READ|ERROR", "its handler reads neither its data nor the error");
    CHECK_IS(collect_error(fd), ECONNREFUSED);
    close(fd);
}

static void collect(readyq_watch *w)
{
    collect_error(w->fd);
}

static void test_an_error_is_not_collected_by_a_sender(void)
{
    int fd = open_refused(false);

    ignore(fd, READYQ_WRITE, "WRITE|ERROR", "nobody reads its error: call getsockopt");
    CHECK_IS(collect_error(fd), ECONNREFUSED);
    close(fd);
}

/* Its peer has left without reading what it was sent. Nothing shows how many datagrams wait in such
 * a socket. */
static void test_an_error_of_a_local_datagram_socket_is_not_collected(void)
{
#if HAS_EPOLL /* the others report no such error */
    const struct sockaddr nobody = {.sa_family = AF_UNSPEC};
    int p[2];

    CHECK_IS(socketpair(AF_UNIX, SOCK_DGRAM, 0, p), 0);
    put(p[0]);
    CHECK_IS(connect(p[1], &nobody, sizeof nobody), 0);
    ignore(p[0], READYQ_READ, "READ|ERROR", "its handler reads neither its data nor the error");
    close_pair(p);
#endif
}

static void work_a_little(readyq_watch *w)
{
    (void)w;
    sleep_ns(200000);
}

/* The handler may collect an error each time, after which the next one comes. */
static void test_an_error_in_slow_turns_proves_nothing(void)
{
    readyq *q = open_watched();
    int fd = open_refused(false);
    readyq_watch w;

    add(q, &w, fd, READYQ_READ);
    run_with(q, 0, TURNS + 10, work_a_little);
    if (HAS_EPOLL)
        expect_silence();
    else
        expect("UDP", "its handler reads neither its data nor the error");
    readyq_close(q);
    close(fd);
}

static void test_an_error_queue_is_not_read(void)
{
    readyq *q = open_watched();
    int fd = open_refused(true);
    readyq_watch w;

    add(q, &w, fd, READYQ_READ);
    run_with(q, 0, 5 * TURNS, collect);
    expect_with_epoll("UDP", "nobody reads its error queue (IP_RECVERR)");
    readyq_close(q);
    close(fd);
}

/* Over IPv6 the option is another one. */
static void test_an_error_queue_over_ipv6_is_not_read(void)
{
#if HAS_EPOLL
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
    socklen_t size = sizeof address;
    readyq *q = open_watched();
    int closed = socket(AF_INET6, SOCK_DGRAM, 0), fd = socket(AF_INET6, SOCK_DGRAM, 0), on = 1;
    readyq_watch w;

    if (bind(closed, (void *)&address, sizeof address) == 0) { /* this machine has IPv6 */
        CHECK_IS(getsockname(closed, (void *)&address, &size), 0);
        close(closed);
        CHECK_IS(setsockopt(fd, IPPROTO_IPV6, IPV6_RECVERR, &on, sizeof on), 0);
        CHECK_IS(connect(fd, (void *)&address, sizeof address), 0);
        put(fd); /* is refused at once */
        add(q, &w, unblocked(fd), READYQ_READ);
        run_with(q, 0, 5 * TURNS, collect);
        expect("UDP", "nobody reads its error queue (IP_RECVERR)");
    } else {
        close(closed);
    }
    readyq_close(q);
    close(fd);
#endif
}

static void test_connections_are_not_accepted(void)
{
    struct sockaddr_in address;
    int listener = open_listener(&address), client = connect_to(&address);

    spin(listener, READYQ_READ);
    expect_with_epoll("listening", "nobody accepts the waiting connections");
    close(client);
    close(listener);
}

static int refused;

static void accept_slowly(readyq_watch *w)
{
    CHECK_IS(accept(w->fd, NULL, NULL), -1);
    CHECK_IS(errno, EMFILE);
    sleep_ns(200000); /* as by a line of a log: neither quick nor slow */
    refused++;
}

static void test_no_descriptor_is_left_for_a_listener(void)
{
    struct rlimit limit;
    int free_number;
    struct sockaddr_in address;
    int listener = open_listener(&address), client = connect_to(&address);
    readyq *q = open_watched();
    readyq_watch w;

    add(q, &w, listener, READYQ_READ);
    CHECK_IS(getrlimit(RLIMIT_NOFILE, &limit), 0);
    CHECK((free_number = dup(0)) >= 0);
    close(free_number);
    limit.rlim_cur = (rlim_t)free_number;
    CHECK_IS(setrlimit(RLIMIT_NOFILE, &limit), 0);
    run_with(q, 0, 2 * TURNS, accept_slowly);
    CHECK_IS(refused, 2 * TURNS);
    expect("listening", "no descriptors are left, so accept fails");
    readyq_close(q);
    close(client);
    close(listener);
}

static void test_each_of_many_watches_that_spin_is_reported(void)
{
    enum { MANY = 80 };
    readyq *q = open_watched();
    readyq_watch w[MANY];
    int p[2], numbers[MANY];

    if (HAS_EPOLL) /* calls that read are counted for these */
        open_pipe(p);
    else
        open_unix(p);
    put(p[1]);
    for (int i = 0; i < MANY; i++) {
        CHECK((numbers[i] = dup(p[0])) >= 0);
        add(q, &w[i], numbers[i], READYQ_READ);
    }
    for (int i = 0; i < 30 && dog.told < MANY; i++)
        run_with(q, 0, 2 * TURNS, NULL);
    CHECK_IS(dog.told, MANY);
    readyq_close(q);
    for (int i = 0; i < MANY; i++)
        close(numbers[i]);
    close_pair(p);
}

/* ------------------------------------------------------------------ turns */

static void block(readyq_watch *w)
{
    (void)w;
    sleep_ns(80 * MS);
}

static void test_a_long_turn(void)
{
    readyq *q = open_watched_with(50 * MS);
    readyq_watch w;
    int p[2];

    open_pipe(p);
    put(p[1]);
    add(q, &w, p[0], READYQ_READ);
    run_with(q, 0, 3, block);
    expect("(pipe) interest READ, ready READ: its handler took ", "nothing else was handled");
    CHECK(dog.watch == &w);
    readyq_close(q);
    close_pair(p);
}

static void test_a_long_turn_of_a_timer_that_has_left(void)
{
    readyq *q = open_watched_with(50 * MS);
    readyq_watch w = {0};

    CHECK_IS(readyq_add_timer(q, &w, 0, 0), 0);
    run_with(q, -1, 1, block);
    run_with(q, 0, 1, NULL);
    expect("timer: its handler took ", "");
    CHECK(dog.watch == NULL);
    readyq_close(q);
}

static void remove_and_block(readyq_watch *w)
{
    CHECK_IS(readyq_remove(w), 0);
    sleep_ns(80 * MS);
}

static void test_a_long_turn_of_a_watch_that_is_removed_in_it(void)
{
    readyq *q = open_watched_with(50 * MS);
    readyq_watch trigger = {0};

    CHECK_IS(readyq_add_trigger(q, &trigger), 0);
    CHECK_IS(readyq_fire(&trigger), 0);
    run_with(q, 0, 2, remove_and_block);
    expect("trigger: its handler took ", "");
    CHECK(dog.watch == NULL);
    readyq_close(q);
}

static void test_a_long_turn_of_a_descriptor_that_is_removed_in_it(void)
{
    readyq *q = open_watched_with(50 * MS);
    readyq_watch w;
    int p[2];
    char text[80];

    open_pipe(p);
    put(p[1]);
    add(q, &w, p[0], READYQ_READ);
    run_with(q, 0, 2, remove_and_block);
    snprintf(text, sizeof text, "fd %d, which has since been removed: its handler took ", p[0]);
    expect(text, "");
    CHECK(dog.watch == NULL);
    readyq_close(q);
    close_pair(p);
}

static void compute(int64_t time)
{
    const int64_t until = now_ns() + time;

    while (now_ns() < until)
        ;
}

/* However long others keep it from running meanwhile. */
static void compute_long(readyq_watch *w)
{
    struct timespec worked;

    (void)w;
    do
        CHECK_IS(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &worked), 0);
    while (worked.tv_sec == 0 && worked.tv_nsec < 300 * MS);
}

static void test_a_turn_that_computes(void)
{
    readyq *q = open_watched_with(50 * MS);
    readyq_watch w = {0};

    CHECK_IS(readyq_add_timer(q, &w, 0, MS), 0);
    run_with(q, -1, 1, compute_long);
    run_with(q, 0, 1, NULL);
    expect("timer", ": its handler took ");
    readyq_close(q);
}

static void block_first(readyq_watch *w)
{
    if (w->kind == READYQ_KIND_TRIGGER)
        sleep_ns(80 * MS);
}

static void test_the_longest_handler_of_a_long_turn_is_named(void)
{
    readyq *q = open_watched_with(50 * MS);
    readyq_watch other = {0}, trigger = {0}, timer = {0};

    CHECK_IS(readyq_add_trigger(q, &other), 0);
    CHECK_IS(readyq_add_trigger(q, &trigger), 0);
    CHECK_IS(readyq_fire(&trigger), 0);
    CHECK_IS(readyq_add_timer(q, &timer, 0, LONG), 0);
    run_with(q, 0, 2, block_first);
    expect("trigger", " with 2 handlers; no other event was handled until the turn ended");
    CHECK(dog.watch == &trigger);
    readyq_close(q);
}

static readyq *inner;

static void wait_inside(readyq_watch *w)
{
    (void)w;
    CHECK_IS(count_ready(inner, 80 * MS), 0);
}

static void test_a_wait_inside_a_handler_is_no_turn(void)
{
    readyq *q = open_watched_with(50 * MS);
    readyq_watch w = {0};

    inner = open_queue();
    CHECK_IS(readyq_add_timer(q, &w, 0, MS), 0);
    run_with(q, -1, 3, wait_inside);
    readyq_close(inner);
    inner = open_watched_with(50 * MS);
    run_with(q, -1, 3, wait_inside);
    expect_silence();
    readyq_close(inner);
    readyq_close(q);
}

static void test_time_between_loops_is_no_turn(void)
{
    readyq *q = open_watched_with(50 * MS);
    readyq_watch w = {0};

    CHECK_IS(readyq_add_timer(q, &w, 0, MS), 0);
    for (int i = 0; i < 2; i++) {
        run_with(q, -1, 3, NULL);
        sleep_ns(80 * MS);
    }
    CHECK_IS(take_all_within(q, 0), 1);
    sleep_ns(80 * MS);
    CHECK_IS(count_ready(q, 0), 1);
    expect_silence();
    readyq_close(q);
}

/* ------------------------------------------------------------------ asleep */

static void test_a_descriptor_was_closed(void)
{
    readyq *q = open_watched();
    readyq_watch w;
    int p[2];

    open_pipe(p);
    add(q, &w, p[0], READYQ_READ);
    close(p[0]);
    run_with(q, 60 * MS, 3, NULL);
    expect("(was: pipe) interest READ: it was closed before its watch was removed; ", "");
    CHECK(dog.watch == &w);
    readyq_close(q);
    close(p[1]);
}

static void check_reused(void (*open_other)(int[2]))
{
    readyq *q = open_watched();
    readyq_watch w;
    int p[2], other[2];

    open_pipe(p);
    open_other(other);
    dog.told = 0;
    add(q, &w, p[0], READYQ_READ);
    CHECK_IS(dup2(other[0], p[0]), p[0]);
    run_with(q, 60 * MS, 3, NULL);
    expect("(was: pipe)", "and its number belongs to another file now");
    readyq_close(q);
    close_pair(p);
    close_pair(other);
}

static void test_a_number_is_another_files(void)
{
    check_reused(open_unix);
    check_reused(open_pipe); /* on the same device */
}

static void test_a_number_is_watched_again(void)
{
    readyq *q = open_watched();
    readyq_watch w, again[2];
    int p[2], other[2];

    open_pipe(p);
    open_unix(other);
    add(q, &w, p[0], READYQ_READ);
    CHECK_IS(dup2(other[0], p[0]), p[0]);
    add(q, &again[0], p[0], READYQ_READ);
    run_with(q, 60 * MS, 3, NULL);
    expect("(was: pipe)", "and its number belongs to another file now");
    CHECK(dog.watch == &w);
    dog.told = 0;
    CHECK_IS(dup2(p[1], p[0]), p[0]);
    add(q, &again[1], p[0], READYQ_READ);
    run_with(q, 60 * MS, 3, NULL);
    expect("(was: UNIX socket", "and its number belongs to another file now");
    CHECK(dog.watch == &again[0]);
    readyq_close(q);
    close_pair(p);
    close_pair(other);
}

static void test_a_watch_that_is_removed_after_the_close_is_none(void)
{
    readyq *q = open_watched();
    readyq_watch w;
    int p[2];

    open_pipe(p);
    add(q, &w, p[0], READYQ_READ);
    close(p[0]);
    CHECK_IS(readyq_remove(&w), 0);
    run_with(q, 60 * MS, 3, NULL);
    expect_silence();
    readyq_close(q);
    close(p[1]);
}

static void read_one(readyq_watch *w)
{
    get(w->fd);
}

static void read_all(readyq_watch *w)
{
    drain(w->fd);
}

static void watch_edge(handler handle)
{
    readyq *q = open_watched();
    readyq_watch w;
    int p[2];

    open_tcp(p);
    put(p[1]);
    put(p[1]);
    put(p[1]);
    add(q, &w, p[0], READYQ_READ | READYQ_EDGE);
    run_with(q, 40 * MS, 5, handle);
    readyq_close(q);
    close_pair(p);
}

static void test_an_edge_watch_is_left_with_data(void)
{
    watch_edge(read_one);
    expect("interest READ|EDGE: 2 bytes have been left unread for 0.",
           "EDGE does not report them again");
}

static void test_an_edge_watch_is_drained(void)
{
    watch_edge(read_all);
    expect_silence();
}

static void test_an_edge_watch_is_left_with_one_byte(void)
{
    readyq *q = open_watched();
    readyq_watch w;
    int p[2];

    open_tcp(p);
    put(p[1]);
    add(q, &w, p[0], READYQ_READ | READYQ_EDGE);
    run_with(q, 40 * MS, 5, NULL);
    expect("interest READ|EDGE: 1 byte has been left unread for 0.",
           "EDGE does not report it again");
    readyq_close(q);
    close_pair(p);
}

/* It is paused on purpose. */
static void test_a_paused_edge_watch_may_be_left_with_data(void)
{
    readyq *q = open_watched();
    readyq_watch w;
    int p[2];

    open_tcp(p);
    put(p[1]);
    add(q, &w, p[0], READYQ_READ | READYQ_EDGE | READYQ_ONESHOT);
    run_with(q, 40 * MS, 5, NULL);
    expect_silence();
    readyq_close(q);
    close_pair(p);
}

/* The rest is read by a timer. */
static void test_an_edge_watch_is_read_later(void)
{
    readyq *q = open_watched();
    readyq_watch w, timer = {0};
    int p[2];

    open_tcp(p);
    put(p[1]);
    put(p[1]);
    put(p[1]);
    add(q, &w, p[0], READYQ_READ | READYQ_EDGE);
    CHECK_IS(take(q) == &w, true);
    CHECK_IS(readyq_add_timer(q, &timer, 30 * MS, 30 * MS), 0);
    for (int i = 0; i < 3; i++) {
        CHECK(take(q) == &timer);
        get(p[0]);
    }
    run_with(q, 30 * MS, 5, NULL);
    expect_silence();
    readyq_close(q);
    close_pair(p);
}

/* By other code than the handler of the watch: fewer bytes are left afterwards. */
static void test_an_edge_watch_is_read_little_by_little(void)
{
    readyq *q = open_watched();
    readyq_watch w;
    int p[2];

    open_tcp(p);
    for (int i = 0; i < 6; i++)
        put(p[1]);
    add(q, &w, p[0], READYQ_READ | READYQ_EDGE);
    CHECK(take(q) == &w);
    for (int i = 0; i < 6; i++) { /* six times 20 ms are longer than `rest`, and one is not */
        CHECK_IS(count_ready(q, 20 * MS), 0);
        get(p[0]);
    }
    run_with(q, 60 * MS, 3, NULL);
    expect_silence();
    readyq_close(q);
    close_pair(p);
}

/* A sleep checks some of them, and the next one the others. */
static void test_one_of_very_many_descriptors_was_closed(void)
{
    enum { MANY = 300 };
    readyq *q = open_watched();
    readyq_watch w[MANY];
    int p[2], numbers[MANY];

    open_pipe(p);
    for (int i = 0; i < MANY; i++) {
        CHECK((numbers[i] = dup(p[0])) >= 0);
        add(q, &w[i], numbers[i], READYQ_READ);
    }
    close(numbers[MANY - 1]);
    run_with(q, 5 * MS, 1, NULL);
    expect_silence();
    run_with(q, 60 * MS, 3, NULL);
    expect("(was: pipe)", "it was closed before its watch was removed");
    CHECK(dog.watch == &w[MANY - 1]);
    readyq_close(q);
    for (int i = 0; i < MANY - 1; i++)
        close(numbers[i]);
    close_pair(p);
}

static void test_an_edge_listener_is_left_with_connections(void)
{
    struct sockaddr_in address;
    int listener = open_listener(&address), one = connect_to(&address), two = connect_to(&address);
    readyq *q = open_watched();
    readyq_watch w;

    add(q, &w, listener, READYQ_READ | READYQ_EDGE);
    CHECK(take(q) == &w);
    close(accept(listener, NULL, NULL));
    run_with(q, 40 * MS, 5, NULL);
    expect_with_epoll("listening", "1 connection has been waiting for 0.");
    readyq_close(q);
    close(one);
    close(two);
    close(listener);
}

static void test_an_edge_listener_is_left_with_all_its_connections(void)
{
    struct sockaddr_in address;
    int listener = open_listener(&address), one = connect_to(&address), two = connect_to(&address);
    readyq *q = open_watched();
    readyq_watch w;

    add(q, &w, listener, READYQ_READ | READYQ_EDGE);
    run_with(q, 40 * MS, 5, NULL);
    expect_with_epoll("listening", "2 connections have been waiting for 0.");
    readyq_close(q);
    close(one);
    close(two);
    close(listener);
}

/* The error is not one of a queue of errors: nothing is lost by reading it later. */
static void test_an_edge_watch_whose_error_is_not_collected_is_not_left_with_data(void)
{
    readyq *q = open_watched();
    int fd = open_refused(false);
    readyq_watch w;

    add(q, &w, fd, READYQ_READ | READYQ_EDGE);
    run_with(q, 40 * MS, 5, NULL);
    expect_silence();
    readyq_close(q);
    close(fd);
}

static void test_the_error_queue_of_an_edge_watch_is_left(void)
{
    readyq *q = open_watched();
    int fd = open_refused(true);
    readyq_watch w;

    add(q, &w, fd, READYQ_READ | READYQ_EDGE);
    run_with(q, 40 * MS, 5, collect);
    expect_with_epoll("READ|EDGE", "its error queue (IP_RECVERR) has been left unread");
    readyq_close(q);
    close(fd);
}

static void mask(int how, int signal)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, signal);
    CHECK_IS(pthread_sigmask(how, &set, NULL), 0);
}

static void test_a_signal_that_is_blocked_when_it_is_added(void)
{
    readyq *q = open_watched();
    readyq_watch w = {0};

    mask(SIG_BLOCK, SIGUSR1);
    CHECK_IS(readyq_add_signal(q, &w, SIGUSR1), 1);
    run_with(q, 60 * MS, 3, NULL);
    expect("signal 10 ", "is blocked in every thread");
    CHECK(dog.watch == &w);
    readyq_close(q);
}

static void test_a_signal_that_is_blocked_later(void)
{
    readyq *q = open_watched();
    readyq_watch w = {0};

    CHECK_IS(readyq_add_signal(q, &w, SIGUSR1), 0);
    run_with(q, 60 * MS, 3, NULL);
    expect_silence();
    mask(SIG_BLOCK, SIGUSR1);
    run_with(q, 60 * MS, 3, NULL);
    expect("signal 10 ", "is blocked in every thread");
    readyq_close(q);
}

/* ------------------------------------------------------------------ who is never accused */

static atomic_bool over;
static int writes_to;

/* Fills what it is told to, all the time. */
static void *flood(void *size)
{
    static const char bytes[4096];

    while (!atomic_load(&over))
        if (write(writes_to, bytes, (size_t)(intptr_t)size) < 0)
            sched_yield();
    return NULL;
}

static void read_page(readyq_watch *w)
{
    char bytes[4096];

    CHECK(read(w->fd, bytes, sizeof bytes) > 0);
}

static void read_page_and_compute(readyq_watch *w)
{
    read_page(w);
    compute(30000);
}

/* A reader that reads one message in each turn of a descriptor that another thread keeps full. */
static void overload(const int p[2], int size, handler handle)
{
    readyq *q = open_watched();
    readyq_watch w;
    pthread_t writer;

    writes_to = p[1];
    writer = start(flood, (void *)(intptr_t)size);
    add(q, &w, p[0], READYQ_READ);
    run_with(q, LONG, 5 * TURNS, handle);
    atomic_store(&over, true);
    join(writer);
    atomic_store(&over, false);
    expect_silence();
    readyq_close(q);
    close_pair(p);
}

static void overload_twice(void (*open_two)(int p[2]), int size)
{
    int p[2];

    open_two(p);
    overload(p, size, read_page);
    open_two(p);
    overload(p, size, read_page_and_compute);
}

static void open_datagrams(int p[2])
{
    CHECK_IS(socketpair(AF_UNIX, SOCK_DGRAM, 0, p), 0);
    unblocked(p[0]);
    unblocked(p[1]);
}

static void open_udp(int p[2])
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof address;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    p[0] = unblocked(socket(AF_INET, SOCK_DGRAM, 0));
    p[1] = unblocked(socket(AF_INET, SOCK_DGRAM, 0));
    CHECK_IS(bind(p[0], (void *)&address, size), 0);
    CHECK_IS(getsockname(p[0], (void *)&address, &size), 0);
    CHECK_IS(connect(p[1], (void *)&address, size), 0);
}

static void open_sequence(int p[2])
{
    CHECK_IS(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, p), 0);
    unblocked(p[0]);
    unblocked(p[1]);
}

static void test_an_overloaded_tcp_server(void)
{
    overload_twice(open_tcp, 4096);
}

static void test_an_overloaded_unix_server(void)
{
    overload_twice(open_unix, 4096);
    overload_twice(open_unix, 1);
}

static void test_an_overloaded_pipe(void)
{
    overload_twice(open_pipe, 4096);
}

static void test_an_overloaded_udp_server(void)
{
    overload_twice(open_udp, 100);
}

static void test_overloaded_datagrams(void)
{
    overload_twice(open_datagrams, 100);
    overload_twice(open_sequence, 100);
}

static void answer(readyq_watch *w)
{
    get(w->fd);
    put(w->fd);
}

/* The client has one question on its way at any time. */
static void *ask(void *turns)
{
    char byte;

    for (int i = 0; i < (int)(intptr_t)turns; i++) {
        put(writes_to);
        while (read(writes_to, &byte, 1) != 1)
            ;
    }
    return NULL;
}

static void serve(int p[2])
{
    readyq *q = open_watched();
    readyq_watch w;
    pthread_t client;

    writes_to = p[1];
    client = start(ask, (void *)(intptr_t)(5 * TURNS));
    add(q, &w, p[0], READYQ_READ);
    run_with(q, LONG, 5 * TURNS, answer);
    join(client);
    expect_silence();
    readyq_close(q);
    close_pair(p);
}

static void test_questions_and_answers(void)
{
    int p[2];

    open_tcp(p);
    serve(p);
    open_unix(p);
    serve(p);
}

static int peer;

static void send_more(readyq_watch *w)
{
    put(w->fd);
    get(peer); /* has read it at once: nothing is ever on its way */
}

/* A socket whose WRITE is asked for while it sends, in each turn. */
static void send_to(void (*open_two)(int p[2]))
{
    readyq *q = open_watched();
    readyq_watch w;
    int p[2];

    open_two(p);
    peer = p[1];
    add(q, &w, p[0], READYQ_READ | READYQ_WRITE);
    run_with(q, LONG, 5 * TURNS, send_more);
    expect_silence();
    readyq_close(q);
    close_pair(p);
}

static void test_a_sender(void)
{
    send_to(open_tcp);
}

static void test_a_writer_of_a_pipe(void)
{
    readyq *q = open_watched();
    readyq_watch w;
    int p[2];

    open_pipe(p);
    peer = p[0];
    add(q, &w, p[1], READYQ_WRITE);
    run_with(q, LONG, 5 * TURNS, send_more);
    expect_silence();
    readyq_close(q);
    close_pair(p);
}

static void read_byte(readyq_watch *w)
{
    char byte;

    if (read(w->fd, &byte, 1) == 0)
        CHECK_IS(lseek(w->fd, 0, SEEK_SET), 0);
}

static void test_a_file_that_is_read_byte_by_byte(void)
{
    readyq *q = open_watched();
    int fd = open_file();
    readyq_watch w;

    add(q, &w, fd, READYQ_READ);
    run_with(q, LONG, 5 * TURNS, read_byte);
    expect_silence();
    readyq_close(q);
    close(fd);
}

static void test_a_paused_watch(void)
{
    readyq *q = open_watched();
    readyq_watch w;
    int p[2];

    open_tcp(p);
    add(q, &w, p[0], READYQ_WRITE);
    CHECK(take(q) == &w);
    CHECK_IS(readyq_modify(&w, 0), 0);
    run_with(q, 0, 5 * TURNS, NULL);
    run_with(q, MS, 100, NULL);
    expect_silence();
    readyq_close(q);
    close_pair(p);
}

static void change(readyq_watch *w)
{
    static int turns;

    if (++turns % 100 == 0)
        CHECK_IS(readyq_modify(w, READYQ_WRITE), 0);
}

static void test_a_watch_that_is_changed(void)
{
    readyq *q = open_watched();
    readyq_watch w;
    int p[2];

    open_tcp(p);
    add(q, &w, p[0], READYQ_WRITE);
    run_with(q, LONG, 5 * TURNS, change);
    expect_silence();
    readyq_close(q);
    close_pair(p);
}

static void pause_turn(readyq_watch *w)
{
    (void)w;
    sleep_ns(2 * MS);
}

/* A program with a rhythm of its own, as a game. */
static void test_a_loop_with_pauses(void)
{
    readyq *q = open_watched_with(SECOND);
    readyq_watch w;
    int p[2];

    open_tcp(p);
    add(q, &w, p[0], READYQ_WRITE);
    run_with(q, 0, TURNS + 100, pause_turn);
    expect_silence();
    readyq_close(q);
    close_pair(p);
}

static readyq_watch ping, pong;

static void fire_other(readyq_watch *w)
{
    CHECK_IS(readyq_fire(w == &ping ? &pong : &ping), 0);
}

static void test_triggers_and_timers(void)
{
    readyq *q = open_watched();
    readyq_watch timer = {0};

    CHECK_IS(readyq_add_trigger(q, &ping), 0);
    CHECK_IS(readyq_add_trigger(q, &pong), 0);
    CHECK_IS(readyq_fire(&ping), 0);
    run_with(q, LONG, 5 * TURNS, fire_other);
    CHECK_IS(readyq_remove(&ping), 0);
    CHECK_IS(readyq_remove(&pong), 0);
    CHECK_IS(readyq_add_timer(q, &timer, 0, 1), 0);
    run_with(q, LONG, 5 * TURNS, NULL);
    expect_silence();
    readyq_close(q);
}

static void handle_inner(readyq_watch *w)
{
    readyq_batch batch = {0};
    readyq_watch *found;

    (void)w;
    CHECK_IS(readyq_wait(inner, &batch, 0, 1), 1);
    while ((found = readyq_next(&batch)) != NULL)
        get(found->fd);
    readyq_done(&batch);
}

/* Nobody ever reads the descriptor of a queue, which is always readable here. */
static void test_a_queue_in_a_queue(void)
{
    static const char bytes[5 * TURNS + 1];
    readyq *q = open_watched();
    readyq_watch w, below;
    int p[2];

    inner = open_watched();
    open_pipe(p);
    CHECK_IS(write(p[1], bytes, sizeof bytes), (int)sizeof bytes);
    add(inner, &below, p[0], READYQ_READ);
    add(q, &w, readyq_fileno(inner), READYQ_READ);
    run_with(q, LONG, 5 * TURNS, handle_inner);
    expect_silence();
    CHECK_IS(readyq_remove(&w), 0);
    readyq_close(inner);
    readyq_close(q);
    close_pair(p);
}

static atomic_int connections;

static void accept_one(readyq_watch *w)
{
    int fd = accept(w->fd, NULL, NULL);

    if (fd >= 0)
        reset(fd);
    atomic_fetch_add(&connections, fd >= 0);
}

static void *connect_often(void *address)
{
    while (!atomic_load(&over)) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);

        unblocked(fd);
        (void)!connect(fd, address, sizeof(struct sockaddr_in));
        reset(fd);
    }
    return NULL;
}

static void test_a_listener_under_load(void)
{
    struct sockaddr_in address;
    int listener = open_listener(&address);
    readyq *q = open_watched();
    readyq_watch w;
    pthread_t client = start(connect_often, &address);

    add(q, &w, listener, READYQ_READ);
    run_with(q, LONG, 5 * TURNS, accept_one);
    atomic_store(&over, true);
    join(client);
    CHECK(atomic_load(&connections) > TURNS);
    expect_silence();
    readyq_close(q);
    close(listener);
}

static void *work(void *q)
{
    run_with(q, LONG, 5 * TURNS, read_page);
    return NULL;
}

static void test_a_pool(void)
{
    readyq *q = open_watched();
    readyq_watch w[2];
    pthread_t workers[3], writer;
    int p[2], more[2];

    open_tcp(p);
    open_unix(more);
    writes_to = p[1];
    writer = start(flood, (void *)(intptr_t)4096);
    add(q, &w[0], p[0], READYQ_READ);
    add(q, &w[1], more[0], READYQ_READ);
    for (int i = 0; i < 3; i++)
        workers[i] = start(work, q);
    for (int i = 0; i < 3; i++)
        join(workers[i]);
    atomic_store(&over, true);
    join(writer);
    expect_silence();
    readyq_close(q);
    close_pair(p);
    close_pair(more);
}

/* ------------------------------------------------------------------ the switch */

static void test_the_environment_switches_it_on(void)
{
    readyq_watch *w;
    char text[640];
    readyq *q;
    int p[2];

    CHECK_IS(setenv("READYQ_DEBUG", "0", 1), 0);
    q = open_queue_with((struct readyq_options){.interruptible = true});
    CHECK_IS(readyq_warning(q, &w, text, sizeof text), 0);
    readyq_close(q);
    CHECK_IS(setenv("READYQ_DEBUG", "1", 1), 0);
    q = open_queue_with((struct readyq_options){.interruptible = true});
    open_pipe(p);
    put(p[1]);
    readyq_watch watch;
    add(q, &watch, p[0], READYQ_READ);
    CHECK_IS(readyq_warning(q, &w, text, sizeof text), 0);
    CHECK(!readyq_has_reports(q));
    run_with(q, 0, 10010, NULL);
    CHECK(readyq_has_reports(q));
    CHECK_IS(readyq_warning(q, &w, text, sizeof text), READYQ_WARNING_SPIN);
    CHECK(!readyq_has_reports(q));
    CHECK_HAS(text, "reported 10,000 times");
    CHECK(w == &watch);
    CHECK_IS(readyq_warning(q, &w, text, sizeof text), 0);
    readyq_close(q);
    close_pair(p);
}

static void test_without_a_function_warnings_are_printed(void)
{
    const struct readyq_debug debug = {.rest = 20 * MS};
    readyq *q = open_queue_with((struct readyq_options){.debug = &debug});
    readyq_watch w;
    char text[700] = "";
    int p[2], file = open_file(), kept = dup(STDERR_FILENO);

    CHECK_IS(ftruncate(file, 0), 0);
    open_pipe(p);
    add(q, &w, p[0], READYQ_READ);
    close(p[0]);
    CHECK_IS(dup2(file, STDERR_FILENO), STDERR_FILENO);
    run_with(q, 30 * MS, 2, NULL);
    CHECK_IS(dup2(kept, STDERR_FILENO), STDERR_FILENO);
    CHECK(pread(file, text, sizeof text - 1, 0) > 0);
    CHECK_IS(strncmp(text, "readyq: fd ", 11), 0);
    CHECK_HAS(text, "it was closed before its watch was removed");
    readyq_close(q);
    close(p[1]);
    close(file);
    close(kept);
}

/* A warning that is found before a sleep does not wait for its end. */
static void test_a_warning_ends_the_wait_of_an_interpreter(void)
{
    const struct readyq_debug debug = {.rest = 20 * MS};
    readyq *q = open_queue_with((struct readyq_options){.debug = &debug, .interruptible = true});
    readyq_batch batch = {0};
    readyq_watch watch, *w;
    char text[640];
    int p[2];

    open_pipe(p);
    add(q, &watch, p[0], READYQ_READ);
    close(p[0]);
    CHECK_IS(readyq_wait(q, &batch, -1, 0), -EINTR);
    CHECK_IS(readyq_warning(q, &w, text, sizeof text), READYQ_WARNING_CLOSED);
    CHECK_IS(readyq_wait(q, &batch, 50 * MS, 0), 0);
    readyq_done(&batch);
    readyq_close(q);
    close(p[1]);
}

/* They are given a few at a time. */
static void test_each_of_very_many_mistakes_at_once_is_reported(void)
{
    enum { MANY = 100 };
    const struct readyq_debug debug = {.rest = 20 * MS};
    readyq *q = open_queue_with((struct readyq_options){.debug = &debug, .interruptible = true});
    readyq_batch batch = {0};
    readyq_watch watches[MANY], edge, blocked = {0}, *w;
    char text[640];
    int p[2], other[2], numbers[MANY], told = 0, rounds = 0;

    open_pipe(p);
    open_unix(other);
    put(other[1]);
    add(q, &edge, other[0], READYQ_READ | READYQ_EDGE);
    CHECK(take(q) == &edge);
    for (int i = 0; i < MANY; i++) {
        CHECK((numbers[i] = dup(p[0])) >= 0);
        add(q, &watches[i], numbers[i], READYQ_READ);
    }
    CHECK_IS(readyq_add_signal(q, &blocked, SIGUSR1), 0);
    mask(SIG_BLOCK, SIGUSR1);
    for (int i = 0; i < MANY; i++)
        close(numbers[i]);
    for (; told < MANY + 2; rounds++) {
        CHECK_IS(readyq_wait(q, &batch, -1, 0), -EINTR);
        sleep_ns(30 * MS);
        CHECK_IS(readyq_wait(q, &batch, -1, 0), -EINTR); /* finds more, for which is no place */
        while (readyq_warning(q, &w, text, sizeof text) != 0) {
            CHECK(w != NULL && w->data == NULL);
            w->data = &dog;
            told++;
        }
    }
    CHECK(rounds > 1);
    CHECK_IS(readyq_wait(q, &batch, 60 * MS, 0), 0);
    CHECK_IS(readyq_warning(q, &w, text, sizeof text), 0);
    readyq_done(&batch);
    readyq_close(q);
    close_pair(p);
    close_pair(other);
}

TESTS(TEST(test_unread_data_of_a_tcp_socket), TEST(test_unread_data_of_a_pipe),
      TEST(test_unread_data_of_a_unix_socket), TEST(test_unread_data_of_a_tcp_socket_of_ipv6),
      TEST(test_unread_data_of_a_terminal), TEST(test_unread_data_of_a_file),
      TEST(test_unread_data_before_the_end), TEST(test_unread_counts_of_eventfd_and_timerfd),
      TEST(test_more_than_a_little_unread_data_proves_nothing),
      TEST(test_many_unread_datagrams_prove_nothing), TEST(test_data_that_arrives_hides_no_spin),
      TEST(test_the_end_of_a_tcp_socket_is_not_handled),
      TEST(test_the_end_of_a_pipe_is_read_again_and_again),
      TEST(test_the_end_of_a_file_is_read_again_and_again),
      TEST(test_nobody_reads_the_other_end_of_a_pipe),
      TEST(test_write_is_asked_for_though_nothing_is_sent),
      TEST(test_write_is_asked_for_though_nothing_is_sent_to_a_pipe),
      TEST(test_write_is_asked_for_though_nothing_is_written_to_a_file),
      TEST(test_exceptional_data_is_not_read), TEST(test_an_error_is_not_collected),
      TEST(test_an_error_is_not_collected_by_a_sender),
      TEST(test_an_error_of_a_local_datagram_socket_is_not_collected),
      TEST(test_an_error_in_slow_turns_proves_nothing), TEST(test_an_error_queue_is_not_read),
      TEST(test_an_error_queue_over_ipv6_is_not_read), TEST(test_connections_are_not_accepted),
      TEST(test_no_descriptor_is_left_for_a_listener), TEST(test_a_long_turn),
      TEST(test_a_long_turn_of_a_timer_that_has_left),
      TEST(test_a_long_turn_of_a_watch_that_is_removed_in_it), TEST(test_a_turn_that_computes),
      TEST(test_the_longest_handler_of_a_long_turn_is_named),
      TEST(test_a_wait_inside_a_handler_is_no_turn), TEST(test_time_between_loops_is_no_turn),
      TEST(test_a_descriptor_was_closed), TEST(test_a_number_is_another_files),
      TEST(test_a_number_is_watched_again),
      TEST(test_a_watch_that_is_removed_after_the_close_is_none),
      TEST(test_an_edge_watch_is_left_with_data), TEST(test_an_edge_watch_is_drained),
      TEST(test_an_edge_watch_is_left_with_one_byte),
      TEST(test_a_paused_edge_watch_may_be_left_with_data), TEST(test_an_edge_watch_is_read_later),
      TEST(test_an_edge_listener_is_left_with_connections),
      TEST(test_an_edge_listener_is_left_with_all_its_connections),
      TEST(test_an_edge_watch_whose_error_is_not_collected_is_not_left_with_data),
      TEST(test_the_error_queue_of_an_edge_watch_is_left),
      TEST(test_a_signal_that_is_blocked_when_it_is_added),
      TEST(test_a_signal_that_is_blocked_later), TEST(test_an_overloaded_tcp_server),
      TEST(test_an_overloaded_unix_server), TEST(test_an_overloaded_pipe),
      TEST(test_an_overloaded_udp_server), TEST(test_overloaded_datagrams),
      TEST(test_questions_and_answers), TEST(test_a_sender), TEST(test_a_writer_of_a_pipe),
      TEST(test_a_file_that_is_read_byte_by_byte), TEST(test_a_paused_watch),
      TEST(test_a_watch_that_is_changed), TEST(test_a_loop_with_pauses),
      TEST(test_triggers_and_timers), TEST(test_a_queue_in_a_queue),
      TEST(test_a_listener_under_load), TEST(test_a_pool),
      TEST(test_the_environment_switches_it_on),
      TEST(test_a_warning_ends_the_wait_of_an_interpreter),
      TEST(test_each_of_very_many_mistakes_at_once_is_reported),
      TEST(test_each_of_many_watches_that_spin_is_reported),
      TEST(test_a_long_turn_of_a_descriptor_that_is_removed_in_it),
      TEST(test_an_edge_watch_is_read_little_by_little),
      TEST(test_one_of_very_many_descriptors_was_closed),
      TEST(test_without_a_function_warnings_are_printed),
      TEST(test_unread_data_of_a_pipe_where_no_descriptor_is_left),
      TEST(test_an_empty_datagram_is_not_read),
      TEST(test_a_watch_that_its_handler_adds_again_does_not_spin))
