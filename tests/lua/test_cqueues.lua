-- SPDX-License-Identifier: MIT
--
-- A cqueues controller as the outer loop: it polls the queue by pollfd, events and timeout.
local readyq = require "readyq"
local things = require "things"
local unix = require "unix"
local cqueues = things.need("cqueues", "lua-cqueues")
local equal = things.equal

local T = {}

function T.test_a_controller_waits_on_a_queue()
    local controller = cqueues.new()
    local q = readyq.new()
    local r, w = things.pipe()
    local log = {}
    q:add(r, "r", "pipe")
    local timer = q:add_timer(3600, "timer")
    local trigger = q:add_trigger("trigger")
    controller:wrap(function()
        while #log < 3 do
            cqueues.poll(q)
            for _, _, data in q:wait(0) do
                log[#log + 1] = data
                if data == "pipe" then unix.read(r) end
            end
        end
    end)
    local function wait_for_events(n)
        while #log < n do cqueues.sleep(0.001) end
    end
    controller:wrap(function()
        cqueues.sleep(0.005)
        unix.write(w, "x")
        wait_for_events(1)
        trigger:fire()
        wait_for_events(2)
        timer:restart(0.005)
    end)
    assert(controller:loop(30))
    equal(table.concat(log, " "), "pipe trigger timer")
end

function T.test_a_queue_waits_on_a_controller()
    local controller = cqueues.new()
    local q = readyq.new()
    local done
    controller:wrap(function()
        cqueues.sleep(0.01)
        done = true
    end)
    assert(q:add(controller, "r"))
    while not done do
        assert(controller:step(0))
        things.events(q, controller:timeout())
    end
end

function T.test_a_queue_answers_what_cqueues_asks()
    local q = readyq.new()
    equal(q:pollfd(), q:fileno())
    equal(q:events(), "r")
    equal(q:timeout(), nil)
end

return T
