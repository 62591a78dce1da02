-- SPDX-License-Identifier: MIT
--
-- Coroutines on a queue. A waiting coroutine is suspended, and resumed when its event has come,
-- when its timeout has expired, or when it is cancelled. The loop only waits: it has no buffers
-- and no protocols.
--
-- This file has the functions that programs call. scheduler.lua suspends and resumes coroutines;
-- task.lua has what it knows about each; descriptor.lua and sources.lua have what they wait for;
-- await.lua has the simplest kind of wait; generator.lua has generators that wait; program.lua
-- calls the program's callbacks and reports errors; misuse.lua raises the errors for incorrect
-- calls.

-- A program that has unloaded this module and requires it again gets a second loop: these modules
-- have the state of one loop.
for _, part in ipairs {"task", "scheduler", "await", "descriptor", "sources", "generator"} do
    package.loaded["readyq." .. part] = nil
end

local readyq = require "readyq"
local generator = require "readyq.generator"
local misuse = require "readyq.misuse"
local scheduler = require "readyq.scheduler"
local sources = require "readyq.sources"
local Descriptor = require "readyq.descriptor"

local queue, options = scheduler.queue, readyq.loop_options

local loop = {
    queue = queue, -- for your own watches, whose data is a function(watch, ready) or a coroutine
    CANCELLED = scheduler.CANCELLED, -- what a wait of a cancelled coroutine raises
    on_error = nil, -- function(message, coroutine or watch); without it step() raises the error
}
scheduler.loop = loop

-- ---------------------------------------------------------------- coroutines

-- Makes a coroutine that calls f(...), and starts it at the end of this step or in the next one.
-- Returns it.
function loop.spawn(f, ...)
    misuse.check_function("spawn", f)
    return scheduler.spawn(f, ...)
end

-- Starts a coroutine that calls f(...) every `period` seconds, counted from now; missed calls are
-- skipped.
function loop.every(period, f, ...)
    if type(period) ~= "number" or period <= 0 or period ~= period then
        misuse.raise("every: the period must be a number of seconds above 0, not %s",
            tostring(period))
    end
    misuse.check_function("every", f)
    local due = queue:now()
    return scheduler.spawn(function(...)
        while true do
            local now = queue:now()
            due = due + period * math.max(1, math.ceil((now - due) / period))
            loop.sleep(math.max(0, due - now))
            f(...)
        end
    end, ...)
end

-- What a generator yielded or returned; its error is raised.
local function finish(ok, ...)
    if not ok then error((...), 0) end
    return ...
end

-- Like coroutine.wrap(), for a function that waits: when the generator yields because it waits,
-- the coroutine that called it yields to the loop, too, and resumes it afterwards.
function loop.wrap(f)
    misuse.check_function("wrap", f)
    return generator.new(misuse.check("wrap", coroutine.create, f), finish)
end

-- Makes the coroutine's wait, or its next one, raise loop.CANCELLED. That ends it silently,
-- unless it catches the error to clean up.
function loop.cancel(co)
    sources.cancel("cancel", co)
end

-- Whether it waits in the loop, or for its first step. A coroutine that is neither dead nor
-- waiting has yielded to the program, and the program must resume it.
function loop.is_waiting(co) return scheduler.is_waiting(co) end

-- ---------------------------------------------------------------- waiting for one thing

-- A limit for several waits: it can be given wherever a timeout can.
local Deadline = {}
Deadline.__index = Deadline

function loop.deadline(seconds)
    return setmetatable({due = queue:now() + misuse.check_timeout("deadline", seconds)}, Deadline)
end

function Deadline:left()
    if getmetatable(self) ~= Deadline then sources.refuse_self("deadline", "left", self) end
    return math.max(0, self.due - queue:now())
end

-- Waits for a number of seconds, or until a deadline; without either, until the others that can
-- continue have done so.
loop.sleep = scheduler.sleep

-- Wait until reading, writing, or reading exceptional data would not block. Return true; nil and
-- "timeout"; nil and "closed"; or nil, message, errno. Bytes that the object itself holds, as its
-- `dirty` says, are readable at once.
loop.readable = Descriptor.waiter("readable", readyq.READ)
loop.writable = Descriptor.waiter("writable", readyq.WRITE)
loop.priority = Descriptor.waiter("priority", readyq.PRIORITY)

-- An event is either set or not. event:wait(timeout) waits until it is set.
function loop.event() return sources.new_event() end

-- Waits for the end of a coroutine that spawn() made. Returns what it returned; or nil, its error
-- and a traceback; or nil and "timeout". An error that another coroutine waits for in this way is
-- not raised by run().
function loop.join(co, timeout)
    return scheduler.wait("join", sources.end_of("join", co), timeout)
end

-- Waits until the process has ended. Returns its wait status (-1 if it is not known), or nil and
-- "timeout"; or nil, message, errno. It is not reaped.
function loop.wait_process(pid, timeout)
    return scheduler.wait("wait_process", sources.new_process("wait_process", pid), timeout)
end

-- Waits for the first of several: descriptors, to be readable; {descriptor, "r", "w" or "p"};
-- events; coroutines; {process = pid}. With `timeout = seconds or deadline` it waits at most that
-- long. Returns the number of the first, and what a wait for it alone would return; or nil and
-- "timeout".
function loop.any(items)
    if type(items) ~= "table" then misuse.raise("any: list expected, got %s", type(items)) end
    return sources.wait_for_first("any", items)
end

-- ---------------------------------------------------------------- the loop

local NOT_DESCRIPTORS = {
    ["nil"] = true, boolean = true, string = true, ["function"] = true, thread = true,
}

-- Stops watching the object, ends the waits for its descriptor, and closes it if it has a `close`;
-- a number is not closed. A wait for something that is closed in any other way may not notice.
function loop.close(s)
    if NOT_DESCRIPTORS[type(s)] then
        misuse.raise("close: object or descriptor number expected, got %s", type(s))
    end
    Descriptor.close(s)
    if type(s) ~= "number" and s.close then return s:close() end
end

-- The loop has one queue, which is made with it.
local function check_queue(call)
    local set = readyq.loop_options
    if loop.queue ~= queue or set and set ~= options then
        misuse.raise('%s: the loop keeps the queue that it was loaded with: '
            .. 'set readyq.loop_options before the first require "readyq.loop"', call)
    end
end

-- Resumes the coroutines that can continue. If none can, waits until one can, for `timeout`
-- seconds at most (nil: as long as it takes). Returns whether something is left to wait for.
function loop.step(timeout)
    check_queue("step")
    return scheduler.step(timeout and misuse.check_timeout("step", timeout))
end

-- Steps until no coroutine waits, and none is the data of a watch; or until stop(). Watches whose
-- data is a function do not keep it running.
function loop.run()
    check_queue("run")
    scheduler.run()
end

-- Ends the current run(), the innermost one, after its step. A later run() continues.
function loop.stop() scheduler.stop() end

return loop
