/* SPDX-License-Identifier: MIT
 *
 * Other kernels than this one: what they answer to the questions whether io_uring is there. The
 * linker has those come by here (see the Makefile).
 */
#include "check.h"
#include "wrap.h"

#include <linux/io_uring.h>
#include <sys/utsname.h>

static struct {
    const char *forbids, *release; /* NULL: as it is here; "": refused */
    bool is_user, lacks_features;
} kernel;

WRAP(FILE *, fopen, (const char *path, const char *mode))
{
    if (kernel.forbids == NULL || strcmp(path, "/proc/sys/kernel/io_uring_disabled") != 0)
        return __real_fopen(path, mode);
    errno = ENOENT;
    if (*kernel.forbids == '\0')
        return NULL;
    return fmemopen((void *)(uintptr_t)kernel.forbids, strlen(kernel.forbids), "r");
}

WRAP(int, uname, (struct utsname * name))
{
    int result;

    if (kernel.release != NULL && *kernel.release == '\0') {
        errno = EPERM;
        return -1;
    }
    result = __real_uname(name);
    if (kernel.release != NULL)
        snprintf(name->release, sizeof name->release, "%s", kernel.release);
    return result;
}

WRAP(uid_t, geteuid, (void))
{
    return kernel.is_user ? 1000 : 0;
}

static long on_syscall(long number, const long a[6])
{
    struct io_uring_params *of = NULL;
    const long result = real_syscall(number, a);

    if (number == SYS_io_uring_setup && kernel.lacks_features) {
        memcpy(&of, &a[1], sizeof of);
        of->features &= ~IORING_FEAT_EXT_ARG;
    }
    return result;
}

/* What readyq_backends() says of io_uring. */
static int ask(const char *forbids, bool is_user, const char *release)
{
    const char *name;
    int error = 1;

    kernel.forbids = forbids;
    kernel.is_user = is_user;
    kernel.release = release;
    for (size_t i = 0; (name = readyq_backends(i, &error)) != NULL; i++) {
        CHECK(readyq_backends(i, NULL) == name);
        if (strcmp(name, "io_uring") == 0)
            return error;
    }
    return 1;
}

static void test_io_uring_is_there_where_nobody_forbids_it(void)
{
    CHECK_IS(ask("", false, "5.13.0"), 0);
    CHECK_IS(ask("", false, "5.15.0-91-generic"), 0);
    CHECK_IS(ask("", false, "6.1"), 0);
    CHECK_IS(ask("0\n", true, "6.6.1"), 0);
    CHECK_IS(ask("1\n", false, "6.6.1"), 0);
    CHECK_IS(ask("?\n", false, "6.6.1"), 0);
    CHECK_IS(ask("", false, "of my own"), 0);
}

static void test_io_uring_of_a_kernel_that_does_not_say_its_name_may_be_there(void)
{
    CHECK_IS(ask("", false, ""), 0);
}

static void test_io_uring_that_an_administrator_forbids_is_eperm(void)
{
    CHECK_IS(ask("1\n", true, "6.6.1"), -EPERM);
    CHECK_IS(ask("2\n", true, "6.6.1"), -EPERM);
    CHECK_IS(ask("2\n", false, "6.6.1"), -EPERM);
}

static void test_io_uring_of_an_old_kernel_is_enosys(void)
{
    readyq *q;

    CHECK_IS(ask("", false, "5.12.19"), -ENOSYS);
    CHECK_IS(ask("", false, "4.18.0-553.el8"), -ENOSYS);
    kernel.lacks_features = true;
    CHECK(readyq_open(&q, &(struct readyq_options){.backend = "io_uring"}) < 0);
    CHECK(q == NULL);
}

static void test_the_advice_names_the_backends_that_can_be_had(void)
{
    char text[320];

    CHECK_IS(ask("2\n", false, "6.6.1"), -EPERM);
    readyq_explain("Queue", -1, -EINVAL, text, sizeof text);
    CHECK_HAS(text, "name one that there is: epoll");
    CHECK(strstr(text, "io_uring") == NULL);
    CHECK_IS(ask("0\n", false, "6.6.1"), 0);
    readyq_explain("Queue", -1, -EINVAL, text, sizeof text);
    CHECK_HAS(text, ", io_uring");
}

TESTS(TEST(test_io_uring_is_there_where_nobody_forbids_it),
      TEST(test_io_uring_of_a_kernel_that_does_not_say_its_name_may_be_there),
      TEST(test_io_uring_that_an_administrator_forbids_is_eperm),
      TEST(test_io_uring_of_an_old_kernel_is_enosys),
      TEST(test_the_advice_names_the_backends_that_can_be_had))
