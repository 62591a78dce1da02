-- SPDX-License-Identifier: MIT
--
-- LuaSocket's protect() for Lua 5.1 and LuaJIT, where no coroutine can wait inside a function that
-- C calls. Here a protected function runs in a coroutine of its own (generator.lua). LuaSocket's
-- newtry() and try() raise errors, as they always do, and those end that coroutine.
local generator = require "readyq.generator"
local luasocket = require "socket"
luasocket = luasocket.original or luasocket

local running = coroutine.running

local protection = {}

-- Returns nil and the message of an error that try() has raised. Raises any other error again.
local function conclude(err) return luasocket.protect(error)(err, 0) end

local function call_in_coroutine(f, ...)
    local co = coroutine.create(function(...) return f(...) end) -- `f` may be in C
    local resume
    local function finish(ok, ...)
        if not ok then return conclude((...)) end
        if coroutine.status(co) == "dead" then return ... end
        return resume(coroutine.yield(...)) -- it has called coroutine.yield() itself
    end
    resume = generator.new(co, finish)
    return resume(...)
end

function protection.protect(f)
    local protect_blocking = luasocket.protect(f)
    return function(...)
        local co, is_main = running()
        if is_main or not co then return protect_blocking(...) end
        return call_in_coroutine(f, ...)
    end
end

return protection
