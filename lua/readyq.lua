-- SPDX-License-Identifier: MIT
--
-- readyq: one event queue over the kernel's own. The queue itself is in C (readyq.core); this adds
-- dispatch, and what readyq.loop needs, on versions of Lua where C cannot provide it.
local core = require "readyq.core"

local methods = core.methods

local INTERNAL = {methods = true, coroutines = true, check_first = true}

local readyq = {}
for name, value in pairs(core) do
    if not INTERNAL[name] then readyq[name] = value end
end

local function resume(thread, watch, ready)
    local ok, message = coroutine.resume(thread, watch, ready)
    if ok then return end
    if type(message) == "string" then message = debug.traceback(thread, message) end
    error(message, 0)
end

-- Begins the wait of dispatch. Its errors name dispatch, and the line that called it.
local function begin(self, timeout, max)
    local ok, next_watch, state = pcall(methods.wait, self, timeout, max)
    if ok then return next_watch, state end
    local problem = next_watch
    if type(problem) ~= "string" or problem:find("^[^\n]-:%d+: ") then error(problem, 0) end
    error(problem:gsub("^bad argument #(%d) to '.-'", function(number)
        return ("bad argument #%d to 'dispatch'"):format(math.max(number - 1, 1))
    end), 3)
end

-- The dispatch of bindings/lua/dispatch.c for Lua 5.1 and LuaJIT, where no callback can yield
-- through a C function.
local function dispatch(self, timeout, max)
    local next_watch, state = begin(self, timeout, max)
    local count = 0
    while true do
        local fault = core.check_first(self, state)
        if fault then error(fault, 2) end
        local watch, ready, data = next_watch(state)
        if not watch then return count end
        count = count + 1
        if type(data) == "thread" then
            resume(data, watch, ready)
        else
            data(watch, ready)
        end
    end
end

methods.dispatch = methods.dispatch or dispatch

-- Lua 5.1, 5.2 and LuaJIT have none of the waits of bindings/lua/await.c. There is no reader() and
-- no resumer() then: readyq.scheduler has its own resume().
if not core.coroutines.reader then
    for _, name in ipairs {"allow", "awaits", "current", "forbid", "release"} do
        core.coroutines[name] = function() end
    end
    function core.coroutines.count() return 0 end
end

return readyq
