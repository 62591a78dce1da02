/* SPDX-License-Identifier: MIT
 *
 * The texts for descriptors and errors: readyq_describe() and readyq_explain().
 */
#include "things.h"

#include <sys/eventfd.h>
#include <sys/un.h>

#define CHECK_TEXT(actual, expected) CHECK(strcmp(actual, expected) == 0)

static void check_described(int fd, const char *part)
{
    char text[320];
    CHECK(readyq_describe(fd, text, sizeof text) == text);
    CHECK_HAS(text, part);
}

static void test_sockets_are_described_by_kind_and_address(void)
{
    char port[32];
    int p[2];
    struct sockaddr_in address;
    int listener = open_listener(&address);
    snprintf(port, sizeof port, "127.0.0.1:%d", ntohs(address.sin_port));
    check_described(listener, "TCP");
    check_described(listener, port);
    int fd = connect_to(&address);
    check_described(fd, " to ");
    check_described(fd, port);
    close(fd);
    close(listener);
    open_unix(p);
    check_described(p[0], "UNIX");
    close_pair(p);
}

/* Not every machine has all of them, and not every user may open them. */
static void test_sockets_of_all_kinds_are_named(void)
{
    static const struct {
        int family, type, protocol;
        const char *words;
    } kinds[] = {
        {AF_UNIX, SOCK_DGRAM, 0, "UNIX datagram socket, not connected"},
        {AF_INET, SOCK_DGRAM, 0, "UDP 0.0.0.0:0, not connected"},
        {AF_INET6, SOCK_DGRAM, 0, "UDP [::]:0, not connected"},
        {AF_INET, SOCK_RAW, IPPROTO_ICMP, "raw IP socket"},
        {AF_NETLINK, SOCK_RAW, 0, "socket"},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        int fd = socket(kinds[i].family, kinds[i].type, kinds[i].protocol);
        if (fd >= 0)
            check_described(fd, kinds[i].words);
        close(fd);
    }
}

static int bind_unix(struct sockaddr_un *address, const char *name, size_t length)
{
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(address->sun_path, name, length);
    CHECK_IS(bind(fd, (const struct sockaddr *)address,
                  (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)),
             0);
    CHECK_IS(listen(fd, 1), 0);
    return fd;
}

static void test_unix_sockets_are_described_by_their_names(void)
{
    char name[64], words[128];
    struct sockaddr_un address;
    int fd, peer, length = snprintf(name, sizeof name, "%c/tmp/readyq-%d", 0, (int)getpid());
    fd = bind_unix(&address, name, (size_t)length);
    snprintf(words, sizeof words, "UNIX socket @%s, listening", name + 1);
    check_described(fd, words);
    close(fd);
    fd = bind_unix(&address, name + 1, (size_t)length);
    peer = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK_IS(connect(peer, (const struct sockaddr *)&address, sizeof address), 0);
    snprintf(words, sizeof words, "UNIX socket to %s", name + 1);
    check_described(peer, words);
    close(peer);
    peer = open(name + 1, O_PATH);
    check_described(peer, "socket, not connected"); /* its place in the file system */
    close(peer);
    close(fd);
    CHECK_IS(unlink(name + 1), 0);
}

static void test_pipes_terminals_and_files_are_described(void)
{
    int p[2], fd;
    open_pipe(p);
    check_described(p[0], "pipe");
    close_pair(p);
    open_terminal(p);
    check_described(p[1], "terminal /dev/pts/");
    close_pair(p);
    open_fifo(p);
    check_described(p[0], "pipe /tmp/readyq-");
    close_pair(p);
    fd = open("/etc/passwd", O_RDONLY);
    check_described(fd, "file /etc/passwd");
    close(fd);
    fd = open("/etc", O_RDONLY);
    check_described(fd, "directory /etc");
    close(fd);
    fd = open("/dev/null", O_RDWR);
    check_described(fd, "/dev/null");
    close(fd);
    fd = eventfd(0, 0);
    check_described(fd, "eventfd");
    close(fd);
}

