-- SPDX-License-Identifier: MIT
--
-- Triggers: fired by this state, by other threads, and by other Lua states through a handle.
local readyq = require "readyq"
local things = require "things"
local unix = require "unix"
local equal, fails = things.equal, things.fails

local T = {}

function T.test_fires_merge_into_one_delivery_with_a_count()
    local q = readyq.new()
    local trigger = q:add_trigger("mail")
    equal(trigger.kind, "trigger")
    equal(trigger.source, nil)
    for _ = 1, 3 do equal(trigger:fire(), true) end
    local watch, ready, data = things.event(q)
    equal(watch, trigger)
    equal(ready, readyq.FIRED)
    equal(data, "mail")
    equal(trigger.count, 3)
    things.nothing(q)
    trigger:fire()
    things.event(q)
    equal(trigger.count, 1)
end

function T.test_a_trigger_removed_after_its_fire_reports_nothing()
    local q = readyq.new()
    local trigger = q:add_trigger()
    trigger:fire()
    trigger:remove()
    things.nothing(q)
end

function T.test_a_handle_fires_its_trigger()
    local q = readyq.new()
    local trigger = q:add_trigger()
    local handle = trigger:handle()
    equal(type(handle), "userdata")
    equal(trigger:handle(), handle)
    equal(readyq.fire(handle), true)
    things.event(q)
end

function T.test_another_state_in_another_thread_fires_by_the_handle()
    local q = readyq.new()
    local trigger = q:add_trigger()
    local thread = unix.start([[
        local handle = ...
        local readyq = require "readyq"
        for i = 1, 10000 do assert(readyq.fire(handle)) end
    ]], trigger:handle())
    local fires = 0
    while fires < 10000 do
        for watch in q:wait(30) do fires = fires + watch.count end
    end
    equal(unix.join(thread), nil)
    equal(fires, 10000)
    things.nothing(q)
end

function T.test_a_wait_that_sleeps_is_woken_from_another_state()
    local q = readyq.new()
    local thread = unix.start([[
        local handle = ...
        local q = require "readyq".new()
        q:wait(0.02)
        assert(require "readyq".fire(handle))
    ]], q:add_trigger("woken"):handle())
    equal(select(3, things.event(q, 30)), "woken")
    equal(unix.join(thread), nil)
end

function T.test_the_handle_of_a_removed_trigger_fails()
    local q = readyq.new()
    local trigger = q:add_trigger()
    local handle = trigger:handle()
    trigger:remove()
    fails("fire%(%) failed for a trigger: the watch was removed", 2, readyq.fire(handle))
    fails("fire%(%) failed for a trigger: the watch was removed", 2, readyq.fire(trigger:handle()))
    local late = q:add_trigger()
    late:remove()
    fails("fire%(%) failed for a trigger: the watch was removed", 2, readyq.fire(late:handle()))
end

function T.test_the_handle_of_a_closed_queue_s_trigger_fails()
    local q = readyq.new()
    local trigger = q:add_trigger()
    local handle = trigger:handle()
    q:close()
    fails("fire%(%) failed for a trigger: the watch was removed", 2, readyq.fire(handle))
end

function T.test_the_handle_of_a_collected_trigger_fails()
    local handle = readyq.new():add_trigger():handle()
    collectgarbage()
    collectgarbage()
    fails("fire%(%) failed for a trigger: the trigger was garbage%-coll", 2, readyq.fire(handle))
end

function T.test_the_handle_of_a_collected_trigger_fires_no_other_in_its_place()
    local q = readyq.new()
    local handle = q:add_trigger():handle()
    for watch in q:watches() do watch:remove() end
    collectgarbage()
    collectgarbage()
    for _ = 1, 100 do q:add_trigger() end
    fails("fire%(%) failed for a trigger: the trigger was garbage%-coll", 2, readyq.fire(handle))
    things.nothing(q)
end

function T.test_a_finalizer_may_fire_a_trigger_that_dies_with_it()
    local fired = 0
    for _ = 1, 10 do
        local handle = readyq.new():add_trigger():handle()
        things.finalizer(function()
            fired = fired + 1
            readyq.fire(handle)
        end)
    end
    collectgarbage()
    collectgarbage()
    equal(fired, 10)
end

function T.test_a_state_may_close_while_others_fire_its_triggers()
    for _ = 1, 20 do
        local q = readyq.new()
        local threads = {}
        local handle = q:add_trigger():handle()
        for i = 1, 2 do
            threads[i] = unix.start([[
                local handle = ...
                local readyq = require "readyq"
                repeat until not readyq.fire(handle)
            ]], handle)
        end
        q:wait(5)
        q:close()
        q = nil
        collectgarbage()
        for _, thread in ipairs(threads) do equal(unix.join(thread), nil) end
    end
end

function T.test_states_have_queues_of_their_own()
    local threads = {}
    for i = 1, 4 do
        threads[i] = unix.start([[
            local q = require "readyq".new()
            for _ = 1, 200 do
                q:add_timer(0.0001, "tick")
                for _, _, data in q:wait() do assert(data == "tick") end
            end
        ]])
    end
    for _, thread in ipairs(threads) do equal(unix.join(thread), nil) end
end

return T
