-- SPDX-License-Identifier: MIT
--
-- cqueues: n coroutines, each of which waits again and again; see program.lua.

local program = require "program"
local cqueues = require "cqueues"
local READY, IDLE = program.READY, program.IDLE
local scenarios = {}

-- n coroutines that call f(i) in each turn. cqueues takes 32 events from the kernel in a step.
local function together(controller, n, turns, f)
    local left = n
    for i = 1, n do
        controller:wrap(function()
            for _ = 1, turns do f(i) end
            left = left - 1
        end)
    end
    while left > 0 do assert(controller:step()) end
    return n * turns
end

function scenarios.ready(n)
    local controller, objects = cqueues.new(), {}
    for i = 1, n do objects[i] = {pollfd = READY + i - 1, events = "r"} end
    for i = IDLE - READY + 1, n do
        controller:wrap(function() cqueues.poll(objects[i]) end)
    end
    local function wait(i) cqueues.poll(objects[i]) end
    return function(turns)
        return together(controller, math.min(n, program.MOST_READY), turns, wait)
    end
end

function scenarios.sleep(n)
    local controller = cqueues.new()
    local function doze() cqueues.sleep(0) end
    return function(turns)
        return together(controller, n, turns, doze)
    end
end

program.main(scenarios, arg)