/* A peer could use such a name to send control sequences to the terminal that shows a watch. */
static void test_names_of_others_contain_no_terminal_controls(void)
{
    const char name[] = "/tmp/readyq-\033[31m\n\302\233m\177\303\251\302\251\302";
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = open(name, O_CREAT | O_RDWR, 0600);
    check_described(fd, "file /tmp/readyq-?[31m???m?\303\251\302\251\302");
    CHECK_IS(unlink(name), 0);
    close(fd);
    memcpy(address.sun_path, name, sizeof name);
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK_IS(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    check_described(fd, "UNIX socket /tmp/readyq-?[31m???m?\303\251\302\251\302");
    CHECK_IS(unlink(name), 0);
    close(fd);
}

static void test_a_closed_descriptor_is_described_as_closed(void)
{
    check_described(999, "closed");
    check_described(-1, "no descriptor");
}

static void test_descriptions_are_cut_to_fit(void)
{
    char text[8];
    int p[2];
    open_unix(p);
    for (size_t size = 1; size <= sizeof text; size++) {
        memset(text, '#', sizeof text);
        CHECK(readyq_describe(p[0], text, size) == text);
        CHECK(strlen(text) < size);
    }
    memset(text, '#', sizeof text);
    readyq_describe(p[0], text, 0);
    CHECK_IS(text[0], '#');
    close_pair(p);
}

static void check_explained(const char *call, int fd, int error, const char *part)
{
    char text[320];
    CHECK(readyq_explain(call, fd, error, text, sizeof text) == text);
    CHECK_HAS(text, call);
    CHECK_HAS(text, part);
    CHECK(strlen(text) < sizeof text - 1);
}

static void test_an_error_names_call_descriptor_kind_and_remedy(void)
{
    int p[2];
    char number[16];
    open_pipe(p);
    snprintf(number, sizeof number, "%d", p[0]);
    check_explained("add", p[0], -EEXIST, number);
    check_explained("add", p[0], -EEXIST, "pipe");
    check_explained("add", p[0], -EEXIST, "modify");
    check_explained("add", 999, -EBADF, "999");
    check_explained("add", 999, -EBADF, "closed");
    close_pair(p);
}

static void test_an_error_names_any_target(void)
{
    char text[320], plain[320];
    readyq_watch w = {0};
    readyq *q = open_queue();
    CHECK(readyq_explain_for("modify(0)", "signal 15", -ENOENT, text, sizeof text) == text);
    CHECK_TEXT(text, "modify(0) failed for signal 15: the watch is not in a queue; add it first");
    CHECK_IS(readyq_add_timer(q, &w, 1, 0), 0);
    CHECK_IS(readyq_fire(&w), -EINVAL);
    readyq_explain_for("fire", "50 %: a timer", -EINVAL, text, sizeof text);
    CHECK_TEXT(text, "fire() failed for 50 %: a timer: it is not a trigger; only a trigger can be "
                     "fired");
    readyq_explain_for("wait", NULL, -EINTR, text, sizeof text);
    CHECK_TEXT(text, readyq_explain("wait", -1, -EINTR, plain, sizeof plain));
    CHECK_TEXT(text, "wait() failed: a signal interrupted it; call it again");
    readyq_close(q);
}

static void test_an_error_names_what_a_watch_watches(void)
{
    readyq_watch timer = {0}, trigger = {0}, signalled = {0}, process = {0}, pipe_end = {0};
    char text[320], expected[320];
    int p[2];
    readyq *q = open_queue();

    CHECK_IS(pipe(p), 0);
    CHECK_IS(readyq_add_timer(q, &timer, 1, 0), 0);
    CHECK_IS(readyq_add_trigger(q, &trigger), 0);
    CHECK_IS(readyq_add_signal(q, &signalled, SIGUSR1), 0);
    CHECK_IS(readyq_add_process(q, &process, getpid()), 0);
    CHECK_IS(readyq_add(q, &pipe_end, p[0], READYQ_READ), 0);
    CHECK_IS(readyq_fire(&timer), -EINVAL);
    CHECK(readyq_explain_watch("fire", &timer, -EINVAL, text, sizeof text) == text);
    CHECK_TEXT(text, "fire() failed for a timer: it is not a trigger; only a trigger can be fired");
    readyq_explain_watch("restart", &trigger, -EBUSY, text, sizeof text);
    CHECK_HAS(text, "restart() failed for a trigger: ");
    readyq_explain_watch("fire", &signalled, -EBUSY, text, sizeof text);
    snprintf(expected, sizeof expected, "fire() failed for signal %d: ", SIGUSR1);
    CHECK_HAS(text, expected);
    readyq_explain_watch("fire", &process, -EBUSY, text, sizeof text);
    snprintf(expected, sizeof expected, "fire() failed for process %ld: ", (long)getpid());
    CHECK_HAS(text, expected);
    readyq_explain_watch("modify", &pipe_end, -EBUSY, text, sizeof text);
    snprintf(expected, sizeof expected, "modify() failed for descriptor %d (pipe): ", p[0]);
    CHECK_HAS(text, expected);
    CHECK_IS(readyq_remove(&pipe_end), 0);
    readyq_explain_watch("modify", &pipe_end, -ENOENT, text, sizeof text);
    snprintf(expected, sizeof expected, "modify() failed for descriptor %d: ", p[0]);
    CHECK_HAS(text, expected);
    pipe_end = (readyq_watch){0};
    readyq_explain_watch("modify", &pipe_end, -ENOENT, text, sizeof text);
    CHECK_HAS(text, "modify() failed: ");
    readyq_close(q);
    close(p[0]);
    close(p[1]);
}

static void test_every_error_of_the_contract_has_words_of_its_own(void)
{
    static const int errors[] = {EBADF,  EEXIST, EBUSY, EINVAL, ENOENT, ELOOP, EMFILE,   ENFILE,
                                 ENOMEM, ENOSPC, ESRCH, ECHILD, ENOSYS, EPERM, ESHUTDOWN};
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        char text[320];
        readyq_explain("wait", -1, -errors[i], text, sizeof text);
        CHECK_HAS(text, "wait");
        for (size_t j = 0; j < i; j++) {
            char other[320];
            readyq_explain("wait", -1, -errors[j], other, sizeof other);
            CHECK(strcmp(text, other) != 0);
        }
    }
}

