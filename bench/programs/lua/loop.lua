-- SPDX-License-Identifier: MIT
--
-- readyq.loop: n coroutines, each of which waits again and again, for an object of LuaSocket; see
-- program.lua.

local program = require "program"
local loop = require "readyq.loop"
local socket = require "socket"
local READY, IDLE = program.READY, program.IDLE
local scenarios = {}

-- n coroutines that call f(i) in each turn; the last to end stops the loop.
local function together(n, turns, f)
    local left = n
    for i = 1, n do
        loop.spawn(function()
            for _ = 1, turns do f(i) end
            left = left - 1
            if left == 0 then loop.stop() end
        end)
    end
    loop.run()
    return n * turns
end

local function open(fd)
    local object = socket.tcp()
    object:close()
    object:setfd(fd)
    return object
end

function scenarios.ready(n)
    for fd = IDLE, READY + n - 1 do loop.spawn(loop.readable, fd) end
    local objects = {}
    for i = 1, math.min(n, program.MOST_READY) do objects[i] = open(READY + i - 1) end
    local function wait(i) loop.readable(objects[i]) end
    return function(turns)
        return together(math.min(n, program.MOST_READY), turns, wait)
    end
end

function scenarios.sleep(n)
    local function doze() loop.sleep(0) end
    return function(turns)
        return together(n, turns, doze)
    end
end

program.main(scenarios, arg)
