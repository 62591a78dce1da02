-- SPDX-License-Identifier: MIT
--
-- readyq in Lua with `for w, ready, data in q:wait()`: see program.lua.

local program = require "program"
local readyq = require "readyq"
local READY, IDLE, HOUR = program.READY, program.IDLE, program.HOUR
local scenarios = {}

function scenarios.ready(n)
    local queue = readyq.new()
    for _, item in ipairs(program.objects(READY, n)) do queue:add(item.fd, "r", item) end
    return function(turns)
        local last
        for _ = 1, turns do
            for _, _, item in queue:wait() do last = item end
        end
        return last and program.events(n, turns)
    end
end

function scenarios.rearm(n)
    local queue = readyq.new()
    local interest = readyq.READ + readyq.ONESHOT
    for _, item in ipairs(program.objects(READY, n)) do queue:add(item.fd, interest, item) end
    return function(turns)
        for _ = 1, turns do
            for w in queue:wait() do w:modify(interest) end
        end
        return n * turns
    end
end

function scenarios.add(n)
    local queue, objects, watches = readyq.new(), program.objects(IDLE, n), {}
    return function(turns)
        for _ = 1, turns do
            local item = objects[#watches + 1]
            watches[#watches + 1] = queue:add(item.fd, "r", item)
        end
        queue:wait(0)
        return turns
    end
end

-- n watches and a new queue.
local function watched(n)
    local queue, watches = readyq.new(), {}
    for i, item in ipairs(program.objects(IDLE, n)) do
        watches[i] = queue:add(item.fd, "r", item)
    end
    return queue, watches
end

local function removal(queue, watches)
    local last = 0
    return function(turns)
        for _ = 1, turns do
            last = last + 1
            watches[last]:remove()
        end
        queue:wait(0)
        return turns
    end
end

function scenarios.remove(n)
    return removal(watched(n))
end

function scenarios.add_remove(n)
    local queue, objects = readyq.new(), program.objects(IDLE, n)
    return function(turns)
        for _ = 1, turns do
            for i = 1, n do queue:add(objects[i].fd, "r", objects[i]):remove() end
            queue:wait(0)
        end
        return n * turns
    end
end

function scenarios.modify(n)
    local queue, watches = watched(n)
    return function(turns)
        for turn = 1, turns do
            local interest = turn % 2 == 0 and "r" or "rw"
            for i = 1, n do watches[i]:modify(interest) end
            queue:wait(0)
        end
        return n * turns
    end
end

function scenarios.timer_add(n)
    local queue, objects, watches = readyq.new(), program.objects(0, n), {}
    return function(turns)
        for _ = 1, turns do
            watches[#watches + 1] = queue:add_timer(HOUR, objects[#watches + 1])
        end
        queue:wait(0)
        return turns
    end
end

local function timers(n)
    local queue, watches = readyq.new(), {}
    for i, item in ipairs(program.objects(0, n)) do watches[i] = queue:add_timer(HOUR, item) end
    return queue, watches
end

function scenarios.timer_cancel(n)
    return removal(timers(n))
end

function scenarios.timer_restart(n)
    local queue, watches = timers(n)
    return function(turns)
        for _ = 1, turns do
            for i = 1, n do watches[i]:restart(HOUR) end
            queue:wait(0)
        end
        return n * turns
    end
end

function scenarios.timer_fire(n)
    local queue, objects = readyq.new(), program.objects(0, n)
    return function(turns)
        local last
        for _ = 1, turns do
            for i = 1, n do queue:add_timer(0, objects[i]) end
            for _, _, item in queue:wait() do last = item end
        end
        return last and n * turns
    end
end

function scenarios.wake()
    local queue = readyq.new()
    return function(turns)
        for _ = 1, turns do
            queue:wake()
            queue:wait()
        end
        return turns
    end
end

program.main(scenarios, arg)
