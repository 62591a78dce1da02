/* SPDX-License-Identifier: MIT
 *
 * Converts Lua values to the core's: seconds, whole numbers, interests, signals and descriptors.
 */
#include "binding.h"

#include <limits.h>
#include <signal.h>
#include <string.h>

/* ------------------------------------------------------------------ time and numbers */

int64_t luaq_seconds(lua_State *L, lua_Number seconds, int arg, const char *what)
{
    const double exact = (double)seconds * 1e9;
    int64_t whole;

    if (!(exact >= 0)) /* negative, or not a number */
        luaq_refuse(L, arg, "%s%f is not a number of seconds >= 0", what, seconds);
    if (exact >= (double)INT64_MAX)
        return INT64_MAX;
    whole = (int64_t)exact;
    return (double)whole < exact ? whole + 1 : whole; /* so that nothing is early */
}

int64_t luaq_delay(lua_State *L, int arg)
{
    return luaq_seconds(L, luaL_checknumber(L, arg), arg, "");
}

int64_t luaq_timeout(lua_State *L, int arg)
{
    return lua_isnoneornil(L, arg) ? -1 : luaq_delay(L, arg);
}

/* [-0, +0, -] */
static bool is_whole(lua_State *L, int index, lua_Number least, lua_Number most)
{
    const lua_Number n = lua_tonumber(L, index);

    return lua_type(L, index) == LUA_TNUMBER && n >= least && n <= most &&
           n == (lua_Number)(int64_t)n;
}

int luaq_whole(lua_State *L, int index, int arg, const char *what)
{
    const lua_Number n = lua_tonumber(L, index);

    if (n < INT_MIN || n > INT_MAX)
        luaq_refuse(L, arg, "%s is out of range: %f", what, n);
    if (!is_whole(L, index, INT_MIN, INT_MAX))
        luaq_refuse(L, arg, "%s is not an integer: %f", what, n);
    return (int)n;
}

int luaq_int(lua_State *L, int arg, const char *what)
{
    luaL_checktype(L, arg, LUA_TNUMBER);
    return luaq_whole(L, arg, arg, what);
}

/* ------------------------------------------------------------------ interests */

uint32_t luaq_interest(lua_State *L, int arg)
{
    static const char letters[] = "rwp";
    static const uint32_t bits[] = {READYQ_READ, READYQ_WRITE, READYQ_PRIORITY};
    uint32_t interest = 0;

    if (is_whole(L, arg, 0, UINT32_MAX))
        return (uint32_t)lua_tonumber(L, arg);
    if (lua_type(L, arg) != LUA_TSTRING)
        luaq_refuse(L, arg,
                    "interest expected (the letters r, w and p, or a sum of readyq.READ, "
                    "WRITE, ...), got %s",
                    luaL_typename(L, arg));
    for (const char *letter = lua_tostring(L, arg); *letter != '\0'; letter++) {
        const char *known = strchr(letters, *letter);

        if (known == NULL)
            luaq_refuse(L, arg, "interest '%s' has letters other than r, w and p",
                        lua_tostring(L, arg));
        else
            interest |= bits[known - letters];
    }
    return interest;
}

/* ------------------------------------------------------------------ signals */

static const struct {
    const char *name;
    int number;
} signals[] = {
    {"ABRT", SIGABRT}, {"ALRM", SIGALRM},     {"BUS", SIGBUS},     {"CHLD", SIGCHLD},
    {"CONT", SIGCONT}, {"FPE", SIGFPE},       {"HUP", SIGHUP},     {"ILL", SIGILL},
    {"INT", SIGINT},   {"IO", SIGIO},         {"KILL", SIGKILL},   {"PIPE", SIGPIPE},
    {"PROF", SIGPROF}, {"QUIT", SIGQUIT},     {"SEGV", SIGSEGV},   {"STOP", SIGSTOP},
    {"SYS", SIGSYS},   {"TERM", SIGTERM},     {"TRAP", SIGTRAP},   {"TSTP", SIGTSTP},
    {"TTIN", SIGTTIN}, {"TTOU", SIGTTOU},     {"URG", SIGURG},     {"USR1", SIGUSR1},
    {"USR2", SIGUSR2}, {"VTALRM", SIGVTALRM}, {"WINCH", SIGWINCH}, {"XCPU", SIGXCPU},
    {"XFSZ", SIGXFSZ},
};

