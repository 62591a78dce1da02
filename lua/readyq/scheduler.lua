-- SPDX-License-Identifier: MIT
--
-- The part of readyq.loop that suspends and resumes coroutines.
--
-- A Task (task.lua) is what the loop knows about one coroutine. A source is what a wait is for: a
-- Descriptor (descriptor.lua); an Event, a Process, or a Choice of several (sources.lua); or a
-- Task, for the end of its coroutine. A wait goes like this:
--
-- 1. Task.current() returns the task of the coroutine that runs, or raises.
-- 2. source:attach(task) tells the source which task waits for it.
-- 3. suspend() notes the wait in the task, and yields.
-- 4. One of these ends the wait:
--    end_now()           the queue reported its event: resumes the coroutine at once;
--    end_soon()          another coroutine has ended it for good, by setting an event, closing the
--                        descriptor or ending: resumes it at the end of the step;
--    end_unless_event()  a timeout or a cancellation: resumes it at the end of the step, unless
--                        one of the other two ends the wait first. sleep(0) and the first step
--                        of a coroutine, which wait for no event, are scheduled in this way, too.
-- 5. suspend() returns true if the event came; or nil, and why the wait ended without it.
-- Most waits take a shorter path, which is in await.lua; note_wait() moves them to this one.
--
-- State is in local variables, and functions are not methods: a field costs 40 instructions more
-- than a local variable (callgrind, Lua 5.4), and a wait would have 30 more such accesses.
local coroutines = require "readyq.core".coroutines
local misuse = require "readyq.misuse"
local program = require "readyq.program"
local readyq = require "readyq"
local Task = require "readyq.task"

local resume, running, yield = coroutine.resume, coroutine.running, coroutine.yield
local count, current, unpack = coroutines.count, coroutines.current, table.unpack or unpack
local READ = readyq.READ
local READY, VOID, CANCELLED = Task.READY, Task.VOID, Task.CANCELLED
local tasks, current_task = Task.by_coroutine, Task.current

local queue = assert(readyq.new(readyq.loop_options))

-- Resumes a coroutine that waits. Returns nothing, or true and its error.
local go = coroutines.resumer and coroutines.resumer(queue) or function(co, why)
    local ok, message = resume(co, why)
    if not ok then return true, message end
end

local wait = queue.wait
local handlers = {} -- of the loop's own watches, by the metatable of their data
local waiting = 0 -- how many tasks wait, including for their first step, except those of await.lua
local turn = 0 -- the number of the last wait of the queue
local scheduled, last_scheduled = {}, 0 -- tasks to resume soon
local due, next_due, last_due = {}, 1, 0 -- tasks that the step resumes now
local is_stepping, is_stopped = false, false
local cancelled = 0 -- how many tasks have is_cancelled
local has_leftovers = false -- an error has ended a step, perhaps with timeouts still to be run
local notice -- a trigger that has fired: see notify_host()

local scheduler = {READY = READY, CANCELLED = CANCELLED, queue = queue, handlers = handlers,
    tasks = tasks, roots = Task.roots, loop = nil} -- `loop` may have an on_error

-- ---------------------------------------------------------------- tasks

local drop_arguments, end_unless_event, end_soon -- below

-- Removes the task from its source and its timer. `source` is the one that has ended the wait, if
-- any, in direction `bit` if it is a Descriptor: that source has already dropped the task.
local function let_go(task, source, bit)
    if task.timer then task.timer:remove() end
    if task.source and task.source ~= source then task.source:detach(task, source, bit) end
    task.timer, task.source = false, false
    if task.ending then task.ending = VOID end
end

-- Drops the wait of a coroutine that is dead, could not yield, or was resumed by something else.
function Task:abandon()
    let_go(self)
    self.co = false
    waiting = waiting - 1
end

function Task:on_timer() end_unless_event(self, "timeout") end
Task.__call = Task.on_timer -- for a program that asks the queue itself, and calls what it reports
handlers[Task] = Task.on_timer

-- Notes whether the task's wait, or its next one, raises CANCELLED. That wait must not be a simple
-- one, so none is until then.
function Task:set_cancelled(is_cancelled)
    if self.is_cancelled == is_cancelled then return end
    self.is_cancelled = is_cancelled
    cancelled = cancelled + (is_cancelled and 1 or -1)
    coroutines.forbid(queue, is_cancelled and 1 or -1)
end

-- The coroutine has ended: with these results, or with nil, an error and a traceback.
local function finish(task, ...)
    local joiners = task.joiners or {}
    if task.co then task:abandon() end -- its last wait could not yield
    task:set_cancelled(false)
    drop_arguments(task) -- if the program closed it before its first step
    task.values, task.joiners = {n = select("#", ...), ...}, nil
    for _, other in ipairs(joiners) do end_soon(other, READY, task) end
end

-- ---------------------------------------------------------------- waiting

-- A wait that ended without its event.
local function conclude(call, task, why)
    if task.co then
        task:abandon()
        misuse.raise("%s: a waiting coroutine was resumed by something other than the loop", call)
    end
    if why == CANCELLED then error(CANCELLED, 0) end
    return nil, why
