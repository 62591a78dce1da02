-- SPDX-License-Identifier: MIT
--
-- readyq.loop: events, the first of several, deadlines.
local loop = require "readyq.loop"
local things = require "things"
local unix = require "unix"
local equal, raises = things.equal, things.raises

local T = {}

local function run(...) things.run(loop, ...) end

-- ---- events

function T.test_an_event_wakes_all_who_wait_in_their_order()
    local event, log = loop.event(), {}
    for i = 1, 3 do
        loop.spawn(function()
            equal(event:wait(60), true)
            log[#log + 1] = i
        end)
    end
    run(function()
        loop.sleep(0.001)
        equal(#log, 0)
        event:set()
        equal(#log, 0) -- not inside of set()
        loop.sleep(0.001)
        equal(event:wait(), true) -- it stays set
        equal(event:is_set(), true)
        event:clear()
        equal(event:is_set(), false)
        equal(select(2, event:wait(0.001)), "timeout")
    end)
    equal(table.concat(log), "123")
end

function T.test_an_event_that_is_cleared_at_once_still_ends_the_waits()
    local event, woken = loop.event(), false
    loop.spawn(function() woken = event:wait() end)
    run(function()
        loop.sleep(0)
        event:set()
        event:set()
        event:clear()
    end)
    equal(woken, true)
end

function T.test_a_host_hears_of_an_event_that_it_sets()
    local event, woken = loop.event(), false
    loop.spawn(function() woken = event:wait() end)
    loop.step(0)
    event:set()
    loop.step(60)
    equal(woken, true)
    loop.run()
end

function T.test_a_wait_for_an_event_is_cancelled()
    local event = loop.event()
    run(function()
        local co = loop.spawn(function() event:wait() end)
        loop.sleep(0.001)
        loop.cancel(co)
        equal(select(2, loop.join(co)), loop.CANCELLED)
        event:set()
    end)
end

-- ---- the first of several

function T.test_any_returns_the_number_and_the_result_of_the_first()
    local r, w = things.pipe()
    local full, other = things.pair()
    things.fill(full)
    local event, never = loop.event(), loop.event()
    run(function()
        local sleeper = loop.spawn(function()
            loop.sleep(0.001)
            return "slept", 8
        end)
        local number, first, second = loop.any {r, {full, "w"}, event, sleeper, never}
        equal(number, 4)
        equal(first, "slept")
        equal(second, 8)
        unix.write(w, "x")
        number, first = loop.any {never, {r, "r"}, timeout = 5}
        equal(number, 2)
        equal(first, true)
        unix.read(r)
        loop.spawn(function() event:set() end)
        equal(loop.any {r, event}, 2)
        event:clear()
        loop.spawn(function() while unix.read(other) do loop.sleep(0) end end)
        unix.nonblock(other)
        equal(loop.any {r, event, {full, "w"}}, 3)
        number, first = loop.any {r, event, timeout = 0.001}
        equal(number, nil)
        equal(first, "timeout")
        equal(select(2, loop.any {timeout = 0.001}), "timeout")
    end)
end

function T.test_any_waits_for_processes_and_does_not_reap_them()
    run(function()
        local slow, quick = unix.fork(), nil
        if slow == 0 then
            unix.sleep(60)
            unix.exit(1)
        end
        quick = unix.fork()
        if quick == 0 then unix.exit(3) end
        local number, status = loop.any {{process = slow}, {process = quick}}
        equal(number, 2)
        equal(status, 3 * 256)
        unix.waitpid(quick)
        unix.kill(slow, 9)
        equal(select(2, loop.any {{process = slow}, timeout = 60}), 9)
        unix.waitpid(slow)
        local message
        number, status, message = loop.any {{process = quick}, loop.event()}
        equal(number, 1)
        equal(status, nil)
        assert(message:find("process"), message)
    end)
end

function T.test_the_first_that_needs_no_wait_is_returned_at_once()
    local event = loop.event()
    event:set()
    local r = things.pipe()
    local object = {getfd = function() return r end, dirty = function() return true end}
    run(function()
        equal(loop.any {r, event}, 2)
        equal(loop.any {r, object, event}, 2)
        local closed = {getfd = function() return -1 end}
        local number, ok, why = loop.any {r, closed}
        equal(number, 2)
        equal(ok, nil)
        equal(why, "closed")
    end)
end

function T.test_any_tells_which_descriptor_was_closed_meanwhile()
    local r, w = things.pipe()
    local number, ok, why
    run(function()
        number, ok, why = loop.any {{w, "p"}, r}
    end, function()
        loop.sleep(0.001)
        loop.close(r)
    end)
    equal(number, 2)
    equal(ok, nil)
    equal(why, "closed")
end

function T.test_both_directions_of_one_descriptor_are_two_items()
    local a, b = things.pair()
    things.fill(a)
    run(function()
        unix.write(b, "x")
        equal(loop.any {{a, "w"}, {a, "r"}, {a, "r"}}, 2)
        unix.read(a)
        loop.spawn(function()
            unix.nonblock(b)
            while unix.read(b) do end
        end)
        equal(loop.any {{a, "w"}, {a, "r"}}, 1)
    end)
end

function T.test_an_error_goes_to_any_like_to_join()
    run(function()
        local co = loop.spawn(function()
            loop.sleep(0.001)
            error("it broke")
        end)
        local number, ok, message = loop.any {loop.event(), co}
        equal(number, 2)
        equal(ok, nil)
        assert(message:find("it broke"))
    end)
end

function T.test_a_wrong_item_is_an_error_and_changes_nothing()
    local r, w = things.pipe()
    run(function()
        for _, wrong in ipairs {{}, {r, "x"}, {r, 7}, {"r", "r"}, "text", true, print} do
            raises("loop_any.lua:%d+: any: ", function() loop.any {r, wrong} end)
            equal(#loop.queue, 0)
        end
        raises("any: item 2 must be a descriptor", loop.any, {r, {}})
        raises("any: list expected, got nil", loop.any)
        raises("any: there is nothing to wait for", loop.any, {})
        raises("any: the timeout must be", loop.any, {r, timeout = -1})
        unix.write(w, "x")
        equal(loop.readable(r, 5), true)
    end)
end

function T.test_any_leaves_nothing_behind_when_it_is_cancelled()
    local r, w = things.pipe()
    local event = loop.event()
    run(function()
        local co = loop.spawn(loop.any, {r, event, {w, "p"}, timeout = 60})
        loop.sleep(0.001)
        loop.cancel(co)
        loop.join(co)
        unix.write(w, "x")
        equal(loop.readable(r, 5), true)
    end)
end

-- ---- deadlines, and exceptional data

function T.test_a_deadline_limits_all_waits_of_an_exchange_together()
    local r, w = things.pipe()
    local event = loop.event()
    run(function()
        local start = loop.queue:now()
        local deadline = loop.deadline(0.03)
        unix.write(w, "x")
        equal(loop.readable(r, deadline), true)
        unix.read(r)
        loop.sleep(0.01)
        assert(deadline:left() <= 0.02)
        equal(select(2, loop.readable(r, deadline)), "timeout")
        local passed = loop.queue:now() - start
        assert(passed >= 0.03 and passed < 5)
        equal(deadline:left(), 0)
        unix.write(w, "x")
        equal(loop.readable(r, deadline), true) -- what is ready is no timeout
        equal(select(2, event:wait(deadline)), "timeout")
        equal(select(2, loop.any {event, timeout = deadline}), "timeout")
        equal(select(2, loop.join(loop.spawn(loop.sleep, 0.01), deadline)), "timeout")
        loop.sleep(deadline)
    end)
    for _, wrong in ipairs {-1, "soon", 0 / 0, {}} do
        raises("deadline: the timeout must be a number", loop.deadline, wrong)
    end
    loop.step(loop.deadline(0))
end

function T.test_priority_waits_for_exceptional_data()
    local a, b = things.tcp()
    run(function()
        equal(select(2, loop.priority(a, 0.001)), "timeout")
        unix.write(b, "plain")
        equal(select(2, loop.priority(a, 0.01)), "timeout")
        assert(unix.send_urgent(b, "!"))
        equal(loop.priority(a, 20), true)
        equal(loop.any {{a, "p"}, timeout = 20}, 1)
        equal(loop.readable(a, 20), true)
    end)
end

return T
