-- SPDX-License-Identifier: MIT
--
-- Coroutines on a queue: each waits in a line of its own for descriptors, time and processes. What
-- a coroutine waits with is here and nothing else: no buffers, no protocols. A coroutine that
-- waits is suspended; the event that it waits for, its timeout or a cancellation resumes it.
--
-- A descriptor's watch stays in the queue between two waits, so that waiting again costs no
-- system call. When something comes that nobody waits for, the watch stops asking for it. The
-- number of an object is asked each time, because the object may have been closed. The watch of a
-- bare number goes when nobody waits, and so does that of a table, which may have another file by
-- the next wait under the same number. No watch keeps its object alive.
-- An event that was found before a wait began does not end it: if it is still so, it comes again.
--
-- A wait for a descriptor is the hot path: waiter() and advance() have there in line what they
-- would else call. A call of a Lua function costs more than what most functions here do.
local readyq = require "readyq"

local resume, running, yield = coroutine.resume, coroutine.running, coroutine.yield
local status = coroutine.status
local can_tell = coroutine.isyieldable ~= nil -- beforehand that a yield would fail: from Lua 5.3
local isyieldable = coroutine.isyieldable or function() return false end
local getmetatable, type, unpack = getmetatable, type, table.unpack or unpack
local READ, WRITE = readyq.READ, readyq.WRITE
local PLAIN = can_tell and READ or nil -- what advance() sees to by itself
local CANCELLED = setmetatable({}, {__tostring = function() return "cancelled" end})

local queue = assert(readyq.new())
local add_timer, wait = queue.add_timer, queue.wait

local loop = {
    queue = queue, -- for your own watches, whose data is a function(watch, ready) or a coroutine
    CANCELLED = CANCELLED, -- what a wait of a cancelled coroutine raises
    on_error = nil, -- function(message, coroutine or watch); without it errors leave step()
}

-- ---------------------------------------------------------------- resuming

local Channel, Wait = {}, {} -- the data of watches: of a descriptor's, and of all others
local waiting = {} -- by coroutine: the Wait or Channel that may wake it; true if it is to begin
local begun, ended = 0, 0 -- how many waits
local cancelled = setmetatable({}, {__mode = "k"}) -- whose wait, or next one, is to raise: 0, or
local some_cancelled = false                       -- where in `scheduled` it is
local scheduled, timeouts = {first = 1, last = 0}, {first = 1, last = 0} -- who is to be woken
local turn = 0 -- how often the queue was asked
local is_awake = false -- a step is under way, or its host was woken to make one
local is_woken = false -- the queue may have a wake for the host that no wait has taken yet

local settle -- below

-- Takes back what was set for a wait that came to nothing.
local function release(co, place)
    if getmetatable(place) == Wait then
        if place.timer then place.timer:remove() end
        if place.process then place.process:remove() end
        place = place.channel
    end
    if getmetatable(place) == Channel then
        if place.reader == co then place.reader = nil end
        if place.writer == co then place.writer = nil end
        if not place.getfd then settle(place) end
    end
end

local function abandon(co)
    local place = waiting[co]
    waiting[co] = nil
    if place == true then return end -- it is counted when its turn comes
    ended = ended + 1
    release(co, place)
end

-- A cancelled coroutine ends in silence, and so does one that was dead: the program closed it.
local function fail(co, message, place)
    if waiting[co] then abandon(co) end
    if message == "cannot resume dead coroutine" and not debug.getinfo(co, 0, "l") then
        return release(co, place)
    end
    local report = type(message) == "string" and debug.traceback(co, message) or message
    local is_closed, late = true, nil
    if coroutine.close and status(co) == "dead" then is_closed, late = coroutine.close(co) end
    if not is_closed and late ~= message then
        report = message == CANCELLED and late
            or tostring(report) .. "\nand when closed: " .. tostring(late)
    elseif message == CANCELLED then
        return
    end
    if not loop.on_error then error(report, 0) end
    loop.on_error(report, co)
end

-- Sees to a coroutine that had its turn, unless all is well and it waits again.
local function after(co, place, ok, message)
    if not ok then return fail(co, message, place) end
    if waiting[co] and status(co) == "dead" then abandon(co) end -- it could not yield
end

local function wake(co, ...)
    local place = waiting[co]
    ended = ended + 1
    waiting[co] = nil
    after(co, place, resume(co, ...))
end

-- Has a host that sleeps on the queue call step().
local function wake_host()
    if is_awake then return end
    is_awake, is_woken = true, true
    queue:wake()
end

