-- SPDX-License-Identifier: MIT
--
-- Functions that run in a coroutine of their own inside one of readyq.loop, and may wait: the
-- generators of loop.wrap(), and the protected functions of readyq.socket (protection.lua).
local misuse = require "readyq.misuse"
local scheduler = require "readyq.scheduler"

local generator = {}

-- Returns a function that resumes the coroutine `co` with its arguments. When `co` yields because
-- it waits, the coroutine that called the function yields to the loop, too, and resumes `co`
-- afterwards. The wait is that of the caller's task, which scheduler.roots finds. Otherwise the
-- function returns finish(ok, ...), with what coroutine.resume() returned.
function generator.new(co, finish)
    local tasks, roots = scheduler.tasks, scheduler.roots
    local waiter = nil -- the coroutine that called the function, while `co` waits
    local function pass(caller, task, ok, ...)
        waiter = nil
        local is_waiting = ok and task and task.co -- such waits are never those of await.lua
        if not is_waiting then return finish(ok, ...) end
        waiter = caller
        return pass(caller, task, coroutine.resume(co, coroutine.yield()))
    end
    return function(...)
        local caller = coroutine.running()
        if waiter and waiter ~= caller and coroutine.status(waiter) ~= "dead" then
            misuse.raise("this loop.wrap() generator was called by another coroutine "
                .. "first, and is still waiting in that call")
        end
        roots[co] = roots[caller] or caller
        return pass(caller, tasks[roots[co]], coroutine.resume(co, ...))
    end
end

return generator
