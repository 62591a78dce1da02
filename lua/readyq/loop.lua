-- SPDX-License-Identifier: MIT
--
-- Coroutines on a queue: each waits in a line of its own for descriptors, time and processes. What
-- a coroutine waits with is here and nothing else: no buffers, no protocols. A coroutine that
-- waits is suspended; the event that it waits for, its timeout or a cancellation resumes it.
--
-- A descriptor's watch stays in the queue between two waits, so that waiting again costs no system
-- call. When something comes that nobody waits for, the watch stops asking for it. The number of
-- an object is asked each time, because the object may have been closed; where there is nothing to
-- ask, as of a bare number, the watch goes when nobody waits. No watch keeps its object alive.
--
-- A wait for a descriptor is the hot path: waiter() and advance() have there in line what they
-- would else call. A call of a Lua function costs more than what most functions here do.
local readyq = require "readyq"

local resume, running, yield = coroutine.resume, coroutine.running, coroutine.yield
local type, unpack = type, table.unpack or unpack
local READ, WRITE, FIRED = readyq.READ, readyq.WRITE, readyq.FIRED
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
local begun, ended = 0, 0 -- how many waits
local cancelled = setmetatable({}, {__mode = "k"}) -- whose wait, or next one, is to raise
local some_cancelled = false
local scheduled, first, last = {}, 1, 0 -- who is to be woken, with what
local is_awake = false -- a step is under way, or its host was told to make one

local function fail(co, message)
    local was_dead = message == "cannot resume dead coroutine" -- a program closed it
    if type(message) == "string" then message = debug.traceback(co, message) end
    if coroutine.close then coroutine.close(co) end
    if was_dead or message == CANCELLED then return end
    if not loop.on_error then error(message, 0) end
    loop.on_error(message, co)
end

local function wake(co, ...)
    ended = ended + 1
    waiting[co] = nil
    local ok, message = resume(co, ...)
    if not ok then fail(co, message) end
end

-- A host that sleeps on the queue is to call step().
local function wake_host()
    if is_awake then return end
    is_awake = true
    queue:wake()
end

-- It means this wait only: if something else ends it first, then not the next one.
local function schedule(co, ...)
    last = last + 1
    scheduled[last] = {co, waiting[co], select("#", ...), ...}
    wake_host()
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
    some_cancelled = next(cancelled) ~= nil
    error(CANCELLED, 0)
end

local function this_coroutine()
    local co, is_main = running()
    if is_main or not co then
        error("only a coroutine can wait: begin it with spawn(), and call run()", 3)
    end
    if cancelled[co] then raise_cancelled(co) end
    return co
end

local function start_timer(co, timeout) return assert(add_timer(queue, timeout, co)) end

-- Returns the watch that ended the wait; or nil and why another thing did: "timeout", "closed" or
-- CANCELLED.
local function suspend(co, timer)
    begun = begun + 1
    waiting[co] = begun
    local watch, why = yield()
    if timer then
        if watch == timer then return nil, "timeout" end
        timer:remove()
    end
    return watch, why
end

local function give_up(co, why)
    if why == CANCELLED then raise_cancelled(co) end
    return nil, why
end

-- ---------------------------------------------------------------- descriptors

local Channel = {} -- the data of a descriptor's watch
local channels = setmetatable({}, {__mode = "k"}) -- by object or number
local owners = setmetatable({}, {__mode = "kv"}) -- and back: whose object still lives

-- Makes the watch ask for what somebody waits for, and for nothing else.
local function settle(channel)
    local watch = channel.watch
    local reads, writes = channel.reader ~= nil, channel.writer ~= nil
    channel.reads, channel.writes = reads, writes
    if not watch then return nil end
    if reads or writes then
        return watch:modify((reads and READ or 0) + (writes and WRITE or 0))
    end
    channel.watch = nil
    return watch:remove()
end

function Channel.__call(channel, watch, ready)
    local reader, unwanted = channel.reader, false
    if ready % 2 >= READ then
        channel.reader = nil
        if reader then wake(reader, watch) else unwanted = true end
    end
    if channel.watch ~= watch then return end
    if ready % 8 >= WRITE then
        local writer = channel.writer
        channel.writer = nil
        if writer then wake(writer, watch) else unwanted = true end
    end
    if unwanted and channel.watch == watch then settle(channel) end
end

-- How to ask whether the object is still what was added: a function and its answer.
local function probe_of(s)
    if io.type(s) then return io.type, "file" end
    if type(s) ~= "table" and type(s) ~= "userdata" then return nil end
    for _, name in ipairs {"getfd", "fileno", "pollfd"} do
        local probe = s[name]
        if type(probe) == "function" then return probe, probe(s) end
        if probe then return nil end
    end
end

-- The channel of a descriptor is the latest object's that has it: another one, as when TLS begins,
-- takes it over. The queue is given the number, so that it does not keep the object.
local function open_channel(s, interest)
    local probe, answer = probe_of(s)
    local number = type(answer) == "number" and answer >= 0
    local channel = setmetatable({
        reader = nil, writer = nil, -- the coroutines that wait
        reads = interest == READ, writes = interest == WRITE, -- what the watch asks for
    }, Channel)
    local watch, message, errno = queue:add(number and answer or s, interest, channel)
    if watch then
        channel.watch = watch
    else
        watch = queue:get(number and answer or s)
        channel = watch and watch.data
        if getmetatable(channel) ~= Channel then return nil, message, errno end
        if owners[channel] then channels[owners[channel]] = nil end
    end
    channels[s], owners[channel] = channel, s
    channel.probe, channel.answer, channel.dirty = probe, answer, number and s.dirty or nil
    return channel
