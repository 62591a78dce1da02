-- SPDX-License-Identifier: MIT
--
-- readyq.loop and cqueues: a controller inside the loop, and the loop inside a controller.
local loop = require "readyq.loop"
local things = require "things"
local unix = require "unix"
local equal = things.equal

local T = {}

function T.test_a_cqueues_controller_runs_inside_the_loop()
    local cqueues = things.need("cqueues", "lua-cqueues")
    local controller = cqueues.new()
    local r, w = things.pipe()
    local log = {}
    controller:wrap(function()
        cqueues.sleep(0.01)
        log[#log + 1] = "slept"
        cqueues.poll({pollfd = r, events = "r"})
        log[#log + 1] = unix.read(r)
    end)
    loop.spawn(function()
        while not controller:empty() do
            loop.readable(controller, controller:timeout())
            assert(controller:step(0))
        end
    end)
    loop.spawn(function()
        while not log[1] do loop.sleep(0.001) end
        log[#log + 1] = "ours"
        unix.write(w, "theirs")
    end)
    loop.run()
    equal(table.concat(log, " "), "slept ours theirs")
end

function T.test_the_loop_runs_inside_a_cqueues_controller()
    local cqueues = things.need("cqueues", "lua-cqueues")
    local controller = cqueues.new()
    local r, w = things.pipe()
    local log = {}
    loop.spawn(function()
        loop.sleep(0.01)
        log[#log + 1] = "slept"
        loop.readable(r)
        log[#log + 1] = unix.read(r)
    end)
    controller:wrap(function()
        while loop.step(0) do cqueues.poll(loop.queue) end
    end)
    controller:wrap(function()
        while not log[1] do cqueues.sleep(0.001) end
        log[#log + 1] = "theirs"
        unix.write(w, "ours")
    end)
    assert(controller:loop(30))
    equal(table.concat(log, " "), "slept theirs ours")
end

return T
