/* SPDX-License-Identifier: MIT
 *
 * The system calls that the Lua tests need and that no Lua library provides on every version of
 * Lua: pipes, forks, signals, threads with a state of their own. It contains nothing of readyq.
 */
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ------------------------------------------------------------------ results */

static int give(lua_State *L, lua_Integer result)
{
    const int error = errno;

    if (result < 0) {
        lua_pushnil(L);
        lua_pushstring(L, strerror(error));
        lua_pushinteger(L, error);
        return 3;
    }
    lua_pushinteger(L, result);
    return 1;
}

static int give_pair(lua_State *L, int result, const int pair[2])
{
    if (result < 0)
        luaL_error(L, "%s", strerror(errno));
    lua_pushinteger(L, pair[0]);
    lua_pushinteger(L, pair[1]);
    return 2;
}

static int check_int(lua_State *L, int arg)
{
    return (int)luaL_checkinteger(L, arg);
}

/* ------------------------------------------------------------------ descriptors */

static int unix_pipe(lua_State *L)
{
    int ends[2];

    return give_pair(L, pipe2(ends, O_CLOEXEC), ends);
}

static int unix_socketpair(lua_State *L)
{
    int ends[2];

    return give_pair(L, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), ends);
}

/* A connected pair of TCP sockets. */
static int unix_tcp_pair(lua_State *L)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof address;
    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int ends[2] = {-1, socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(listener, (struct sockaddr *)&address, size) == 0 && listen(listener, 1) == 0 &&
        getsockname(listener, (struct sockaddr *)&address, &size) == 0 &&
        connect(ends[1], (struct sockaddr *)&address, size) == 0)
        ends[0] = accept(listener, NULL, NULL);
    close(listener);
    return give_pair(L, ends[0], ends);
}

/* Closes a TCP socket so that its peer is reset. */
static int unix_reset(lua_State *L)
{
    const int fd = check_int(L, 1);
    const struct linger at_once = {1, 0};

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    return give(L, close(fd));
}

static int unix_pty(lua_State *L)
{
    int ends[2];
    char name[64];

    ends[0] = posix_openpt(O_RDWR | O_NOCTTY);
    if (ends[0] < 0 || grantpt(ends[0]) < 0 || unlockpt(ends[0]) < 0 ||
        ptsname_r(ends[0], name, sizeof name) != 0)
        return luaL_error(L, "no pty: %s", strerror(errno));
    ends[1] = open(name, O_RDWR | O_NOCTTY);
    return give_pair(L, ends[1], ends);
}

static int unix_eventfd(lua_State *L)
{
    return give(L, eventfd((unsigned)check_int(L, 1), EFD_CLOEXEC));
}

static int unix_mkfifo(lua_State *L)
{
    return give(L, mkfifo(luaL_checkstring(L, 1), 0600));
}

/* unix.open(path, "r" or "w" or "rw"), without blocking */
static int unix_open(lua_State *L)
{
    const char *mode = luaL_checkstring(L, 2);
    const int how = strcmp(mode, "rw") == 0 ? O_RDWR : *mode == 'w' ? O_WRONLY : O_RDONLY;

    return give(L, open(luaL_checkstring(L, 1), how | O_NONBLOCK | O_CLOEXEC));
}

static int unix_read(lua_State *L)
{
    char bytes[65536];
    const ssize_t n = read(check_int(L, 1), bytes, sizeof bytes);

    if (n < 0)
        return give(L, -1);
    lua_pushlstring(L, bytes, (size_t)n);
    return 1;
}

static int unix_write(lua_State *L)
{
    size_t size;
    const char *bytes = luaL_checklstring(L, 2, &size);

    return give(L, write(check_int(L, 1), bytes, size));
}

static int unix_send_urgent(lua_State *L)
{
    return give(L, send(check_int(L, 1), luaL_checkstring(L, 2), 1, MSG_OOB));
}

static int unix_close(lua_State *L)
{
    return give(L, close(check_int(L, 1)));
}

static int unix_dup(lua_State *L)
{
    return give(L, fcntl(check_int(L, 1), F_DUPFD_CLOEXEC, 0));
}

static int unix_dup2(lua_State *L)
{
    return give(L, dup2(check_int(L, 1), check_int(L, 2)));
}

static int unix_shutdown(lua_State *L)
{
    return give(L, shutdown(check_int(L, 1), SHUT_WR));
}

