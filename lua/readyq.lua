-- SPDX-License-Identifier: MIT
--
-- readyq: one event queue over the kernel's own. The queue itself is in C (readyq.core); here is
-- what can be said in Lua over it: dispatch, whose callbacks may yield, and tracing to files.
local core = require "readyq.core"

local methods = core.methods
local trace = methods.trace

local readyq = {}
for name, value in pairs(core) do
    if value ~= methods then readyq[name] = value end
end

local function resume(thread, watch, ready)
    local ok, message = coroutine.resume(thread, watch, ready)
    if ok then return end
    if type(message) == "string" then message = debug.traceback(thread, message) end
    if coroutine.close and coroutine.status(thread) == "dead" then coroutine.close(thread) end
    error(message, 0)
end

local function refuse(watch)
    error("dispatch: " .. tostring(watch) .. " has no function or coroutine as its data", 3)
end

-- Waits, then calls the data of each ready watch, or resumes it when it is a coroutine. An error
-- leaves at once; what was not called yet comes with the next wait.
function methods:dispatch(timeout, max)
    local count = 0
    for watch, ready, data in self:wait(timeout, max) do
        count = count + 1
        if type(data) == "thread" then
            resume(data, watch, ready)
        else
            (data or refuse)(watch, ready)
        end
    end
    return count
end

-- Hands each call and delivery as a line to an io file or a function; nil stops it.
function methods:trace(out)
    if io.type(out) ~= "file" then return trace(self, out) end
    return trace(self, function(line) out:write(line, "\n") end)
end

return readyq
