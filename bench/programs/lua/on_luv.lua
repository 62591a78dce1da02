-- SPDX-License-Identifier: MIT
--
-- luv: see program.lua. luv.run() runs until the callback of the first handle has counted the
-- turns, so that luv does not pay for leaving its loop in each. The handles of a scenario are
-- closed before the next, because there is one loop.

local program = require "program"
local luv = require "luv"
local READY, IDLE, HOUR = program.READY, program.IDLE, program.HOUR * 1000
local scenarios = {}

local function fresh()
    luv.walk(function(handle)
        if not handle:is_closing() then handle:close() end
    end)
    luv.run()
end

-- A function for each object, as a program has it.
local function handler(item)
    return function() return item end
end

function scenarios.ready(n)
    fresh()
    local left
    local function first()
        left = left - 1
        if left == 0 then luv.stop() end
    end
    for i, item in ipairs(program.objects(READY, n)) do
        luv.new_poll(item.fd):start("r", i == 1 and first or handler(item))
    end
    return function(turns)
        left = turns
        luv.run()
        return program.events(n, turns)
    end
end

function scenarios.add(n)
    fresh()
    local objects, handles = program.objects(IDLE, n), {}
    return function(turns)
        for _ = 1, turns do
            local item = objects[#handles + 1]
            local handle = luv.new_poll(item.fd)
            handle:start("r", handler(item))
            handles[#handles + 1] = handle
        end
        luv.run("nowait")
        return turns
    end
end

local function watched(n)
    fresh()
    local handles = {}
    for i, item in ipairs(program.objects(IDLE, n)) do
        handles[i] = luv.new_poll(item.fd)
        handles[i]:start("r", handler(item))
    end
    luv.run("nowait")
    return handles
end

function scenarios.remove(n)
    local handles, last = watched(n), 0
    return function(turns)
        for _ = 1, turns do
            last = last + 1
            handles[last]:close()
        end
        luv.run("nowait")
        return turns
    end
end

function scenarios.add_remove(n)
    fresh()
    local objects = program.objects(IDLE, n)
    return function(turns)
        for _ = 1, turns do
            for i = 1, n do
                local handle = luv.new_poll(objects[i].fd)
                handle:start("r", handler(objects[i]))
                handle:close()
            end
            luv.run("nowait")
        end
        return n * turns
    end
end

function scenarios.modify(n)
    local handles, handle_it = watched(n), handler {}
    return function(turns)
        for turn = 1, turns do
            local interest = turn % 2 == 0 and "r" or "rw"
            for i = 1, n do handles[i]:start(interest, handle_it) end
            luv.run("nowait")
        end
        return n * turns
    end
end

function scenarios.timer_add(n)
    fresh()
    local objects, timers = program.objects(0, n), {}
    return function(turns)
        for _ = 1, turns do
            local timer = luv.new_timer()
            timer:start(HOUR, 0, handler(objects[#timers + 1]))
            timers[#timers + 1] = timer
        end
        luv.run("nowait")
        return turns
    end
end

local function new_timers(n)
    fresh()
    local timers = {}
    for i, item in ipairs(program.objects(0, n)) do
        timers[i] = luv.new_timer()
        timers[i]:start(HOUR, 0, handler(item))
    end
    return timers
end

function scenarios.timer_cancel(n)
    local timers, last = new_timers(n), 0
    return function(turns)
        for _ = 1, turns do
            last = last + 1
            timers[last]:close()
        end
        luv.run("nowait")
        return turns
    end
end

function scenarios.timer_restart(n)
    local timers, handle_it = new_timers(n), handler {}
    return function(turns)
        for _ = 1, turns do
            for i = 1, n do timers[i]:start(HOUR, 0, handle_it) end
            luv.run("nowait")
        end
        return n * turns
    end
end

-- The program keeps its timers, and starts them again.
function scenarios.timer_fire(n)
    fresh()
    local timers, handlers = {}, {}
    for i, item in ipairs(program.objects(0, n)) do
        timers[i], handlers[i] = luv.new_timer(), handler(item)
    end
    return function(turns)
        for _ = 1, turns do
            for i = 1, n do timers[i]:start(0, 0, handlers[i]) end
            luv.run("once")
        end
        return n * turns
    end
end

function scenarios.wake()
    fresh()
    local async = luv.new_async(handler {})
    return function(turns)
        for _ = 1, turns do
            async:send()
            luv.run("once")
        end
        return turns
    end
end

program.main(scenarios, arg)
