-- SPDX-License-Identifier: MIT
--
-- luaevent: see program.lua. Its loop runs until the callback of the first event has counted the
-- turns, so that it does not pay for leaving it in each. It has no call that only looks.

local program = require "program"
local luaevent = require "luaevent.core"
local READY, IDLE, HOUR = program.READY, program.IDLE, program.HOUR
local scenarios = {}

local kept -- an event that is collected does not fire

-- A function for each object, as a program has it.
local function handler(item)
    return function() return nil, item end
end

local function fresh()
    kept = {}
    return luaevent.new()
end

local function watch(base, item, handle)
    local event = base:addevent(item.fd, luaevent.EV_READ, handle)
    kept[#kept + 1] = event
    return event
end

-- A timer that ends the loop is what luaevent has for one look.
local function look(base)
    base:loopexit(0)
    base:loop()
end

function scenarios.ready(n)
    local base, left = fresh(), 0
    local function first()
        left = left - 1
        if left == 0 then base:loopexit(0) end
    end
    for i, item in ipairs(program.objects(READY, n)) do
        watch(base, item, i == 1 and first or handler(item))
    end
    return function(turns)
        left = turns
        base:loop()
        return program.events(n, turns)
    end
end

function scenarios.add(n)
    local base, objects, last = fresh(), program.objects(IDLE, n), 0
    return function(turns)
        for _ = 1, turns do
            last = last + 1
            watch(base, objects[last], handler(objects[last]))
        end
        look(base)
        return turns
    end
end

function scenarios.remove(n)
    local base, events, last = fresh(), {}, 0
    for i, item in ipairs(program.objects(IDLE, n)) do
        events[i] = watch(base, item, handler(item))
    end
    return function(turns)
        for _ = 1, turns do
            last = last + 1
            events[last]:close()
        end
        look(base)
        return turns
    end
end

function scenarios.timer_add(n)
    local base, objects, last = fresh(), program.objects(0, n), 0
    return function(turns)
        for _ = 1, turns do
            last = last + 1
            kept[last] = base:addevent(nil, luaevent.EV_TIMEOUT, handler(objects[last]), HOUR)
        end
        look(base)
        return turns
    end
end

function scenarios.timer_cancel(n)
    local base, timers, last = fresh(), {}, 0
    for i, item in ipairs(program.objects(0, n)) do
        timers[i] = base:addevent(nil, luaevent.EV_TIMEOUT, handler(item), HOUR)
    end
    return function(turns)
        for _ = 1, turns do
            last = last + 1
            timers[last]:close()
        end
        look(base)
        return turns
    end
end

program.main(scenarios, arg)
