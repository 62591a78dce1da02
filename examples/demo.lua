-- SPDX-License-Identifier: MIT
--
-- Shows how an event queue works: an echo conversation over TCP, served by one thread that sleeps
-- until there is something to do. The same program as demo.c and demo.py. `demo.lua FILE` saves a
-- recording of it, which python -m readyq.timeline draws. If LuaSocket is missing, it says so, and
-- watches a pipe into which the peer writes.

local readyq = require "readyq"
local has_sockets, socket = pcall(require, "socket")

local queue = assert(readyq.new())
local recording = assert(queue:record())
local asleep, begin = 0, queue:now()
local listener, speaker

local function step(number, what, more)
    io.write(("  %d. %-17s %s\n"):format(number, what, more))
    io.flush()
end

-- The other process: connects, sends two messages, each after a pause, and reads the echoes.
local SPEAK = [[
local socket, same = require "socket", 0
socket.sleep(0.3)
local sock = assert(socket.connect("127.0.0.1", %d))
for _, word in ipairs{"hello", "how are you?"} do
    socket.sleep(0.2)
    sock:send(word)
    if sock:receive(#word) == word then same = same + 1 end
end
socket.sleep(0.1)
sock:close()
print(same == 2 and "received every word" or "received something else")]]
local SPEAK_INTO_PIPE = "sleep 0.5; echo hello; sleep 0.2; echo how are you?; sleep 0.1"

local function start_speaker(port)
    local interpreter = -1
    while arg[interpreter - 1] do interpreter = interpreter - 1 end
    return io.popen(("'%s' -e '%s'"):format(arg[interpreter], SPEAK:format(port)))
end

local function sleep_until_ready()
    step(4, "thread asleep", "in the kernel, until something is ready")
    local before = queue:now()
    for w, _, name in queue:wait(10, 1) do
        local slept = queue:now() - before
        asleep = asleep + slept
        step(5, "woken", ('after %.1f ms, with the watch "%s": READ%s'):format(slept * 1000, name,
            w:has(readyq.READ_CLOSED) and "|READ_CLOSED" or ""))
        return w
    end
    error("the peer said nothing for ten seconds")
end

local function accept_peer()
    local sock = listener.source:accept()
    sock:settimeout(0)
    queue:add(sock, "r", "peer")
    step(6, "peer accepted",
        ('descriptor %d; READ registered, as the watch "peer"\n'):format(sock:getfd()))
end

local function read_from(source)
    if not has_sockets then return source:read("*l") end
    local all, _, part = source:receive(100)
    return all or part ~= "" and part
end

-- False at the end of the conversation.
local function echo(source)
    local text = read_from(source)
    if not text then
        step(6, "read", "the end: the peer has closed\n")
        return false
    end
    if has_sockets then source:send(text) end
    step(6, "read", ('"%s"%s\n'):format(text, has_sockets and ", and written back" or ""))
    return true
end

local function sum_up()
    local stats = queue:stats()
    io.write(("  The thread slept %.1f of %.1f ms. The queue made %d system calls: %d\n")
        :format(asleep * 1000, (queue:now() - begin) * 1000, stats.kernel_waits + stats.changes,
            stats.kernel_waits))
    local changes = "  asked the kernel what is ready, %d changed what it watches."
    io.write(changes:format(stats.changes))
    io.write(has_sockets and (" The peer %s.\n\n"):format(speaker:read("*l")) or "\n\n")
end

print((has_sockets and "An echo conversation over TCP" or "A conversation through a pipe")
    .. ", in Lua: one thread sleeps until something that it watches")
print("is ready, which wakes it.\n")
step(1, "queue created", queue:backend())
if has_sockets then
    local server = assert(socket.bind("127.0.0.1", 0))
    local _, port = server:getsockname()
    step(2, "socket made",
        ("descriptor %d, listening on 127.0.0.1:%d"):format(server:getfd(), port))
    listener = assert(queue:add(server, "r", "listener"))
    step(3, "READ registered", 'as the watch "listener"')
    speaker = start_speaker(port)
else
    speaker = io.popen(SPEAK_INTO_PIPE)
    step(2, "pipe made", "and no socket: LuaSocket is not installed (apt install lua-socket)")
    assert(queue:add(speaker, "r", "peer"))
    step(3, "READ registered", 'as the watch "peer"')
end
local going_on = true
while going_on do
    local w = sleep_until_ready()
    if w == listener then
        accept_peer()
    else
        going_on = echo(w.source)
    end
end
sum_up()
speaker:close()
if arg[1] then assert(recording:save(arg[1])) end
queue:close()
