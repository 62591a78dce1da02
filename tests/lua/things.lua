-- SPDX-License-Identifier: MIT
--
-- Shared by the tests: descriptors that are closed at the end, and a few checks that most tests
-- use.
local unix = require "unix"

local things = {kept = 0} -- descriptors that another library keeps open while it is loaded
local opened = {}

local function keep(...)
    for i = 1, select("#", ...) do opened[select(i, ...)] = true end
    return ...
end

function things.pipe() return keep(unix.pipe()) end

function things.pair() return keep(unix.socketpair()) end

function things.pty() return keep(unix.pty()) end

function things.eventfd(n) return keep(unix.eventfd(n)) end

function things.open(path, mode) return keep(assert(unix.open(path, mode))) end

function things.dup(fd) return keep(unix.dup(fd)) end

function things.close(fd)
    opened[fd] = nil
    assert(unix.close(fd))
end

-- Closes a TCP socket so that its peer is reset.
function things.reset(fd)
    opened[fd] = nil
    assert(unix.reset(fd))
end

function things.close_all()
    for fd in pairs(opened) do unix.close(fd) end
    opened = {}
end

function things.tcp() return keep(unix.tcp_pair()) end

-- Returns a module that not every machine has; without it the test is skipped.
function things.need(module, package)
    local ok, loaded = pcall(require, module)
    if ok then return loaded end
    error({skip = ("%s has no module %s: apt-get install %s"):format(_VERSION, module, package)})
end

-- An unused name in the temporary directory.
function things.path()
    local path = os.tmpname()
    os.remove(path)
    return path
end

-- Fills a descriptor that does not block; returns how many bytes it took.
function things.fill(fd)
    local total, bytes = 0, ("x"):rep(4096)
    unix.nonblock(fd)
    while true do
        local n = unix.write(fd, bytes)
        if not n then return total end
        total = total + n
    end
end

-- An object whose finalizer is f.
function things.finalizer(f)
    if not newproxy then return setmetatable({}, {__gc = f}) end
    local proxy = newproxy(true)
    getmetatable(proxy).__gc = f
    return proxy
end

-- Makes the collector start again as soon as it is done.
function things.collect_early()
    local has_parameters = pcall(collectgarbage, "param", "pause") -- since Lua 5.5
    if has_parameters then
        collectgarbage("param", "pause", 100)
        collectgarbage("param", "stepmul", 1000)
    else
        collectgarbage("setpause", 100)
        collectgarbage("setstepmul", 1000)
    end
end

-- The warnings of f(), and what it returns. Those of Lua 5.4 go to stderr.
function things.warnings(f)
    local lines, real = "", rawget(_G, "warn")
    local function take(message) lines = lines .. message .. "\n" end
    if real then real("@on") else rawset(_G, "warn", take) end
    local path = things.path()
    assert(unix.mkfifo(path))
    local fifo, kept = things.open(path, "rw"), things.dup(2)
    os.remove(path)
    unix.dup2(fifo, 2)
    io.stderr:write("\n") -- so that there is something to read
    local ok, first, second = pcall(f)
    unix.dup2(kept, 2)
    if not real then rawset(_G, "warn", nil) end
    assert(ok, first)
    return lines .. unix.read(fifo), first, second
end

-- The result of one wait: a list of {watch, ready, data}.
function things.events(q, timeout, max)
    local list = {}
    for watch, ready, data in q:wait(timeout or 0, max) do
        list[#list + 1] = {watch = watch, ready = ready, data = data}
    end
    return list
end

-- The result of one wait, which must be a single event: watch, ready, data.
function things.event(q, timeout)
    local list = things.events(q, timeout or 5)
    assert(#list == 1, "one event expected, got " .. #list)
    return list[1].watch, list[1].ready, list[1].data
end

function things.nothing(q, timeout)
    local list = things.events(q, timeout)
    assert(#list == 0, list[1] and "nothing expected, got " .. tostring(list[1].watch))
end

function things.equal(got, expected)
    if got ~= expected then
        error(("%s expected, got %s"):format(tostring(expected), tostring(got)), 2)
    end
end

-- The call must raise a message that matches.
function things.raises(pattern, f, ...)
    local ok, message = pcall(f, ...)
    if ok then error("it did not raise", 2) end
    if not tostring(message):find(pattern) then
        error(("%q does not match %q"):format(tostring(message), pattern), 2)
    end
end

-- The results must be nil, a message that matches, and an errno.
function things.fails(pattern, errno, first, message, number)
    if first ~= nil then error("it did not fail", 2) end
    if not message:find(pattern) then
        error(("%q does not match %q"):format(message, pattern), 2)
    end
    if number ~= errno then error(("errno %s, got %s"):format(errno, tostring(number)), 2) end
end

-- Runs the functions as coroutines of the loop until no coroutine waits. Nothing may be left then.
function things.run(loop, ...)
    for i = 1, select("#", ...) do loop.spawn((select(i, ...))) end
    loop.run()
    things.equal(#loop.queue, 0)
end

-- Runs the functions as coroutines of the loop until all have ended, within a minute.
function things.run_to_their_ends(loop, ...)
    local left = select("#", ...)
    local limit = loop.queue:add_timer(60, function() error("the coroutines do not end") end)
    for _, f in ipairs {...} do
        loop.spawn(function()
            f()
            left = left - 1
            if left == 0 then limit:remove() end
        end)
    end
    loop.run()
    things.equal(left, 0)
end

return things
