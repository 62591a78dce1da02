-- SPDX-License-Identifier: MIT
--
-- What readyq.loop knows about one coroutine, and about its wait while it waits. Others can wait
-- for the end of the coroutine: a Task is a source (scheduler.lua), too.
local unpack = table.unpack or unpack

local Task = {}
Task.__index = Task

Task.arguments = nil -- of a coroutine of spawn(): a list with its function, false once that began
Task.values = nil -- a list of what its function returned, or of nil and its error
Task.joiners = nil -- a list of the tasks that wait for its end

-- A coroutine uses one task for all of its waits: a new table for each would cost 2,200
-- instructions, a fifth of an echo. The fields above are absent at first: with eight fields at
-- most, a task takes 192 bytes less. A task refers to its coroutine only while that waits, because
-- Lua 5.1 never collects a key of a weak table to which its value refers.
function Task.new()
    return setmetatable({
        co = false, -- the coroutine, while it waits
        source = false, -- what it waits for
        turn = 0, -- when the wait began: an event that the queue reported before is older
        timer = false, -- the watch of its timeout
        -- How the wait will end: READY, CANCELLED, "timeout" or "closed"; or VOID, if an event
        -- came first. The task is in a list of scheduled tasks, once, as long as it has this.
        ending = false,
        is_cancelled = false, -- its wait, or the next one, raises CANCELLED
    }, Task)
end

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
