-- SPDX-License-Identifier: MIT
--
-- The simple kind of wait of readyq.loop: for reading a descriptor, without a timeout. Nearly all
-- waits are of this kind.
--
-- Such a wait is noted in the watch alone, and the loop of queue:wait() resumes the coroutine
-- (bindings/lua/await.c): its task and the Descriptor know nothing of it. That takes 2,700 of
-- 11,100 instructions off an echo (callgrind, Lua 5.4). If anything other than its event concerns
-- the wait, take_over() gives it the general form, which scheduler.lua describes. The first wait
-- of a coroutine for a Descriptor has the general form, and checks that the coroutine can wait.
local coroutines = require "readyq.core".coroutines
local readyq = require "readyq"
local scheduler = require "readyq.scheduler"

local READ, tasks = readyq.READ, scheduler.tasks

-- By coroutine of the loop: the Descriptor for which it has waited in the general form.
local readers = setmetatable({}, {__mode = "kv"})

-- `begin(watch, readers, object, dirty)` waits, and returns the watch; or `readers`, at once, if
-- this cannot be a simple wait; or something else if it was taken over, for conclude().
local await = {readers = readers, begin = coroutines.await}

-- The next wait of this coroutine for the Descriptor may be a simple one.
function await.allow(co, descriptor)
    readers[co], descriptor.is_awaitable = descriptor, true
end

-- Gives the simple wait for this Descriptor, if any, the general form. If it is that of a call of
-- readyq.socket, its source is the Turns of that call.
function await.take_over(descriptor)
    local co, is_new
    if descriptor.watch then co, is_new = coroutines.release(descriptor.watch) end
    if not co then return end
    local task, turns = tasks[co], descriptor.turns
    local source = turns and turns:take_over(task) or descriptor
    descriptor[READ] = task
    scheduler.note_wait(task, co, source, is_new)
end

-- The same for the simple wait of this coroutine.
local function take_over_of(co)
    if readers[co] then await.take_over(readers[co]) end
end

await.take_over_of, scheduler.take_over_of = take_over_of, take_over_of

-- The same, and the next wait of the coroutine has the general form, too.
function await.forbid(co)
    take_over_of(co)
    readers[co] = nil
end

-- Returns as suspend() does.
function await.conclude(call, why)
    if why == scheduler.READY then return true end
    local co = coroutine.running()
    take_over_of(co) -- if the program has resumed it
    return scheduler.conclude(call, tasks[co], why)
end

return await
