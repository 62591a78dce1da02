-- SPDX-License-Identifier: MIT
--
-- readyq in Lua with q:dispatch(), which calls the data of each watch: see program.lua.

local program = require "program"
local readyq = require "readyq"
local READY = program.READY
local scenarios = {}

-- A function for each object, as a program has it.
local function handler(item)
    return function() return item end
end

function scenarios.ready(n)
    local queue = readyq.new()
    for _, item in ipairs(program.objects(READY, n)) do queue:add(item.fd, "r", handler(item)) end
    return function(turns)
        for _ = 1, turns do queue:dispatch() end
        return program.events(n, turns)
    end
end

function scenarios.rearm(n)
    local queue = readyq.new()
    local interest = readyq.READ + readyq.ONESHOT
    local function handle(w) w:modify(interest) end
    for _, item in ipairs(program.objects(READY, n)) do queue:add(item.fd, interest, handle) end
    return function(turns)
        for _ = 1, turns do queue:dispatch() end
        return n * turns
    end
end

function scenarios.timer_fire(n)
    local queue, handlers = readyq.new(), {}
    for i, item in ipairs(program.objects(0, n)) do handlers[i] = handler(item) end
    return function(turns)
        for _ = 1, turns do
            for i = 1, n do queue:add_timer(0, handlers[i]) end
            queue:dispatch()
        end
        return n * turns
    end
end

function scenarios.wake()
    local queue = readyq.new()
    return function(turns)
        for _ = 1, turns do
            queue:wake()
            queue:dispatch()
        end
        return turns
    end
end

program.main(scenarios, arg)
