-- SPDX-License-Identifier: MIT
--
-- readyq: one event queue over the kernel's own. The queue itself is in C (readyq.core); this adds
-- what can be written in Lua on top of it: tracing to files, and dispatch on versions of Lua where
-- C cannot provide it.
local core = require "readyq.core"

local methods = core.methods
local trace = methods.trace

local readyq = {}
for name, value in pairs(core) do
    if value ~= methods and value ~= core.coroutines then readyq[name] = value end
end

local function resume(thread, watch, ready)
    local ok, message = coroutine.resume(thread, watch, ready)
    if ok then return end
    if type(message) == "string" then message = debug.traceback(thread, message) end
    error(message, 0)
end

local function refuse(watch)
    error("dispatch: " .. tostring(watch) .. " has no function or coroutine as its data", 3)
end

-- The dispatch of bindings/lua/dispatch.c for Lua 5.1 and LuaJIT, where no callback can yield
-- through a C function.
local function dispatch(self, timeout, max)
    local count = 0
    for watch, ready, data in self:wait(timeout, max) do
        count = count + 1
        if type(data) == "thread" then
            resume(data, watch, ready)
        elseif type(data) == "function" or (getmetatable(data) or {}).__call then
            data(watch, ready)
        else
            refuse(watch)
        end
    end
    return count
end

methods.dispatch = methods.dispatch or dispatch

-- Passes each call and delivery as a line to an io file or a function; nil stops it.
function methods:trace(out)
    if io.type(out) ~= "file" then return trace(self, out) end
    return trace(self, function(line) out:write(line, "\n") end)
end

return readyq