end

-- Suspends the coroutine until the source that it is attached to, or the timeout, ends the wait.
-- Returns true if the event came; or nil and "timeout" or "closed"; or nil, message, errno.
local function suspend(call, task, co, source, seconds)
    if seconds then
        local timer, message, errno = queue:add_timer(seconds, task)
        if not timer then
            if source then source:detach(task) end
            return nil, message, errno
        end
        task.timer = timer
    end
    task.co, task.source, task.turn = co, source, turn
    waiting = waiting + 1
    local why = yield()
    if why == READY then return true end
    return conclude(call, task, why)
end

-- Notes a wait that began in its simple form, and whether that was after the queue was asked.
function scheduler.note_wait(task, co, source, is_new)
    task.co, task.source, task.turn = co, source, is_new and turn or turn - 1
    waiting = waiting + 1
end

-- Waits for a source, and returns its result; or nil and why there is none.
function scheduler.wait(call, source, timeout)
    local task, co = current_task(call)
    local seconds = timeout and misuse.check_timeout(call, timeout)
    if source:attach(task) then
        local ok, why, errno = suspend(call, task, co, source, seconds)
        if not ok then return nil, why, errno end
    end
    return source:result()
end

local function sleep(timeout)
    local task, co = current_task("sleep")
    local seconds = timeout and timeout ~= 0 and misuse.check_timeout("sleep", timeout)
    if not seconds then end_unless_event(task, READY) end
    local ok, why, errno = suspend("sleep", task, co, false, seconds)
    if not ok and why ~= "timeout" then misuse.raise("sleep: %s (errno %s)", why, errno) end
end

-- Without seconds the coroutine is resumed after the others that are due. What Task.current(),
-- end_unless_event() and suspend() do then is inlined, which saves 1,000 of 6,300 instructions.
function scheduler.sleep(timeout)
    local co, task = current(tasks)
    if timeout ~= 0 and timeout or not task or cancelled > 0 or task.ending
        or not is_stepping then return sleep(timeout) end
    last_scheduled = last_scheduled + 1
    scheduled[last_scheduled] = task
    task.co = co; task.source = false; task.ending = READY
    waiting = waiting + 1
    local why = yield()
    if why ~= READY then conclude("sleep", task, why) end
end

-- ---------------------------------------------------------------- the ends of waits

-- An error goes to the tasks that wait for the end of the coroutine; if there are none, it is
-- reported. Being cancelled, or closed by the program, is not an error.
local function fail(task, co, message)
    if message == "cannot resume dead coroutine" and not debug.getinfo(co, 0, "l") then
        return finish(task, nil, "closed")
    end
    local report = program.describe_error(co, message, CANCELLED)
    if message == CANCELLED then message = report end -- an error from its cleanup, if any
    local is_joined = task:has_joiner()
    finish(task, nil, message, report)
    if not is_joined and report ~= CANCELLED then program.report(scheduler.loop, report, co) end
end

-- Resumes a coroutine that waits.
local function go_on(task, why)
    local co = task.co
    task.co = false
    waiting = waiting - 1
    local failed, message = go(co, why)
    if failed then fail(task, co, message) end
end

-- Ends a wait now, because the event of the source came.
local function end_now(task, source, bit)
    if task.timer or task.source ~= source then let_go(task, source, bit) end
    go_on(task, READY)
end

-- The handler of Descriptors. Nearly always a task waits for READ alone, with a kept watch. What
-- on_event() and end_now() do then is inlined, which saves 3,300 of 13,300 instructions per echo.
function scheduler.on_descriptor(descriptor, watch, ready)
    local task = descriptor[READ]
    if ready ~= READ or not task or task.turn >= turn or not descriptor.is_kept then
        return descriptor:on_event(watch, ready, turn)
    end
    descriptor[READ] = false
    if task.timer or task.source ~= descriptor then let_go(task, descriptor, READ) end
    go_on(task, READY)
end

-- Makes the host call step(): a program that has a loop of its own, which sleeps on the queue's
-- descriptor.
local function notify_host()
    if is_stepping or notice or queue:closed() then return end
    notice = queue:add_trigger(function() end)
    if notice then notice:fire() end
end

-- The wait ends at the end of the step, unless an event comes first. The first such end counts.
function end_unless_event(task, why)
    local before = task.ending
    if before and before ~= VOID then return end
    task.ending = why
    if not before then
        last_scheduled = last_scheduled + 1
        scheduled[last_scheduled] = task
    end
    if not is_stepping then notify_host() end
end

-- The wait ends at the end of the step in any case: with READY, or with what suspend() returns.
function end_soon(task, why, source, bit)
    let_go(task, source, bit)
    end_unless_event(task, why)
end

-- If a timeout or a cancellation will end the wait, an event cannot end it instead from now on.
-- Returns whether that is so.
function scheduler.release(task)
    local is_ending = task.ending and task.ending ~= VOID
    if is_ending then end_soon(task, task.ending) end
    return is_ending
end

