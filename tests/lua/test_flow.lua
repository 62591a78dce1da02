-- SPDX-License-Identifier: MIT
--
-- The basic flow: a queue, a watch, a wait that returns the ready watches. Timeouts, wake,
-- maximum.
local readyq = require "readyq"
local things = require "things"
local unix = require "unix"
local equal = things.equal

local T = {}

function T.test_a_new_queue_is_empty_and_gives_nothing()
    local q = readyq.new()
    equal(#q, 0)
    things.nothing(q)
end

function T.test_a_written_pipe_is_ready_to_read_with_its_data()
    local q = readyq.new()
    local r, w = things.pipe()
    local conn = {}
    local watch = q:add(r, "r", conn)
    things.nothing(q)
    unix.write(w, "x")
    local got, ready, data = things.event(q)
    equal(got, watch)
    equal(ready, readyq.READ)
    equal(data, conn)
end

function T.test_level_is_reported_again_until_all_is_read()
    local q = readyq.new()
    local r, w = things.pipe()
    q:add(r, "r")
    unix.write(w, "x")
    things.event(q)
    things.event(q)
    unix.read(r)
    things.nothing(q)
end

function T.test_read_and_write_of_one_descriptor_come_together()
    local q = readyq.new()
    local a, b = things.pair()
    q:add(a, "rw")
    unix.write(b, "x")
    local watch, ready = things.event(q)
    equal(ready, readyq.READ + readyq.WRITE)
    assert(watch.readable and watch.writable)
end

function T.test_modify_reaches_the_kernel_in_both_directions()
    local q = readyq.new()
    local a, b = things.pair()
    local watch = q:add(a, "r")
    things.nothing(q)
    assert(watch:modify("w"))
    equal(select(2, things.event(q)), readyq.WRITE)
    unix.write(b, "x")
    equal(select(2, things.event(q)), readyq.WRITE)
    assert(q:modify(a, "rw"))
    equal(select(2, things.event(q)), readyq.READ + readyq.WRITE)
    assert(q:modify(watch, "r"))
    equal(select(2, things.event(q)), readyq.READ)
end

function T.test_a_removed_watch_reports_nothing()
    local q = readyq.new()
    local r, w = things.pipe()
    local watch = q:add(r, "r")
    unix.write(w, "x")
    equal(watch:remove(), true)
    things.nothing(q)
    equal(#q, 0)
    equal(watch.active, false)
end

function T.test_remove_returns_whether_the_watch_was_in_the_queue()
    local q = readyq.new()
    local fd = things.eventfd(1)
    local watch, timer = q:add(fd, "r"), q:add_timer(0)
    equal(watch:remove(), true)
    equal(watch:remove(), false)
    equal(q:remove(watch), false)
    equal(q:add(fd, "r") ~= watch, true)
    equal(watch:remove(), false)
    equal(q:remove(fd), true)
    things.event(q)
    equal(timer:remove(), false)
    equal(q:remove(timer), false)
    equal(#q, 0)
end

function T.test_a_hundred_ready_descriptors_come_in_one_wait()
    local q = readyq.new()
    local seen = 0
    for i = 1, 100 do q:add(things.eventfd(1), "r", i) end
    for _, ready, data in q:wait(0) do
        equal(ready, readyq.READ)
        seen = seen + data
    end
    equal(seen, 5050)
end

function T.test_wait_returns_how_many_are_ready()
    local q = readyq.new()
    equal(select(3, q:wait(0)), 0)
    for _ = 1, 3 do q:add(things.eventfd(1), "r") end
    equal(select(3, q:wait(0)), 3)
    equal(select(3, q:wait(0, 2)), 2)
end

function T.test_a_maximum_of_k_reaches_all_in_n_over_k_waits()
    local q = readyq.new()
    local seen, count = {}, 0
    for i = 1, 10 do q:add(things.eventfd(1), "r", i) end
    for _ = 1, 4 do
        local list = things.events(q, 0, 3)
        assert(#list <= 3)
        for _, event in ipairs(list) do
            if not seen[event.data] then count = count + 1 end
            seen[event.data] = true
        end
    end
    equal(count, 10)
end

function T.test_a_timeout_is_never_early()
    local q = readyq.new()
    for _, seconds in ipairs {0.0001, 0.0031, 0.05} do
        local start = unix.now()
        things.nothing(q, seconds)
        assert(unix.now() - start >= seconds)
    end
end

function T.test_nil_and_huge_timeouts_wait_until_something_is_ready()
    for _, timeout in ipairs {false, math.huge, 1e300, 1e10} do
        local q = readyq.new()
        q:add_timer(0.01, "rang")
        for _, _, data in q:wait(timeout or nil) do equal(data, "rang") end
    end
end

function T.test_negative_zero_is_zero()
    things.nothing(readyq.new(), -0.0)
end

function T.test_wake_ends_the_next_wait_once()
    local q = readyq.new()
    assert(q:wake())
    assert(q:wake())
    things.nothing(q)
    local start = unix.now()
    things.nothing(q, 0.02)
    assert(unix.now() - start >= 0.02)
end

function T.test_a_wake_that_comes_with_an_event_ends_the_next_wait()
    local q = readyq.new()
    q:add_trigger("mail"):fire()
    q:wake()
    equal(select(3, things.event(q)), "mail")
    local start = unix.now()
    things.nothing(q, 30)
    assert(unix.now() - start < 20)
end

function T.test_two_queues_on_one_descriptor_each_get_the_event()
    local one, two = readyq.new(), readyq.new()
    local r, w = things.pipe()
    one:add(r, "r", 1)
    two:add(r, readyq.READ + readyq.EDGE, 2)
    unix.write(w, "x")
    equal(select(3, things.event(one)), 1)
    equal(select(3, things.event(two)), 2)
    things.event(one)
    things.nothing(two)
end

function T.test_flags_of_a_descriptor_do_not_change()
    local q = readyq.new()
    local a = things.pair()
    local flags = unix.flags(a)
    q:add(a, "rw")
    things.event(q)
    equal(unix.flags(a), flags)
end

function T.test_a_queue_may_be_used_from_any_coroutine()
    local q = readyq.new()
    q:add(things.eventfd(1), "r", "hello")
    local loop = coroutine.wrap(function()
        for _, _, data in q:wait(0) do coroutine.yield(data) end
        return "end"
    end)
    equal(loop(), "hello")
    equal(loop(), "end")
end

return T
