-- SPDX-License-Identifier: MIT
--
-- Timers, on the real clock and on the virtual one.
local readyq = require "readyq"
local things = require "things"
local unix = require "unix"
local equal = things.equal

local T = {}

function T.test_a_timer_goes_off_once_and_removes_itself()
    local q = readyq.new()
    local start = unix.now()
    local watch = q:add_timer(0.01, "tick")
    equal(#q, 1)
    local got, ready, data = things.event(q)
    assert(unix.now() - start >= 0.01)
    equal(got, watch)
    equal(ready, readyq.FIRED)
    equal(data, "tick")
    equal(watch.active, false)
    equal(watch.count, 1)
    equal(watch.data, "tick")
    equal(#q, 0)
    things.nothing(q, 0.02)
end

function T.test_timers_go_off_in_the_order_of_their_deadlines()
    local q = readyq.new {clock = "virtual"}
    for _, delay in ipairs {3, 1, 2} do q:add_timer(delay, delay) end
    local order = {}
    for i = 1, 3 do order[i] = select(3, things.event(q)) end
    equal(table.concat(order, " "), "1 2 3")
end

function T.test_a_timer_that_is_restarted_later_goes_off_in_its_new_place()
    local q = readyq.new {clock = "virtual"}
    local moved = q:add_timer(1, "moved")
    q:add_timer(3, "before")
    moved:restart(3)
    q:add_timer(3, "after")
    equal(moved.due, q:now() + 3)
    local order = {}
    for _, _, data in q:wait() do order[#order + 1] = data end
    equal(table.concat(order, " "), "before moved after")
end

function T.test_a_removed_timer_does_not_go_off()
    local q = readyq.new()
    local watch = q:add_timer(0.001)
    watch:remove()
    things.nothing(q, 0.01)
end

function T.test_a_delay_of_0_goes_off_at_once()
    local q = readyq.new()
    q:add_timer(0)
    things.event(q, 0)
end

function T.test_an_infinite_delay_never_goes_off()
    local q = readyq.new()
    q:add_timer(math.huge)
    q:add_timer(1e300)
    things.nothing(q, 0.01)
    equal(#q, 2)
end

function T.test_missed_periods_come_as_one_delivery_with_a_count()
    local q = readyq.new()
    local watch = q:add_timer(0.002, nil, 0.002)
    unix.sleep(0.011)
    things.event(q, 0)
    assert(watch.count >= 5)
    equal(watch.active, true)
    things.event(q)
    watch:remove()
end

function T.test_a_timer_is_restarted_before_it_fires()
    local q = readyq.new {clock = "virtual"}
    local start = q:now()
    local timer = q:add_timer(10, "idle")
    for _ = 1, 5 do
        things.nothing(q, 6)
        equal(timer:restart(10), true)
    end
    equal(#q, 1)
    equal(things.event(q, 60), timer)
    equal(q:now() - start, 40)
    things.nothing(q, 100)
end

function T.test_a_timer_that_has_fired_is_restarted()
    local q = readyq.new {clock = "virtual"}
    local start = q:now()
    local timer = q:add_timer(1, "again")
    for turn = 1, 3 do
        equal(things.event(q), timer)
        equal(timer.ready, readyq.FIRED)
        equal(timer.active, false)
        equal(#q, 0)
        equal(timer:restart(turn), true)
        equal(timer.active, true)
        equal(timer.ready, 0)
        equal(#q, 1)
    end
    equal(select(3, things.event(q)), "again")
    equal(q:now() - start, 1 + 1 + 2 + 3)
    timer:restart(1)
    equal(timer:remove(), true)
    things.nothing(q, 10)
end

function T.test_restarting_a_timer_drops_an_expiration_that_was_not_taken()
    local q = readyq.new {clock = "virtual"}
    local one, two = q:add_timer(1, "one"), q:add_timer(1, "two")
    local seen = {}
    for watch, _, data in q:wait(5) do
        seen[#seen + 1] = data
        if watch == one then two:restart(10) end
    end
    equal(table.concat(seen), "one")
    equal(select(3, things.event(q, 60)), "two")
end

function T.test_a_restarted_timer_keeps_its_period()
    local q = readyq.new {clock = "virtual"}
    local start, times = q:now(), {}
    local timer = q:add_timer(1, nil, 10)
    things.event(q)
    timer:restart(3)
    for _ = 1, 3 do
        things.event(q, 60)
        times[#times + 1] = math.floor(q:now() - start + 0.5)
    end
    equal(table.concat(times, " "), "4 14 24")
end

function T.test_a_timer_knows_when_it_is_due_and_its_period()
    local q = readyq.new {clock = "virtual"}
    local timer, periodic = q:add_timer(5), q:add_timer(1, nil, 10)
    local function close_to(got, expected) assert(math.abs(got - expected) < 1e-6, got) end
    close_to(timer.due, q:now() + 5)
    close_to(periodic.due, q:now() + 1)
    equal(timer.period, nil)
    equal(periodic.period, 10)
    things.event(q)
    close_to(periodic.due, q:now() + 10)
    close_to(timer.due, q:now() + 4)
    timer:restart(2)
    close_to(timer.due, q:now() + 2)
    things.event(q)
    equal(timer.due, nil)
    periodic:remove()
    equal(periodic.due, nil)
    equal(periodic.period, 10)
    equal(q:add_timer(math.huge).due, math.huge)
    equal(q:add_trigger().due, nil)
    equal(q:add_trigger().period, nil)
end

function T.test_a_part_of_a_nanosecond_is_rounded_up()
    local q = readyq.new {clock = "virtual"}
    q:add_timer(1e-10)
    things.nothing(q, 0)
    things.event(q, 1e-10)
end

function T.test_the_virtual_clock_jumps_an_hour_at_once()
    local q = readyq.new {clock = "virtual"}
    local start, virtual = unix.now(), q:now()
    q:add_timer(3600, "hour")
    equal(select(3, things.event(q, math.huge)), "hour")
    assert(unix.now() - start < 60)
    equal(q:now() - virtual, 3600)
end

function T.test_virtual_time_stands_still_until_a_wait_would_sleep()
    local q = readyq.new {clock = "virtual"}
    q:add_timer(0.001)
    unix.sleep(0.005)
    things.nothing(q, 0)
    things.event(q, 1)
end

function T.test_a_timeout_passes_on_the_virtual_clock()
    local q = readyq.new {clock = "virtual"}
    local start = q:now()
    q:add_timer(100)
    things.nothing(q, 60)
    equal(q:now() - start, 60)
    things.event(q, 60)
    equal(q:now() - start, 100)
end

function T.test_a_virtual_period_counts_from_when_it_was_due()
    local q = readyq.new {clock = "virtual"}
    local start, times = q:now(), {}
    q:add_timer(1, nil, 10)
    for _ = 1, 3 do
        things.event(q, math.huge)
        times[#times + 1] = math.floor(q:now() - start + 0.5)
    end
    equal(table.concat(times, " "), "1 11 21")
end

function T.test_descriptors_are_looked_at_before_virtual_time_jumps()
    local q = readyq.new {clock = "virtual"}
    local start = q:now()
    q:add_timer(5, "timer")
    q:add(things.eventfd(1), "r", "file")
    equal(select(3, things.event(q)), "file")
    equal(q:now(), start)
end

function T.test_the_real_clock_is_the_default()
    local q = readyq.new {clock = "real"}
    local start = q:now()
    things.nothing(q, 0.01)
    assert(q:now() - start >= 0.01)
end

function T.test_a_thousand_timers_go_off_once_each()
    local q = readyq.new {clock = "virtual"}
    for i = 1, 1000 do q:add_timer(i % 37, i) end
    local seen, count = {}, 0
    while #q > 0 do
        for _, _, data in q:wait() do
            assert(not seen[data])
            seen[data] = true
            count = count + 1
        end
    end
    equal(count, 1000)
end

return T
