-- SPDX-License-Identifier: MIT
--
-- Coroutines on a queue: each waits in a line of its own for descriptors, time and processes. What
-- a coroutine waits with is here and nothing else: no buffers, no protocols. A coroutine that
-- waits is suspended; the event that it waits for, its timeout or a cancellation resumes it.
--
-- A descriptor's watch stays in the queue between two waits, so that waiting again costs no system
-- call. When something comes that nobody waits for, the watch stops asking for it. The number of
-- an object is asked each time, because the object may have been closed; a bare number cannot be
-- asked, so its watch goes when nobody waits. No watch keeps its object alive.
local readyq = require "readyq"

local resume, running, yield = coroutine.resume, coroutine.running, coroutine.yield
local type, unpack = type, table.unpack or unpack
local READ, WRITE = readyq.READ, readyq.WRITE
local CANCELLED = setmetatable({}, {__tostring = function() return "cancelled" end})

local queue = assert(readyq.new())
local add_timer, wait = queue.add_timer, queue.wait

local loop = {
    queue = queue, -- for watches of your own, whose data is a function(watch, ready)
    CANCELLED = CANCELLED, -- what a wait of a cancelled coroutine raises
    on_error = nil, -- function(message, coroutine or watch); without it errors leave step()
}

-- ---------------------------------------------------------------- resuming

local waiting = {} -- the coroutines that may be woken, with the number of their wait
local cancelled = setmetatable({}, {__mode = "k"}) -- whose wait, or next one, is to raise
local scheduled, first, last = {}, 1, 0 -- which of them are to be, with what
local is_stepping, is_woken = false, false
local waits, serial = 0, 0 -- how many have not returned; how many there were

local function check(co, ok, message)
    if ok then return end
    if type(message) == "string" then message = debug.traceback(co, message) end
    if coroutine.close then coroutine.close(co) end
    if message == CANCELLED then return end
    if not loop.on_error then error(message, 0) end
    loop.on_error(message, co)
end

local function wake(co, ...)
    if not waiting[co] then return end
    waiting[co] = nil
    check(co, resume(co, ...))
end

-- It means this wait only: if something else ends it first, then not the next one.
local function schedule(co, ...)
    last = last + 1
    scheduled[last] = {co, waiting[co] or -1, select("#", ...), ...}
end

-- A host that sleeps on the queue is to call step().
local function wake_host()
    is_woken = true
    queue:wake()
end

local function schedule_from_anywhere(co, ...)
    schedule(co, ...)
    if not is_stepping then wake_host() end
end

-- Wakes what was scheduled up to now; what that schedules has its turn after the next wait.
local function run_scheduled()
    local stop = last
    while first <= stop do
        local entry = scheduled[first]
        scheduled[first] = nil
        first = first + 1
        local co, number, count = unpack(entry, 1, 3)
        if waiting[co] == number then wake(co, unpack(entry, 4, count + 3)) end
    end
end

-- ---------------------------------------------------------------- waiting

local function raise_cancelled(co)
    cancelled[co] = nil
    error(CANCELLED, 0)
end

local function this_coroutine()
    local co, is_main = running()
    if not co or is_main then
        error("only a coroutine can wait: begin it with spawn(), and call run()", 4)
    end
    if cancelled[co] then raise_cancelled(co) end
    return co
end

local function start_timer(co, timeout)
    return timeout and assert(add_timer(queue, timeout, co))
end

-- Suspends the coroutine; returns the watch that woke it, CANCELLED or "closed", or nil when the
-- timer did.
local function suspend(co, timer)
    waits, serial = waits + 1, serial + 1
    waiting[co] = serial
    local reason = yield()
    waits = waits - 1
    if timer and reason ~= timer then timer:remove() end
    if cancelled[co] then return CANCELLED end
    if reason ~= timer then return reason end
end

local function conclude(co, reason)
    if reason == CANCELLED then raise_cancelled(co) end
    if reason == "closed" then return nil, "closed" end
    if not reason then return nil, "timeout" end
    return true
end

-- ---------------------------------------------------------------- descriptors

local Channel = {} -- the data of a descriptor's watch: who reads and who writes, at most one each
local channels = setmetatable({}, {__mode = "k"}) -- by object or number

-- Makes the watch ask for what somebody waits for, and for nothing else.
local function settle(channel)
    local reads, writes = channel.reader ~= nil, channel.writer ~= nil
    channel.reads, channel.writes = reads, writes
    if reads or writes then
        return channel.watch:modify((reads and READ or 0) + (writes and WRITE or 0))
    end
    local watch = channel.watch
    channel.watch = nil
    return watch and watch:remove()
end

function Channel.__call(channel, watch, ready)
    local reader, writer = channel.reader, channel.writer
    local readable, writable = ready % 2 >= READ, ready % 8 >= WRITE
    if readable and reader then wake(reader, watch) end
    if writable and writer then wake(writer, watch) end
    local unwanted = readable and not reader or writable and not writer
    if unwanted and channel.watch == watch then settle(channel) end
end

-- How to ask whether the object is still what was added: a function and its answer.
local function probe_of(s)
    if io.type(s) then return io.type, "file" end
    if type(s) == "number" then return nil end
    for _, name in ipairs {"getfd", "fileno", "pollfd"} do
        local probe = s[name]
        if type(probe) == "function" then return probe, probe(s) end
        if probe then return nil end
    end
end