static void test_an_unexpected_error_has_a_text_too(void)
{
    check_explained("add", -1, -EXDEV, strerror(EXDEV));
    check_explained("add", -1, -12345, "12345");
}

static void test_explanations_are_cut_to_fit(void)
{
    char text[16];
    for (size_t size = 1; size <= sizeof text; size++) {
        memset(text, '#', sizeof text);
        CHECK(readyq_explain("add", 0, -EEXIST, text, size) == text);
        CHECK(strlen(text) < size);
        readyq_explain_for("add", "a name", -EEXIST, text, size);
        CHECK_IS(strlen(text), size - 1);
    }
    memset(text, '#', sizeof text);
    readyq_explain("add", 0, -EEXIST, text, 0);
    readyq_explain_for("add", "a name", -EEXIST, text, 0);
    CHECK_IS(text[0], '#');
}

static void check_bits(uint32_t bits, const char *expected)
{
    char text[128];
    CHECK(readyq_describe_bits(bits, text, sizeof text) == text);
    CHECK_TEXT(text, expected);
}

static void test_bits_have_names(void)
{
    const char *name;
    uint32_t bit, all = 0;
    check_bits(0, "0");
    check_bits(READYQ_READ | READYQ_READ_CLOSED, "READ|READ_CLOSED");
    check_bits(READYQ_WRITE | 0x1000, "WRITE|0x1000");
    for (unsigned i = 0; (name = readyq_bit_name(i, &bit)) != NULL; i++) {
        check_bits(bit, name);
        CHECK_IS(all & bit, 0);
        all |= bit;
    }
    CHECK_IS(all & READYQ_EXCLUSIVE, READYQ_EXCLUSIVE);
    CHECK(readyq_bit_name(1000, &bit) == NULL);
    CHECK_TEXT(readyq_kind_name(READYQ_KIND_TIMER), "timer");
    CHECK_TEXT(readyq_kind_name(READYQ_KIND_NONE), "none");
    CHECK_TEXT(readyq_kind_name(-1), "none");
    CHECK_TEXT(readyq_kind_name(1000), "none");
}

static void check_watch(const readyq_watch *w, uint32_t ready, const char *expected)
{
    char text[400];
    CHECK(readyq_describe_watch(w, ready, text, sizeof text) == text);
    CHECK_TEXT(text, expected);
}