static int unix_nonblock(lua_State *L)
{
    const int fd = check_int(L, 1);

    return give(L, fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK));
}

static int unix_flags(lua_State *L)
{
    return give(L, fcntl(check_int(L, 1), F_GETFL));
}

static int unix_limit_files(lua_State *L)
{
    struct rlimit limit;

    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = (rlim_t)check_int(L, 1);
    return give(L, setrlimit(RLIMIT_NOFILE, &limit));
}

/* How many of the descriptors that a test can get are open. */
static int unix_count_open(lua_State *L)
{
    lua_Integer count = 0;

    for (int fd = 0; fd < 4096; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    lua_pushinteger(L, count);
    return 1;
}

static int unix_is_linux(lua_State *L)
{
#ifdef __linux__
    lua_pushboolean(L, 1);
#else
    lua_pushboolean(L, 0);
#endif
    return 1;
}

/* ------------------------------------------------------------------ time, processes, signals */

static int unix_now(lua_State *L)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    lua_pushnumber(L, (lua_Number)now.tv_sec + (lua_Number)now.tv_nsec / 1e9);
    return 1;
}

static struct timeval to_timeval(double seconds)
{
    return (struct timeval){(time_t)seconds,
                            (suseconds_t)((seconds - (double)(time_t)seconds) * 1e6)};
}

static int unix_sleep(lua_State *L)
{
    struct timeval time = to_timeval(luaL_checknumber(L, 1));

    return give(L, select(0, NULL, NULL, NULL, &time));
}

/* unix.alarm(after, every): SIGALRM to this process */
static int unix_alarm(lua_State *L)
{
    const struct itimerval timer = {to_timeval(luaL_optnumber(L, 2, 0)),
                                    to_timeval(luaL_checknumber(L, 1))};

    return give(L, setitimer(ITIMER_REAL, &timer, NULL));
}

static int unix_fork(lua_State *L)
{
    return give(L, fork());
}

static int unix_exit(lua_State *L)
{
    _exit(check_int(L, 1));
}

/* The wait status. */
static int unix_waitpid(lua_State *L)
{
    int status = 0;

    return give(L, waitpid(check_int(L, 1), &status, 0) < 0 ? -1 : status);
}

static int unix_getpid(lua_State *L)
{
    return give(L, getpid());
}

static int unix_kill(lua_State *L)
{
    return give(L, kill(check_int(L, 1), check_int(L, 2)));
}

static volatile sig_atomic_t handled;

static void count(int number)
{
    (void)number;
    handled++;
}

/* A handler that only counts, so that the signal interrupts system calls. */
static int unix_handle(lua_State *L)
{
    const struct sigaction action = {.sa_handler = count};

    return give(L, sigaction(check_int(L, 1), &action, NULL));
}

/* How often that handler was called. */
static int unix_handled(lua_State *L)
{
    return give(L, handled);
}

/* unix.block(signal, how): blocks it in this thread, or unblocks it if `how` is false. */
static int unix_block(lua_State *L)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, check_int(L, 1));
    errno = pthread_sigmask(lua_toboolean(L, 2) ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
    return give(L, errno == 0 ? 0 : -1);
}

static int unix_is_default(lua_State *L)
{
    struct sigaction action;

    sigaction(check_int(L, 1), NULL, &action);
    lua_pushboolean(L, action.sa_handler == SIG_DFL);
    return 1;
}

static lua_State *hooked;

static void stop(lua_State *L, lua_Debug *event)
{
    (void)event;
    lua_sethook(L, NULL, 0, 0);
    luaL_error(L, "interrupted!");
}

static void set_hook(int number)
{
    (void)number;
    lua_sethook(hooked, stop, LUA_MASKCALL | LUA_MASKRET | LUA_MASKCOUNT, 1);
}

/* Does for any signal, and for the calling state, what the stock interpreter does for Ctrl-C. */
static int unix_interrupt_on(lua_State *L)
{
    const struct sigaction action = {.sa_handler = set_hook};

    hooked = L;
    return give(L, sigaction(check_int(L, 1), &action, NULL));
}

/* ------------------------------------------------------------------ other states and threads */

struct job {
    pthread_t thread;
    void *value;
    const char *code;
    char error[256];
};