-- Another object may have the same descriptor, as when TLS begins: then both share one channel.
local function open_channel(s, interest)
    local probe, answer = probe_of(s)
    local number = type(answer) == "number" and answer >= 0
    local source = number and answer or s
    local channel = setmetatable({probe = probe, answer = answer}, Channel)
    local watch, message, errno = queue:add(source, interest, channel)
    if watch then
        channel.watch = watch
        channel.dirty = number and s.dirty or nil
        channel.reads, channel.writes = interest == READ, interest == WRITE
    else
        watch = queue:get(source)
        channel = watch and watch.data
        if getmetatable(channel) ~= Channel then return nil, message, errno end
    end
    channels[s] = channel
    return channel
end

local function channel_of(s, interest)
    local channel = channels[s]
    if not channel or not channel.watch then return open_channel(s, interest) end
    local probe = channel.probe
    if probe and probe(s) ~= channel.answer then return open_channel(s, interest) end
    return channel
end

-- Waits for one direction. `side` is who waits, `asked` whether the watch asks for it.
local function wait_for(s, side, asked, interest, timeout)
    local co = this_coroutine()
    local channel, message, errno = channel_of(s, interest)
    if not channel then return nil, message, errno end
    if channel[side] then error("another coroutine waits for the same of " .. tostring(s), 3) end
    if side == "reader" and channel.dirty and channel.dirty(s) then return true end
    local timer = start_timer(co, timeout)
    channel[side] = co
    if not channel[asked] and not settle(channel) then -- its file is another one by now
        channel[side] = nil
        channel = assert(open_channel(s, interest))
        channel[side] = co
    end
    local reason = suspend(co, timer)
    channel[side] = nil
    if type(s) == "number" and reason ~= "closed" then settle(channel) end
    return conclude(co, reason)
end

-- ---------------------------------------------------------------- what programs call

-- Begins a coroutine that calls f(...), in the next step. Returns it, for cancel().
function loop.spawn(f, ...)
    local co = coroutine.create(f)
    waiting[co] = 0
    schedule_from_anywhere(co, ...)
    return co
end

-- Begins a coroutine that calls f(...) every `period` seconds, counted from now; turns that were
-- missed are left out.
function loop.every(period, f, ...)
    assert(period > 0, "a period is more than 0 seconds")
    local due = queue:now()
    return loop.spawn(function(...)
        while true do
            local now = queue:now()
            due = due + period * math.max(1, math.ceil((now - due) / period))
            loop.sleep(math.max(0, due - now))
            f(...)
        end
    end, ...)
end

function loop.sleep(seconds)
    local co = this_coroutine()
    conclude(co, suspend(co, start_timer(co, seconds or 0)))
end

-- Waits until reading (writing) would not block: true, or nil and "timeout", or nil and "closed"
-- where another coroutine called close(); or nil, message, errno. Bytes that the object holds
-- itself, as its `dirty` tells, are there at once.
function loop.readable(s, timeout)
    return wait_for(s, "reader", "reads", READ, timeout)
end

function loop.writable(s, timeout)
    return wait_for(s, "writer", "writes", WRITE, timeout)
end

-- Waits until the process has ended: its wait status (-1 where it is not known), or nil and
-- "timeout"; or nil, message, errno. It is not reaped.
function loop.wait_process(pid, timeout)
    local co = this_coroutine()
    local watch, message, errno = queue:add_process(pid, co)
    if not watch then return nil, message, errno end
    local reason = suspend(co, start_timer(co, timeout))
    if reason == watch then return watch.status or -1 end
    watch:remove()
    return conclude(co, reason)
end

-- Makes the coroutine's wait, or its next one, raise loop.CANCELLED. That ends it silently,
-- unless it catches the error to clean up.
function loop.cancel(co)
    if coroutine.status(co) == "dead" then return end
    cancelled[co] = true
    schedule_from_anywhere(co, CANCELLED)
end

-- Forgets the object, tells those who wait for it, and closes it if it has a `close`.
function loop.close(s)
    local channel = channels[s]
    channels[s] = nil
    if channel and channel.watch then
        channel.watch:remove()
        channel.watch = nil
        for _, side in ipairs {"reader", "writer"} do
            if channel[side] then schedule_from_anywhere(channel[side], "closed") end
        end
    end
    if type(s) ~= "number" and s.close then return s:close() end
end

local function call_protected(callback, watch, ready)
    local ok, message = xpcall(function() callback(watch, ready) end, debug.traceback)
    if not ok then loop.on_error(message, watch) end
end

-- Resumes what can go on, waiting `timeout` seconds at most for it (nil: as long as it takes).
-- Returns whether something is left to wait for.
function loop.step(timeout)
    is_stepping = true
    if is_woken then wait(queue, 0) end -- takes the wake; what else it finds comes again
    is_woken = false
    run_scheduled()
    if first <= last or waits == 0 then timeout = 0 end
    for watch, ready, data in wait(queue, timeout) do
        local kind = type(data)
        if kind == "thread" then
            schedule(data, watch) -- after descriptors: what is ready is no timeout
        elseif kind == "function" and loop.on_error then
            call_protected(data, watch, ready)
        else
            data(watch, ready)
        end
    end
    run_scheduled()
    is_stepping = false
    if first <= last then wake_host() end
    return waits > 0 or first <= last
end

-- Until no coroutine waits any more.
function loop.run()
    while loop.step() do end
end

return loop