-- It means this wait only: if something else ends it first, then not the next one.
local function schedule(list, co, ...)
    local number = list.last + 1
    list.last = number
    list[number] = {co, waiting[co], select("#", ...), ...}
    wake_host()
    return number
end

-- Wakes what is in the list by now; what that adds has its turn after the next wait.
local function run_list(list)
    local stop = list.last
    while list.first <= stop do
        local entry = list[list.first]
        list[list.first] = nil
        list.first = list.first + 1
        local co, place, count = unpack(entry, 1, 3)
        if place and waiting[co] == place then
            wake(co, unpack(entry, 4, count + 3))
        elseif place == true then
            ended = ended + 1 -- the program began it by itself
        end
    end
end

local function is_somebody_due()
    return scheduled.first <= scheduled.last or timeouts.first <= timeouts.last
end

-- ---------------------------------------------------------------- waiting

local function raise_cancelled(co)
    local entry = scheduled[cancelled[co]]
    if entry and entry[1] == co then entry[2] = nil end
    cancelled[co] = nil
    some_cancelled = next(cancelled) ~= nil
    error(CANCELLED, 0)
end

local function this_coroutine()
    local co, is_main = running()
    if is_main or not co then
        error("only a coroutine can wait: begin it with spawn(), and call run()", 3)
    end
    if can_tell and not isyieldable() then
        error("cannot wait inside of what a C function calls, such as gsub or sort", 3)
    end
    if waiting[co] then abandon(co) end -- an earlier wait could not yield
    if cancelled[co] then raise_cancelled(co) end
    some_cancelled = next(cancelled) ~= nil -- the others may be gone
    return co
end

local function check_timeout(timeout)
    if type(timeout) == "number" and timeout >= 0 then return end
    error("a timeout is a number of seconds from 0 on, not " .. tostring(timeout), 3)
end

function Wait.__call(place, watch)
    local co = place.co
    if waiting[co] ~= place then return end
    if watch == place.process then return wake(co) end
    schedule(timeouts, co, "timeout")
end

-- Suspends the coroutine with a Wait, {process = ...} or {channel = ...} or neither, that lasts
-- `timeout` seconds at most. Returns nil when what it waits for is there; else why it ended:
-- "timeout", "closed", CANCELLED or that there can be no timer, and its errno.
local function suspend(co, place, timeout)
    setmetatable(place, Wait)
    place.co = co
    if timeout then
        local timer, message, errno = add_timer(queue, timeout, place)
        if not timer then return message, errno end
        place.timer = timer
    end
    begun = begun + 1
    waiting[co] = place
    local why = yield()
    if timeout then place.timer:remove() end
    return why
end

-- What a wait returns that came to nothing.
local function give_up(co, why, errno)
    if waiting[co] then
        abandon(co)
        error("a coroutine that waited was resumed by something else than the loop", 3)
    end
    if why == CANCELLED then raise_cancelled(co) end
    return why, errno
end

-- ---------------------------------------------------------------- descriptors

local channels = setmetatable({}, {__mode = "k"}) -- by object or number
local owners = setmetatable({}, {__mode = "kv"}) -- and back: whose object still lives

-- Makes the watch ask for what somebody waits for, and for nothing else; or removes it.
function settle(channel)
    local watch = channel.watch
    local reads, writes = channel.reader and true, channel.writer and true -- or nil, for no room
    channel.reads, channel.writes = reads, writes
    if not watch then return nil end
    if reads or writes then
        return watch:modify((reads and READ or 0) + (writes and WRITE or 0))
    end
    local s = owners[channel]
    if s ~= nil and channels[s] == channel then channels[s] = nil end
    channel.watch = nil
    return watch:remove()
end

-- Whether the wait of the coroutine began before the queue was asked for the `asked`th time.
local function is_older(co, since, asked)
    local place = waiting[co]
    since = since or place and place.since
    return since and since < asked
end

function Channel.__call(channel, watch, ready, asked)
    local reader, writer = channel.reader, channel.writer
    local reads, writes = ready % 2 >= READ, ready % 8 >= WRITE
    local unwanted = reads and not reader or writes and not writer
    if reads and reader and is_older(reader, channel.reads_since, asked) then
        channel.reader = nil
        wake(reader)
    end
    if channel.watch ~= watch then return end
    if writes and writer and channel.writer == writer
        and is_older(writer, channel.writes_since, asked) then
        channel.writer = nil
        wake(writer)
    end
    if unwanted and channel.watch == watch then settle(channel) end
end

