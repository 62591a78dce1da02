/* SPDX-License-Identifier: MIT
 *
 * readyq_check(): the queue's table and the kernel's are the same, and a difference is told. Every
 * other test does it as well, when it closes a queue (check.h).
 */
#include "things.h"

#include <sys/epoll.h>

static int the_set(const readyq *q)
{
    (void)q; /* the first that a test opens */
    for (int fd = 3; fd < 64; fd++) {
        char path[64], target[64] = "";

        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        if (readlink(path, target, sizeof target - 1) > 0 && strstr(target, "eventpoll"))
            return fd;
    }
    return -1;
}

static void test_what_is_watched_in_every_way_agrees(void)
{
    readyq *q = open_queue();
    readyq_watch w[6] = {{0}}, timer = {0}, trigger = {0}, file = {0};
    readyq_batch batch = {0};
    const uint32_t interests[] = {READYQ_READ,
                                  READYQ_READ | READYQ_WRITE,
                                  READYQ_READ | READYQ_EDGE,
                                  READYQ_READ | READYQ_ONESHOT,
                                  READYQ_READ | READYQ_EXCLUSIVE,
                                  0};
    char text[400] = "x";
    int p[6][2], fd = open("/dev/null", O_RDONLY);

    for (int i = 0; i < 6; i++) {
        open_unix(p[i]);
        add(q, &w[i], p[i][0], interests[i]);
        CHECK_IS(write(p[i][1], "x", 1), 1);
    }
    add(q, &file, fd, READYQ_READ);
    CHECK_IS(readyq_add_timer(q, &timer, SECOND, 0), 0);
    CHECK_IS(readyq_add_trigger(q, &trigger), 0);
    CHECK_IS(readyq_check(q, text, sizeof text), 0);
    CHECK_IS(strlen(text), 0);
    CHECK(readyq_wait(q, &batch, 0, 0) > 0);
    while (readyq_next(&batch) != NULL)
        CHECK_IS(readyq_check(q, text, sizeof text), 0);
    readyq_done(&batch);
    CHECK_IS(readyq_modify(&w[3], READYQ_READ | READYQ_ONESHOT), 0);
    CHECK_IS(readyq_remove(&w[0]), 0);
    CHECK_IS(readyq_check(q, text, sizeof text), 0);
    readyq_close(q);
    for (int i = 0; i < 6; i++)
        close_pair(p[i]);
    close(fd);
}

static void test_a_change_that_the_queue_did_not_make_is_told(void)
{
    readyq *q = open_queue();
    readyq_watch w = {0};
    struct epoll_event event = {.events = EPOLLOUT};
    char text[400];
    int p[2], high, set = the_set(q);

    open_pipe(p);
    add(q, &w, p[0], READYQ_READ);
    event.data.u64 = 77ull << 32 | (uint32_t)p[1];
    CHECK_IS(epoll_ctl(set, EPOLL_CTL_ADD, p[1], &event), 0);
    CHECK_IS(readyq_check(q, text, sizeof text), 1);
    CHECK_HAS(text, "watches it, but the queue");
    CHECK_IS(epoll_ctl(set, EPOLL_CTL_DEL, p[1], NULL), 0);
    CHECK((high = fcntl(p[1], F_DUPFD, 900)) >= 900);
    CHECK_IS(epoll_ctl(set, EPOLL_CTL_ADD, high, &event), 0);
    CHECK_IS(readyq_check(q, text, sizeof text), 1);
    CHECK_HAS(text, "the kernel watches it, but the queue never did");
    CHECK_IS(epoll_ctl(set, EPOLL_CTL_DEL, high, NULL), 0);
    close(high);
    CHECK_IS(epoll_ctl(set, EPOLL_CTL_DEL, p[0], NULL), 0);
    CHECK_IS(readyq_check(q, text, sizeof text), 1);
    CHECK_HAS(text, "(pipe): the queue watches it, but the kernel does not\n");
    CHECK_IS(readyq_check(q, text, 0), 1);
    CHECK_IS(readyq_check(q, text, 12), 1);
    CHECK(strlen(text) < 12);
    CHECK_IS(readyq_remove(&w), 0);
    CHECK_IS(readyq_check(q, text, sizeof text), 0);
    readyq_close(q);
    close_pair(p);
}

static void test_another_interest_in_the_kernel_is_told(void)
{
    readyq *q = open_queue();
    readyq_watch w = {0};
    struct epoll_event event = {.events = EPOLLOUT};
    char text[400], line[128];
    unsigned long long key;
    int p[2], set = the_set(q), number;
    unsigned bits;
    FILE *info;

    open_unix(p);
    add(q, &w, p[0], READYQ_READ);
    snprintf(line, sizeof line, "/proc/self/fdinfo/%d", set);
    info = fopen(line, "re");
    CHECK(info != NULL);
    while (fgets(line, sizeof line, info) != NULL)
        if (sscanf(line, "tfd: %d events: %x data: %llx", &number, &bits, &key) == 3 &&
            number == p[0])
            event.data.u64 = key;
    fclose(info);
    CHECK_IS(epoll_ctl(set, EPOLL_CTL_MOD, p[0], &event), 0);
    CHECK_IS(readyq_check(q, text, sizeof text), 1);
    CHECK_HAS(text, "the queue watches it for READ, but the kernel for WRITE\n");
    CHECK_IS(readyq_modify(&w, READYQ_WRITE), 0);
    CHECK_IS(readyq_check(q, text, sizeof text), 0);
    readyq_close(q);
    close_pair(p);
}

static void test_a_ghost_is_told_until_it_is_removed(void)
{
    readyq *q = open_queue();
    readyq_watch w = {0};
    readyq_batch batch = {0};
    char text[400];
    int p[2], copy;

    open_pipe(p);
    add(q, &w, p[0], READYQ_READ);
    copy = dup(p[0]);
    close(p[0]);
    CHECK_IS(readyq_remove(&w), 0);
    CHECK_IS(readyq_check(q, text, sizeof text), 1);
    CHECK_HAS(text, ": the kernel still watches it, but the queue does not (a ghost)\n");
    CHECK_IS(write(p[1], "x", 1), 1);
    CHECK_IS(readyq_wait(q, &batch, SOON, 0), 0);
    CHECK_IS(readyq_check(q, text, sizeof text), 0);
    readyq_close(q);
    close(copy);
    close(p[1]);
}

static void test_a_closed_queue_is_not_checked(void)
{
    readyq *q = readyq_ref(open_queue());
    char text[8] = "x";

    readyq_close(q);
    CHECK_IS(readyq_check(q, text, sizeof text), -ESHUTDOWN);
    readyq_unref(q);
}

TESTS(TEST(test_what_is_watched_in_every_way_agrees),
      TEST(test_a_change_that_the_queue_did_not_make_is_told),
      TEST(test_another_interest_in_the_kernel_is_told),
      TEST(test_a_ghost_is_told_until_it_is_removed), TEST(test_a_closed_queue_is_not_checked))