-- Resumes a coroutine of spawn() for the first time.
local function start(task)
    local arguments = task.arguments
    local co = arguments.co
    local ok, message = resume(co, unpack(arguments, 1, arguments.n))
    if not ok then fail(task, co, message) end
end

-- Resumes the tasks that are scheduled now. Those that they schedule, and those that an error
-- leaves, are resumed by the next call. Two lists alternate, so that nothing is allocated. A step
-- inside this one takes the tasks that are left, and may exchange the lists.
local function run_scheduled()
    if next_due > last_due then
        due, scheduled = scheduled, due
        next_due, last_due, last_scheduled = 1, last_scheduled, 0
    end
    local i = next_due
    while i <= last_due do
        local list = due
        local task = list[i]
        local co, why = task.co, task.ending
        list[i] = false; task.ending = false
        next_due = i + 1
        if co and why == READY then -- go_on(), inlined: 1,000 of 6,300 instructions per sleep(0)
            task.co = false
            waiting = waiting - 1
            local failed, message = go(co, READY)
            if failed then fail(task, co, message) end
        elseif co and why ~= VOID then
            let_go(task)
            if why == CANCELLED then task:set_cancelled(false) end
            go_on(task, why)
        elseif task.arguments then
            start(task)
        end
        i = next_due
    end
end

-- ---------------------------------------------------------------- beginning

-- The coroutine does not wait for its first step: the loop or the program has resumed it, or the
-- program closed it.
function drop_arguments(task)
    if not task.arguments then return end
    task.arguments = false
    waiting = waiting - 1
    if task.ending then task.ending = VOID end -- it was not the loop
end

-- What each coroutine of spawn() runs.
local function run_task(...)
    local task = tasks[running()]
    local f = task.arguments.f
    drop_arguments(task)
    finish(task, f(...))
end

function scheduler.spawn(f, ...)
    local co = coroutine.create(run_task)
    local task = Task.new(co)
    task.arguments = {co = co, f = f, n = select("#", ...), ...}
    waiting = waiting + 1
    end_unless_event(task, READY)
    return co
end

function scheduler.is_waiting(co)
    local task = tasks[co]
    if not task or task.values then return false end
    scheduler.take_over_of(co)
    return (task.co or task.arguments or false) ~= false
end

-- ---------------------------------------------------------------- steps

-- The data of a watch of the program: a coroutine that can continue is resumed.
local function deliver(data, watch, ready)
    if not program.can_go_on(data) or scheduler.is_waiting(data) then
        return program.call(scheduler.loop, watch, ready, data)
    end
    local task = tasks[data] or Task.new(data)
    local ok, message = resume(data, watch, ready)
    if not ok then fail(task, data, message) end
end

local function is_anything_left()
    return waiting > 0 or count(queue) > 0 or program.keeps_running(queue)
end

-- A step: resumes the tasks that are scheduled, unless an error may have left timeouts among them
-- (an event that came meanwhile must win); asks the queue; and resumes those whose wait is over.
-- Does not sleep if a task is scheduled or nothing is left to wait for. Returns whether something
-- is left.
local function advance(seconds, is_nested)
    local did_wait = waiting > 0 or count(queue) > 0
    if has_leftovers then has_leftovers = false elseif not is_nested then run_scheduled() end
    if last_scheduled > 0 or next_due <= last_due or waiting == 0 and count(queue) == 0
        and (did_wait or not program.has_watch(queue, handlers)) then
        seconds = 0
    end
    local take, number, n = wait(queue, seconds)
    turn = number
    if n > 0 then
        for watch, ready, data, message in take, number do
            if ready == 0 then -- the coroutine was resumed by the queue, and has raised
                fail(tasks[data], data, message)
            else
                (handlers[getmetatable(data)] or deliver)(data, watch, ready, turn)
            end
        end
    end
    run_scheduled()
    return waiting > 0 or is_anything_left()
end

-- Returns whether this one is inside another.
local function begin_step()
    local was_stepping = is_stepping
    if notice then notice:remove(); notice = nil end
    is_stepping = true
    return was_stepping
end

-- An error leaves the others to be resumed in the next step.
local function end_step(was_stepping, ok, result)
    is_stepping, has_leftovers = was_stepping, not ok
    if last_scheduled > 0 or next_due <= last_due then notify_host() end
    if not ok then error(program.explain(result, queue), 0) end
    return result
end

function scheduler.step(seconds)
    local is_nested = begin_step()
    return end_step(is_nested, pcall(advance, seconds, is_nested))
end

function scheduler.run()
    local is_nested = begin_step()
    is_stopped = false
    end_step(is_nested, xpcall(function()
        if not is_anything_left() and not advance(0, is_nested) then return end
        while not is_stopped and advance(nil, is_nested) do end
    end, program.add_traceback))
    is_stopped = false
end

function scheduler.stop() is_stopped = true end

scheduler.current_task, scheduler.suspend, scheduler.conclude = current_task, suspend, conclude
scheduler.end_now, scheduler.end_soon = end_now, end_soon
scheduler.end_unless_event, scheduler.finish = end_unless_event, finish
return scheduler