static void test_a_watch_is_described_with_its_state(void)
{
    readyq_batch batch = {0};
    readyq_watch w, trigger = {0}, process = {0}, signal = {0};
    uint32_t ready = 0;
    char text[64];
    int p[2];
    readyq *q = open_queue();
    open_pipe(p);
    add(q, &w, p[0], READYQ_READ | READYQ_ONESHOT);
    snprintf(text, sizeof text, "fd %d (pipe) interest READ|ONESHOT", p[0]);
    check_watch(&w, w.ready, text);
    put(p[1]);
    CHECK_IS(readyq_wait(q, &batch, LONG, 0), 1);
    CHECK_IS(readyq_peek(&batch, NULL, &ready, 1), 1);
    snprintf(text, sizeof text, "fd %d (pipe) interest READ|ONESHOT, ready READ", p[0]);
    check_watch(&w, ready, text);
    CHECK(readyq_next(&batch) == &w);
    snprintf(text, sizeof text, "fd %d (pipe) interest READ|ONESHOT (disarmed), ready READ", p[0]);
    check_watch(&w, w.ready, text);
    CHECK_IS(readyq_modify(&w, 0), 0);
    snprintf(text, sizeof text, "fd %d (pipe) interest 0 (paused)", p[0]);
    check_watch(&w, 0, text);
    CHECK_IS(readyq_remove(&w), 0);
    snprintf(text, sizeof text, "fd %d, inactive", p[0]);
    check_watch(&w, w.ready, text);
    CHECK_IS(readyq_add_trigger(q, &trigger), 0);
    check_watch(&trigger, 0, "trigger");
    CHECK_IS(readyq_fire(&trigger), 0);
    CHECK_IS(readyq_fire(&trigger), 0);
    CHECK_TAKES(q, &trigger);
    check_watch(&trigger, trigger.ready, "trigger, ready FIRED, count 2");
    CHECK_IS(readyq_add_signal(q, &signal, SIGUSR1), 0);
    snprintf(text, sizeof text, "signal %d", SIGUSR1);
    check_watch(&signal, 0, text);
    CHECK_IS(readyq_add_process(q, &process, getpid()), 0);
    snprintf(text, sizeof text, "process %ld", (long)getpid());
    check_watch(&process, 0, text);
    readyq_done(&batch);
    readyq_close(q);
    close_pair(p);
}

static void test_texts_of_all_sorts_are_cut_to_fit(void)
{
    const readyq_watch w = {.kind = READYQ_KIND_FD, .fd = 1000000, .interest = READYQ_READ};
    for (size_t size = 1; size <= 16; size++) {
        char text[17];
        memset(text, '#', sizeof text);
        readyq_describe_bits(UINT32_MAX, text, size);
        CHECK(strlen(text) < size && text[size] == '#');
        readyq_describe_watch(&w, UINT32_MAX, text, size);
        CHECK(strlen(text) < size && text[size] == '#');
        readyq_explain_ghost(1000000, text, size);
        CHECK(strlen(text) < size && text[size] == '#');
        readyq_explain_blocked(SIGUSR1, text, size);
        CHECK(strlen(text) < size && text[size] == '#');
    }
    char untouched = '#';
    readyq_describe_bits(1, &untouched, 0);
    readyq_describe_watch(&w, 0, &untouched, 0);
    readyq_explain_ghost(1, &untouched, 0);
    readyq_explain_blocked(1, &untouched, 0);
    CHECK_IS(untouched, '#');
}

TESTS(TEST(test_sockets_are_described_by_kind_and_address),
      TEST(test_sockets_of_all_kinds_are_named),
      TEST(test_unix_sockets_are_described_by_their_names),
      TEST(test_pipes_terminals_and_files_are_described),
      TEST(test_names_of_others_contain_no_terminal_controls),
      TEST(test_a_closed_descriptor_is_described_as_closed), TEST(test_descriptions_are_cut_to_fit),
      TEST(test_an_error_names_call_descriptor_kind_and_remedy),
      TEST(test_an_error_names_any_target), TEST(test_an_error_names_what_a_watch_watches),
      TEST(test_every_error_of_the_contract_has_words_of_its_own),
      TEST(test_an_unexpected_error_has_a_text_too), TEST(test_explanations_are_cut_to_fit),
      TEST(test_bits_have_names), TEST(test_a_watch_is_described_with_its_state),
      TEST(test_texts_of_all_sorts_are_cut_to_fit))
