-- SPDX-License-Identifier: MIT
--
-- lua-ev: see program.lua. Its loop runs until the callback of the first watcher has counted the
-- turns, so that it does not pay for leaving it in each.

local program = require "program"
local ev = require "ev"
local READY, IDLE, HOUR = program.READY, program.IDLE, program.HOUR
local scenarios = {}

-- A function for each object, as a program has it.
local function handler(item)
    return function() return item end
end

local function look(loop)
    ev.Timer.new(function() loop:unloop() end, 0):start(loop)
    loop:loop()
end

function scenarios.ready(n)
    local loop, left = ev.Loop.new(), 0
    local function first()
        left = left - 1
        if left == 0 then loop:unloop() end
    end
    for i, item in ipairs(program.objects(READY, n)) do
        ev.IO.new(i == 1 and first or handler(item), item.fd, ev.READ):start(loop)
    end
    return function(turns)
        left = turns
        loop:loop()
        return program.events(n, turns)
    end
end

function scenarios.add(n)
    local loop, objects, watchers = ev.Loop.new(), program.objects(IDLE, n), {}
    return function(turns)
        for _ = 1, turns do
            local item = objects[#watchers + 1]
            local watcher = ev.IO.new(handler(item), item.fd, ev.READ)
            watcher:start(loop)
            watchers[#watchers + 1] = watcher
        end
        look(loop)
        return turns
    end
end

local function started(n, new)
    local loop, watchers = ev.Loop.new(), {}
    for i, item in ipairs(program.objects(IDLE, n)) do
        watchers[i] = new(item)
        watchers[i]:start(loop)
    end
    return loop, watchers
end

local function stopping(loop, watchers)
    local last = 0
    return function(turns)
        for _ = 1, turns do
            last = last + 1
            watchers[last]:stop(loop)
        end
        look(loop)
        return turns
    end
end

function scenarios.remove(n)
    local function new(item) return ev.IO.new(handler(item), item.fd, ev.READ) end
    return stopping(started(n, new))
end

function scenarios.timer_cancel(n)
    return stopping(started(n, function(item) return ev.Timer.new(handler(item), HOUR) end))
end

function scenarios.timer_add(n)
    local loop, objects, timers = ev.Loop.new(), program.objects(0, n), {}
    return function(turns)
        for _ = 1, turns do
            local timer = ev.Timer.new(handler(objects[#timers + 1]), HOUR)
            timer:start(loop)
            timers[#timers + 1] = timer
        end
        look(loop)
        return turns
    end
end

program.main(scenarios, arg)