int luaq_signal(lua_State *L, int arg)
{
    const char *name;

    if (lua_type(L, arg) == LUA_TNUMBER)
        return luaq_int(L, arg, "the signal");
    name = luaL_checkstring(L, arg);
    if (strncmp(name, "SIG", 3) == 0)
        name += 3;
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        if (strcmp(name, signals[i].name) == 0)
            return signals[i].number;
    luaq_refuse(L, arg, "no signal is called '%s'", lua_tostring(L, arg));
}

/* ------------------------------------------------------------------ descriptors */

/* [-0, +1, m] Without a descriptor all of these return -1 and leave the reason on the stack. */
static int number_descriptor(lua_State *L, int index, const char *what)
{
    if (is_whole(L, index, 0, INT_MAX)) {
        lua_pushnil(L);
        return (int)lua_tonumber(L, index);
    }
    if (lua_type(L, index) == LUA_TNUMBER)
        lua_pushfstring(L, "%s %f, which is not a descriptor", what, lua_tonumber(L, index));
    else
        lua_pushfstring(L, "%s %s%s, not a descriptor", what, lua_isnil(L, index) ? "" : "a ",
                        luaL_typename(L, index));
    return -1;
}

static int file_descriptor(lua_State *L, const luaL_Stream *stream)
{
    const int fd = is_file_closed(stream) ? -1 : fileno(stream->f);

    lua_pushstring(L, is_file_closed(stream) ? "the file is closed" : "the file has no descriptor");
    return fd;
}

/* [-0, +1, m] What an object gives, on top of the stack. Libraries return -1 if there is no
 * descriptor. */
static int given_descriptor(lua_State *L, const char *gives)
{
    if (lua_type(L, -1) != LUA_TNUMBER || lua_tonumber(L, -1) != -1)
        return number_descriptor(L, lua_gettop(L), gives);
    lua_pushfstring(L, "%s -1: it is closed, or not yet bound or connected", gives);
    return -1;
}

/* [-0, +1, e] The first of the three names that the object has: a method or a field. */
static int object_descriptor(lua_State *L, int object)
{
    static const char *const names[] = {"getfd", "fileno", "pollfd"};
    static const char *const returns[] = {"its getfd returns", "its fileno returns",
                                          "its pollfd returns"};
    static const char *const fields[] = {"its getfd is", "its fileno is", "its pollfd is"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        lua_getfield(L, object, names[i]);
        if (lua_isfunction(L, -1)) {
            lua_pushvalue(L, object);
            lua_call(L, 1, 1);
            return given_descriptor(L, returns[i]);
        }
        if (!lua_isnil(L, -1))
            return given_descriptor(L, fields[i]);
        lua_pop(L, 1);
    }
    lua_pushstring(L, "it has no getfd, fileno or pollfd");
    return -1;
}

/* [-0, +1, e] */
static int look_for_descriptor(lua_State *L, int arg)
{
    const luaL_Stream *stream = luaL_testudata(L, arg, LUA_FILEHANDLE);

    if (stream != NULL)
        return file_descriptor(L, stream);
    if (lua_type(L, arg) == LUA_TNUMBER)
        return number_descriptor(L, arg, "it is");
    if (lua_istable(L, arg) || (lua_isuserdata(L, arg) && luaL_getmetafield(L, arg, "__index")))
        return object_descriptor(L, arg);
    lua_pushfstring(L,
                    "integer, io file, or object with getfd, fileno or pollfd expected, "
                    "got %s",
                    luaL_typename(L, arg));
    return -1;
}

int luaq_find_descriptor(lua_State *L, int arg)
{
    const int top = lua_gettop(L), fd = look_for_descriptor(L, arg);

    lua_settop(L, top);
    return fd;
}

int luaq_descriptor(lua_State *L, int arg)
{
    const int top = lua_gettop(L), fd = look_for_descriptor(L, arg);

    if (fd < 0)
        luaL_argerror(L, arg, lua_tostring(L, -1));
    lua_settop(L, top);
    return fd;
}
