-- SPDX-License-Identifier: MIT
--
-- LuaSocket's protect(), newtry() and try() for Lua 5.1 and LuaJIT, where no coroutine can wait
-- inside a function that C calls. Here a protected function is a generator of loop.wrap(), and
-- where LuaSocket's try() would raise, this one yields from it and is never resumed.
local loop = require "readyq.loop"
local luasocket = require "socket"
luasocket = luasocket.original or luasocket

local running = coroutine.running

local FAILED = {} -- what a generator yields before the message
local protected = setmetatable({}, {__mode = "k"}) -- the coroutines of protected functions

local protection = {}

local function conclude(first, ...)
    if first == FAILED then return nil, ... end
    return first, ...
end

function protection.protect(f)
    local protect_blocking = luasocket.protect(f)
    local function call(...)
        protected[running()] = true
        return f(...)
    end
    return function(...)
        if not running() then return protect_blocking(...) end -- the main program
        return conclude(loop.wrap(call)(...))
    end
end

function protection.newtry(finalize)
    local try = luasocket.newtry(finalize)
    return function(...)
        if (...) or not protected[running() or FAILED] then return try(...) end
        if finalize then pcall(finalize) end
        coroutine.yield(FAILED, (select(2, ...)))
    end
end

protection.try = protection.newtry()

return protection