/* Runs the code in a state of its own, with the value as its argument. */
static void *run_job(void *argument)
{
    struct job *job = argument;
    lua_State *L = luaL_newstate();

    luaL_openlibs(L);
    if (luaL_loadstring(L, job->code) == 0) {
        lua_pushlightuserdata(L, job->value);
        lua_pcall(L, 1, 1, 0);
    }
    if (lua_isstring(L, -1))
        strncpy(job->error, lua_tostring(L, -1), sizeof job->error - 1);
    lua_close(L);
    return NULL;
}

/* unix.start(code, value) gives a thread; unix.join(thread) its result, a string or nil. */
static int unix_start(lua_State *L)
{
    struct job *job;

    lua_settop(L, 2);
    job = lua_newuserdata(L, sizeof *job);
    memset(job, 0, sizeof *job);
    job->code = strdup(luaL_checkstring(L, 1));
    job->value = lua_touserdata(L, 2);
    if (pthread_create(&job->thread, NULL, run_job, job) != 0)
        return luaL_error(L, "no thread");
    return 1;
}

static int unix_join(lua_State *L)
{
    struct job *job = lua_touserdata(L, 1);

    pthread_join(job->thread, NULL);
    free((void *)job->code);
    if (job->error[0] == '\0')
        lua_pushnil(L);
    else
        lua_pushstring(L, job->error);
    return 1;
}

/* An allocator that refuses when `left` is used up; -1: never. */
static void *allocate(void *left, void *memory, size_t old, size_t size)
{
    if (size == 0) {
        free(memory);
        return NULL;
    }
    if (memory == NULL || size > old) {
        if (*(int *)left == 0)
            return NULL;
        if (*(int *)left > 0)
            --*(int *)left;
    }
    return realloc(memory, size);
}

/* unix.starve(before, code, n): runs the code in a state that gets memory n times from then on, and
 * closes it without any more. Returns true if that was enough, and nil if such states are
 * impossible. */
static int unix_starve(lua_State *L)
{
    int left = -1, status;
#if LUA_VERSION_NUM >= 505
    lua_State *poor = lua_newstate(allocate, &left, 0);
#else
    lua_State *poor = lua_newstate(allocate, &left);
#endif

    if (poor == NULL)
        return 0;
    luaL_openlibs(poor);
    if (luaL_loadstring(poor, luaL_checkstring(L, 1)) != 0 || lua_pcall(poor, 0, 0, 0) != 0)
        return luaL_error(L, "%s", lua_tostring(poor, -1));
    status = luaL_loadstring(poor, luaL_checkstring(L, 2));
    left = check_int(L, 3);
    if (status == 0)
        status = lua_pcall(poor, 0, 0, 0);
    left = 0;
    lua_close(poor);
    lua_pushboolean(L, status == 0);
    return 1;
}

/* ------------------------------------------------------------------ the module */

static const luaL_Reg functions[] = {
    {"alarm", unix_alarm},
    {"block", unix_block},
    {"close", unix_close},
    {"count_open", unix_count_open},
    {"dup", unix_dup},
    {"dup2", unix_dup2},
    {"eventfd", unix_eventfd},
    {"exit", unix_exit},
    {"flags", unix_flags},
    {"fork", unix_fork},
    {"getpid", unix_getpid},
    {"handle", unix_handle},
    {"handled", unix_handled},
    {"interrupt_on", unix_interrupt_on},
    {"is_default", unix_is_default},
    {"is_linux", unix_is_linux},
    {"join", unix_join},
    {"kill", unix_kill},
    {"limit_files", unix_limit_files},
    {"mkfifo", unix_mkfifo},
    {"nonblock", unix_nonblock},
    {"now", unix_now},
    {"open", unix_open},
    {"pipe", unix_pipe},
    {"pty", unix_pty},
    {"read", unix_read},
    {"reset", unix_reset},
    {"send_urgent", unix_send_urgent},
    {"shutdown", unix_shutdown},
    {"sleep", unix_sleep},
    {"socketpair", unix_socketpair},
    {"start", unix_start},
    {"starve", unix_starve},
    {"tcp_pair", unix_tcp_pair},
    {"waitpid", unix_waitpid},
    {"write", unix_write},
    {NULL, NULL},
};

__attribute__((visibility("default"))) int luaopen_unix(lua_State *L);

int luaopen_unix(lua_State *L)
{
    lua_newtable(L);
    for (const luaL_Reg *function = functions; function->name != NULL; function++) {
        lua_pushcfunction(L, function->func);
        lua_setfield(L, -2, function->name);
    }
    return 1;
}