-- How to ask for the object's number: a function and its answer. A file has none to tell.
local function ask_number(s)
    if io.type(s) then return io.type, "file" end
    if type(s) ~= "table" and type(s) ~= "userdata" then return nil end
    for _, name in ipairs {"getfd", "fileno", "pollfd"} do
        local getfd = s[name]
        if type(getfd) == "function" then return getfd, getfd(s) end
        if getfd then return nil end
    end
end

-- The queue is given the number, so that it does not keep the object.
local function add_watch(s, number, interest, channel)
    local watch, message, errno = queue:add(number or s, interest, channel)
    if watch and io.type(s) then
        number = watch.fd
        watch:remove()
        watch, message, errno = queue:add(number, interest, channel)
    end
    return watch, message, errno
end

-- The channel of a descriptor is the latest object's that has it: another one, as when TLS begins,
-- takes it over.
local function open_channel(s, interest)
    local getfd, answer = ask_number(s)
    local number = type(answer) == "number" and answer >= 0 and answer or nil
    local channel = setmetatable({
        reader = nil, writer = nil, -- the coroutines that wait
        reads = interest == READ or nil, writes = interest == WRITE or nil, -- asked of the watch
    }, Channel)
    local watch, message, errno = add_watch(s, number, interest, channel)
    if watch then
        channel.watch = watch
    else
        watch = queue:get(number or s)
        channel = watch and watch.data
        if getmetatable(channel) ~= Channel then return nil, message, errno end
        if owners[channel] then channels[owners[channel]] = nil end
    end
    channels[s], owners[channel] = channel, s
    local is_object = type(s) == "table" or type(s) == "userdata" and not io.type(s)
    channel.getfd = type(s) ~= "table" and getfd or nil
    channel.answer, channel.dirty = answer, is_object and s.dirty or nil
    return channel
end

-- There is none; or its number may be another file's since somebody waited.
local function is_out_of_date(channel)
    if channel and (channel.reader or channel.writer) then return false end
    if channel then settle(channel) end
    return true
end

-- Another coroutine waits already; or did, when it was closed or could not yield.
local function refuse(s, co, other)
    if other ~= co and status(other) ~= "dead" then
        error("another coroutine waits for the same of " .. tostring(s), 3)
    end
    if waiting[other] then abandon(other) end
end

-- Makes the function that waits for one direction, with the keys of its channel: `side` is who
-- waits, `since` its turn, `asked` whether the watch asks for it, `held` how to ask the object for
-- bytes that it holds.
local function waiter(interest, side, since, asked, held)
    return function(s, timeout)
        local co = running()
        if some_cancelled or not isyieldable() then this_coroutine() end
        if timeout then check_timeout(timeout) end
        local channel, message, errno = channels[s]
        local getfd = channel and channel.getfd
        if not getfd and is_out_of_date(channel) or getfd and getfd(s) ~= channel.answer then
            channel, message, errno = open_channel(s, interest)
            if not channel then return nil, message, errno end
        end
        if channel[side] then refuse(s, co, channel[side]) end
        local dirty = channel[held]
        if dirty and dirty(s) then
            if not channel.getfd then settle(channel) end
            return true
        end
        channel[side] = co -- and nil again when it is woken for that
        if not channel[asked] and not settle(channel) then -- its file is another one by now
            channel[side] = nil
            channel, message, errno = open_channel(s, interest)
            if not channel then return nil, message, errno end
            if channel[side] then refuse(s, co, channel[side]) end
            channel[side] = co
        end
        local why
        if timeout then
            channel[since] = nil
            why, errno = suspend(co, {channel = channel, since = turn}, timeout)
        else
            channel[since] = turn
            begun = begun + 1
            waiting[co] = channel
            why = yield()
        end
        if channel[side] then
            if channel[side] == co then channel[side] = nil end
            if not channel.getfd then settle(channel) end
            return nil, give_up(co, why, errno)
        end
        if not channel.getfd then settle(channel) end
        return true
    end
end

-- ---------------------------------------------------------------- what programs call

-- Begins a coroutine that calls f(...), in the next step. Returns it, for cancel().
function loop.spawn(f, ...)
    local co = coroutine.create(f)
    begun = begun + 1
    waiting[co] = true
    schedule(scheduled, co, ...)
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
    check_timeout(seconds or 0)
    local why, errno = suspend(co, {}, seconds or 0)
    if why ~= "timeout" or waiting[co] then error(give_up(co, why, errno), 2) end
end

-- Waits until reading (writing) would not block: true, or nil and "timeout", or nil and "closed"
-- where another coroutine called close(); or nil, message, errno. Bytes that the object holds
-- itself, as its `dirty` tells, are there at once.
loop.readable = waiter(READ, "reader", "reads_since", "reads", "dirty")
loop.writable = waiter(WRITE, "writer", "writes_since", "writes")