end

local function refuse(s)
    error("another coroutine waits for the same of " .. tostring(s), 3)
end

-- Makes the function that waits for one direction, with the keys of its channel: `side` is who
-- waits, `asked` whether the watch asks for it, `held` how to ask the object for bytes it holds.
local function waiter(side, asked, interest, held)
    return function(s, timeout)
        local co, is_main = running()
        if is_main or not co or some_cancelled then this_coroutine() end
        local channel = channels[s]
        local probe = channel and channel.probe
        if not channel or not channel.watch or probe and probe(s) ~= channel.answer then
            local message, errno
            channel, message, errno = open_channel(s, interest)
            if not channel then return nil, message, errno end
        end
        if channel[side] then refuse(s) end
        local dirty = channel[held]
        if dirty and dirty(s) then return true end
        local timer = timeout and start_timer(co, timeout)
        channel[side] = co
        if not channel[asked] and not settle(channel) then -- its file is another one by now
            channel[side] = nil
            channel = assert(open_channel(s, interest))
            if channel[side] then refuse(s) end
            channel[side] = co
        end
        local watch, why
        if timer then
            watch, why = suspend(co, timer)
        else
            begun = begun + 1
            waiting[co] = begun
            watch, why = yield()
        end
        if not watch then channel[side] = nil end
        if not channel.probe then settle(channel) end
        if watch then return true end
        return give_up(co, why)
    end
end

-- ---------------------------------------------------------------- what programs call

-- Begins a coroutine that calls f(...), in the next step. Returns it, for cancel().
function loop.spawn(f, ...)
    local co = coroutine.create(f)
    begun = begun + 1
    waiting[co] = begun
    schedule(co, ...)
    return co
end

-- Begins a coroutine that calls f(...) every `period` seconds, counted from now; turns that were
-- missed are left out.
function loop.every(period, f, ...)
    assert(type(period) == "number" and period > 0, "a period is a number of seconds above 0")
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
    local _, why = suspend(co, start_timer(co, seconds or 0))
    give_up(co, why)
end

-- Waits until reading (writing) would not block: true, or nil and "timeout", or nil and "closed"
-- where another coroutine called close(); or nil, message, errno. Bytes that the object holds
-- itself, as its `dirty` tells, are there at once.
loop.readable = waiter("reader", "reads", READ, "dirty")
loop.writable = waiter("writer", "writes", WRITE)

-- Waits until the process has ended: its wait status (-1 where it is not known), or nil and
-- "timeout"; or nil, message, errno. It is not reaped.
function loop.wait_process(pid, timeout)
    local co = this_coroutine()
    local process, message, errno = queue:add_process(pid, co)
    if not process then return nil, message, errno end
    local watch, why = suspend(co, timeout and start_timer(co, timeout))
    if watch then return watch.status or -1 end
    process:remove()
    return give_up(co, why)
end

-- Makes the coroutine's wait, or its next one, raise loop.CANCELLED. That ends it silently,
-- unless it catches the error to clean up.
function loop.cancel(co)
    if coroutine.status(co) == "dead" then return end
    cancelled[co], some_cancelled = true, true
    if waiting[co] then schedule(co, nil, CANCELLED) end
end

-- Forgets the object, tells those who wait for it, and closes it if it has a `close`.
function loop.close(s)
    local channel = channels[s]
    channels[s] = nil
    if channel and channel.watch then
        channel.watch:remove()
        channel.watch = nil
        if channel.reader then schedule(channel.reader, nil, "closed") end
        if channel.writer then schedule(channel.writer, nil, "closed") end
    end
    if type(s) ~= "number" and s.close then return s:close() end
end

local function call_protected(callback, watch, ready)
    local ok, message = xpcall(function() callback(watch, ready) end, debug.traceback)
    if not ok then loop.on_error(message, watch) end
end

local function advance(timeout)
    if is_awake then wait(queue, 0) end -- takes the wake; what else it finds comes again
    is_awake = true
    run_scheduled()
    if first <= last or begun == ended then timeout = 0 end
    for watch, ready, data in wait(queue, timeout) do
        local reader = ready == READ and owners[data] and data.reader
        if reader then -- as Channel.__call
            data.reader = nil
            ended = ended + 1
            waiting[reader] = nil
            local ok, message = resume(reader, watch)
            if not ok then fail(reader, message) end
        elseif ready >= FIRED and type(data) == "thread" then
            schedule(data, watch) -- after descriptors: what is ready is no timeout
        elseif loop.on_error and type(data) == "function" then
            call_protected(data, watch, ready)
        else
            data(watch, ready)
        end
    end
    run_scheduled()
    is_awake = false
    return begun > ended
end

-- Resumes what can go on, waiting `timeout` seconds at most for it (nil: as long as it takes).
-- Returns whether something is left to wait for.
function loop.step(timeout)
    local ok, result = pcall(advance, timeout)
    is_awake = false
    if first <= last then wake_host() end
    if not ok then error(result, 0) end
    return result
end

-- Until no coroutine waits any more.
function loop.run()
    while advance() do end
end

return loop
