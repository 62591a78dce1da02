-- SPDX-License-Identifier: MIT
--
-- The simple kind of wait of readyq.loop: for reading a descriptor, without a timeout. Nearly all
-- waits are of this kind.
--
-- Such a wait is noted in the watch alone, and the loop of queue:wait() resumes the coroutine
-- (bindings/lua/await.c): its task and the Descriptor know nothing of it. That takes more than
-- half of the instructions off an echo, 7,300 instead of 16,400 (callgrind, Lua 5.4). If anything
-- other than its event concerns the wait, take_over() gives it the general form, which
-- scheduler.lua describes. The first wait of a coroutine has the general form, and so does the
-- first one for a Descriptor.
local coroutines = require "readyq.core".coroutines
local readyq = require "readyq"
local scheduler = require "readyq.scheduler"

local READ, tasks = readyq.READ, scheduler.tasks
local awaits, release = coroutines.awaits, coroutines.release

-- `reader(queue, watches, wait, conclude)` makes a function that waits in this way, or else calls
-- wait(); `allow(watch, ask, dirty)` lets it wait for a watch, until release().
local await = {reader = coroutines.reader, allow = coroutines.allow}

-- Gives the simple wait for this Descriptor, if any, the general form. If it belongs to a method
-- call of readyq.socket, its source is the Turns of that call. From now on the waits for it are
-- general.
function await.take_over(descriptor)
    local co, is_new
    descriptor.is_awaitable = false
    if descriptor.watch then co, is_new = release(descriptor.watch) end
    if not co then return end
    local task, turns = tasks[co], descriptor.turns
    local source = turns and turns:take_over(task) or descriptor
    descriptor[READ] = task
    scheduler.note_wait(task, co, source, is_new)
end

-- The same for the simple wait of this coroutine.
local function take_over_of(co)
    local watch = awaits(scheduler.queue, co)
    if watch then await.take_over(watch.data) end
end

await.take_over_of, scheduler.take_over_of = take_over_of, take_over_of

-- Returns as suspend() does, when something other than its event has ended a wait for the watch.
function await.conclude(call, why, watch)
    if why == scheduler.READY then return true end
    local co = coroutine.running()
    await.take_over(watch.data) -- if the program has resumed the coroutine
    return scheduler.conclude(call, tasks[co], why)
end

return await