-- Waits until the process has ended: its wait status (-1 where it is not known), or nil and
-- "timeout"; or nil, message, errno. It is not reaped.
function loop.wait_process(pid, timeout)
    local co = this_coroutine()
    if timeout then check_timeout(timeout) end
    local place = {}
    local process, message, errno = queue:add_process(pid, place)
    if not process then return nil, message, errno end
    place.process = process
    message, errno = suspend(co, place, timeout)
    if not message and not waiting[co] then return process.status or -1 end
    process:remove()
    return nil, give_up(co, message, errno)
end

-- Makes the coroutine's wait, or its next one, raise loop.CANCELLED. That ends it silently,
-- unless it catches the error to clean up.
function loop.cancel(co)
    if cancelled[co] then
        return
    elseif status(co) ~= "dead" then
        local place = waiting[co]
        cancelled[co] = place and place ~= true and schedule(scheduled, co, CANCELLED) or 0
        some_cancelled = true
    elseif waiting[co] then -- it was closed
        abandon(co)
    end
end

-- Whether it waits in the loop, or is to have its first step. Of what is neither dead nor waits,
-- the program yielded by itself, and the program resumes it.
function loop.is_waiting(co) return waiting[co] ~= nil end

-- Its own, or that of another object of its descriptor.
local function channel_of(s)
    if channels[s] then return channels[s] end
    local ok, watch = pcall(queue.get, queue, s)
    local channel = ok and watch and watch.data
    return getmetatable(channel) == Channel and channel or nil
end

-- Forgets the object, tells those who wait for its descriptor, and closes it if it has a `close`.
function loop.close(s)
    local channel = channel_of(s)
    if channel and channel.watch then
        channels[owners[channel] or s] = nil
        channel.watch:remove()
        channel.watch = nil
        if channel.reader then schedule(scheduled, channel.reader, "closed") end
        if channel.writer then schedule(scheduled, channel.writer, "closed") end
    end
    if type(s) ~= "number" and s.close then return s:close() end
end

local function call(data, watch, ready)
    local kind = getmetatable(data)
    if type(data) ~= "function" and not (type(kind) == "table" and kind.__call) then
        local text = "%s: its data, %s, is no function, nor a coroutine that can go on"
        error(text:format(tostring(watch), tostring(data)), 0)
    end
    data(watch, ready)
end

local function deliver(watch, ready, data, asked)
    local kind = getmetatable(data)
    if kind == Channel or kind == Wait then
        data(watch, ready, asked)
    elseif type(data) == "thread" and status(data) == "suspended" and not waiting[data] then
        after(data, nil, resume(data, watch, ready))
    elseif loop.on_error then
        local function protected() call(data, watch, ready) end
        local ok, message = xpcall(protected, debug.traceback)
        if not ok then loop.on_error(message, watch) end
    else
        call(data, watch, ready)
    end
end

local function advance(timeout)
    if is_woken then -- takes the wake, unless there are events, which come again below
        local _, _, count = wait(queue, 0)
        is_woken = count > 0
    end
    is_awake = true
    run_list(scheduled)
    if is_somebody_due() or begun == ended then timeout = 0 end
    local asked = turn + 1
    turn = asked
    for watch, ready, data in wait(queue, timeout) do
        local since = ready == PLAIN and owners[data] and data.reads_since
        local reader = since and since < asked and data.reader
        if reader then -- as Channel.__call
            data.reader = nil
            ended = ended + 1
            waiting[reader] = nil
            local ok, message = resume(reader)
            if not ok then fail(reader, message, data) end
        else
            deliver(watch, ready, data, asked)
        end
    end
    run_list(scheduled)
    run_list(timeouts) -- after all else: what is ready is no timeout
    is_awake = false
    return begun > ended
end

-- An error leaves with the others still to be woken, and the host told so.
local function finish(ok, result)
    is_awake = false
    if is_somebody_due() then wake_host() end
    if not ok then error(result, 0) end
    return result
end

-- Resumes what can go on, waiting `timeout` seconds at most for it (nil: as long as it takes).
-- Returns whether something is left to wait for.
function loop.step(timeout) return finish(pcall(advance, timeout)) end

local function advance_to_the_end()
    while advance() do end
end

local function add_traceback(message)
    local has_one = type(message) ~= "string" or message:find("\nstack traceback:", 1, true)
    return has_one and message or debug.traceback(message, 2)
end

-- Until no coroutine waits any more.
function loop.run() finish(xpcall(advance_to_the_end, add_traceback)) end

return loop
