-- SPDX-License-Identifier: MIT
--
-- What readyq.loop knows about one coroutine, and about its wait while it waits. Others can wait
-- for the end of the coroutine: a Task is a source (scheduler.lua), too.
local coroutines = require "readyq.core".coroutines
local misuse = require "readyq.misuse"

local running = coroutine.running
local isyieldable = coroutine.isyieldable -- since Lua 5.3
local current = coroutines.current
local unpack = table.unpack or unpack

local Task = {
    -- How a wait ends, besides "timeout" and "closed":
    READY = {}, -- its event came
    CANCELLED = setmetatable({}, {__tostring = function() return "cancelled" end}),
    VOID = {}, -- it has ended already, and the task is still in the list of scheduled ones

    by_coroutine = setmetatable({}, {__mode = "k"}),
    -- By generator of loop.wrap: the coroutine of the loop that called it, perhaps through others.
    roots = setmetatable({}, {__mode = "kv"}),

    -- These are absent at first: with eight fields at most, a task takes 192 bytes less.
    arguments = nil, -- of a coroutine of spawn(): a list with its function, false once it began
    values = nil, -- a list of what its function returned, or of nil and its error
    joiners = nil, -- a list of the tasks that wait for its end
}
Task.__index = Task

local tasks, roots = Task.by_coroutine, Task.roots

-- A coroutine uses one task for all of its waits: a new table for each would cost 2,200
-- instructions, a fifth of an echo. A task refers to its coroutine only while that waits, because
-- Lua 5.1 never collects a key of a weak table to which its value refers.
function Task.new(co)
    local task = setmetatable({
        co = false, -- the coroutine, while it waits
        source = false, -- what it waits for
        turn = 0, -- when the wait began: only later waits of the queue can end it
        timer = false, -- the watch of its timeout
        -- How the wait will end. The task is in a list of scheduled tasks, once, as long as it has
        -- this.
        ending = false,
        is_cancelled = false, -- its wait, or the next one, raises CANCELLED
    }, Task)
    tasks[co] = task
    return task
end

-- ---------------------------------------------------------------- the coroutine that runs

-- What Task.current() does if anything is unusual. Before Lua 5.3 it always calls this, because C
-- code cannot ask whether the coroutine can yield.
local function check(call)
    local co, is_main = running()
    co = roots[co] or co
    local task = tasks[co]
    if not task then misuse.refuse_coroutine(call, is_main or not co) end
    if isyieldable and not isyieldable() then
        misuse.raise("%s: cannot wait inside a call to a C function such as gsub or sort%s", call,
            coroutine.close and ", or in a __close after an error" or "")
    end
    if task.co then task:abandon() end -- an earlier wait could not yield
    if task.is_cancelled then
        task:set_cancelled(false)
        if task.ending then task.ending = Task.VOID end -- an event came first
        error(Task.CANCELLED, 0)
    end
    return task, co
end

-- The task of the coroutine that runs, and the coroutine that the loop resumes. Raises if it
-- cannot wait, or was cancelled.
function Task.current(call)
    local co, task = current(tasks)
    if not task or task.is_cancelled then return check(call) end
    return task, co
end

-- ---------------------------------------------------------------- waiting for its end

-- Whether a coroutine waits for the end of this one. Coroutines that the program closed do not.
function Task:has_joiner()
    for _, joiner in ipairs(self.joiners or {}) do
        if coroutine.status(joiner.co) ~= "dead" then return true end
    end
    return false
end

function Task:attach(joiner)
    if self.values then return false end
    self.joiners = self.joiners or {}
    table.insert(self.joiners, joiner)
    return true
end

function Task:detach(joiner)
    for i, other in ipairs(self.joiners or {}) do
        if other == joiner then return table.remove(self.joiners, i) end
    end
end

function Task:result() return unpack(self.values, 1, self.values.n) end

return Task
