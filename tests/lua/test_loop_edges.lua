-- SPDX-License-Identifier: MIT
--
-- readyq.loop: steps inside of steps, coroutines that the program closes, ends that meet.
local loop = require "readyq.loop"
local readyq = require "readyq"
local things = require "things"
local unix = require "unix"
local equal, raises = things.equal, things.raises

local T = {}

local function run(...) things.run(loop, ...) end

-- Runs until nothing waits; fails if that takes longer than the seconds.
local function run_within(seconds)
    local is_late = false
    local timer = loop.queue:add_timer(seconds, function()
        is_late = true
        loop.stop()
    end)
    loop.run()
    timer:remove()
    assert(not is_late, "the loop still waits")
end

-- ---- steps inside of steps

function T.test_a_coroutine_may_call_step_while_others_are_due()
    local log = {}
    local function note(name)
        return function()
            log[#log + 1] = name
            loop.sleep()
            log[#log + 1] = name
        end
    end
    run(function() loop.step(0) end, note "a", note "b", function() loop.step(0) end, note "c")
    table.sort(log)
    equal(table.concat(log), "aabbcc")
end

function T.test_on_error_may_call_step_while_others_are_due()
    local log = {}
    loop.on_error = function()
        log[#log + 1] = "error"
        loop.step(0)
    end
    loop.spawn(function() error("it broke") end)
    for i = 1, 3 do loop.spawn(function() log[#log + 1] = i end) end
    local ok, message = pcall(loop.run)
    loop.on_error = nil
    assert(ok, message)
    equal(table.concat(log, " "), "error 1 2 3")
end

function T.test_a_step_inside_of_a_batch_ends_no_wait_by_an_older_event()
    local first, w1 = things.pipe()
    local second, w2 = things.pipe()
    local object = readyq.new() -- its watch is kept, so that the event stays in the batch
    local trigger = object:add_trigger(function() end)
    local number, is_early
    loop.spawn(function()
        number = loop.any {first, object}
        object:dispatch(0) -- takes what was ready
        is_early = loop.readable(object, 0.02)
    end)
    loop.spawn(function()
        loop.readable(second)
        loop.step(0)
    end)
    loop.step(0)
    unix.write(w1, "x")
    unix.write(w2, "x")
    unix.sleep(0.001)
    trigger:fire()
    unix.sleep(0.001)
    loop.run()
    equal(number, 1)
    equal(is_early, nil)
    loop.close(object)
end

-- ---- coroutines that are not of spawn

function T.test_join_refuses_a_coroutine_that_is_the_data_of_a_watch()
    local co = coroutine.create(function()
        loop.sleep(0.001)
        return "ended"
    end)
    local timer = loop.queue:add_timer(0, co)
    run(function()
        loop.sleep(0.0001)
        raises("join: coroutine of loop.spawn%(%) expected", loop.join, co)
        raises("any: coroutine of loop.spawn%(%) expected", loop.any, {co})
        loop.sleep(0.01)
        raises("join: coroutine of loop.spawn%(%) expected", loop.join, co)
        loop.cancel(co) -- does nothing
    end)
    equal(coroutine.status(co), "dead")
    timer:remove()
end

function T.test_a_coroutine_that_is_the_data_of_a_watch_can_be_cancelled()
    local co = coroutine.create(function() loop.sleep(60) end)
    local timer = loop.queue:add_timer(0, co)
    loop.spawn(function()
        loop.sleep(0.01)
        loop.cancel(co)
    end)
    run_within(5)
    equal(coroutine.status(co), "dead")
    timer:remove()
end

-- ---- coroutines that the program closes or resumes

-- if coroutine.close
function T.test_join_of_a_coroutine_that_yielded_and_was_closed_returns_closed()
    local got = {}
    local co = loop.spawn(coroutine.yield)
    loop.spawn(function()
        loop.sleep(0.001)
        coroutine.close(co)
        got[1] = select(2, loop.join(co))
        got[2] = select(3, loop.any {loop.event(), co})
    end)
    run_within(5)
    equal(got[1], "closed")
    equal(got[2], "closed")
end

-- if coroutine.close
function T.test_cancel_ends_the_join_of_a_coroutine_that_was_closed_meanwhile()
    local why
    local co = loop.spawn(coroutine.yield)
    loop.spawn(function() why = select(2, loop.join(co)) end)
    loop.spawn(function()
        loop.sleep(0.001)
        coroutine.close(co)
        loop.cancel(co)
    end)
    run_within(5)
    equal(why, "closed")
end

-- if coroutine.close
function T.test_an_error_is_raised_if_the_only_joiner_was_closed()
    local go = loop.event()
    local co = loop.spawn(function()
        go:wait()
        error("it broke")
    end)
    for _, join in ipairs {loop.join, function() loop.any {co} end} do
        local joiner = loop.spawn(join, co)
        loop.spawn(function()
            loop.sleep(0.001)
            coroutine.close(joiner)
            loop.sleep(0.001)
            go:set()
        end)
    end
    raises("it broke", loop.run)
    loop.run()
end

function T.test_a_spawned_coroutine_that_the_program_resumes_first_waits_as_long_as_it_asked()
    local start, passed = loop.queue:now(), nil
    local co = loop.spawn(function()
        loop.sleep(0.02)
        passed = loop.queue:now() - start
    end)
    coroutine.resume(co)
    run_within(5)
    assert(passed >= 0.02, passed)
end

-- ---- generators

function T.test_a_generator_that_waits_cannot_be_called_by_another_coroutine()
    local items = {}
    local generator = loop.wrap(function()
        for i = 1, 2 do
            loop.sleep(0.01)
            coroutine.yield(i)
        end
    end)
    run(function()
        items[1] = generator()
    end, function()
        raises("loop_edges.lua:%d+: .*called by another coroutine", function() generator() end)
        while not items[1] do loop.sleep(0.001) end
        items[2] = generator() -- when it does not wait, each coroutine can call it
    end)
    equal(table.concat(items), "12")
end

function T.test_a_coroutine_cannot_join_itself_inside_of_a_generator()
    run(function()
        local me = coroutine.running()
        local generator = loop.wrap(function()
            raises("join: a coroutine cannot wait for its own end", loop.join, me, 0.01)
            raises("any: a coroutine cannot wait for its own end", loop.any, {me, timeout = 0.01})
            loop.sleep(0.001)
            return "ended"
        end)
        equal(generator(), "ended")
    end)
end

-- ---- any

function T.test_any_refuses_a_list_with_holes()
    local r, w = things.pipe()
    unix.write(w, "x")
    run(function()
        raises("edges.lua:%d+: any: item 1 is nil", function()
            loop.any {nil, r, timeout = 1}
        end)
        raises("any: item 2 is nil", loop.any, {loop.event(), nil, r, timeout = 1})
        raises("any: item 1 is nil", loop.any, {[2] = r, timeout = 1})
        equal(#loop.queue, 0)
    end)
end

function T.test_an_event_that_is_two_items_ends_the_wait_once()
    local event, log = loop.event(), {}
    run(function()
        equal(loop.any {event, event}, 1)
        for _ = 1, 3 do
            loop.sleep()
            log[#log + 1] = "a"
        end
    end, function()
        loop.sleep()
        event:set()
        for _ = 1, 4 do
            loop.sleep()
            log[#log + 1] = "b"
        end
    end)
    assert(not table.concat(log):find("aa"), table.concat(log))
end

-- ---- ends that meet

function T.test_a_coroutine_whose_event_came_with_its_timeout_has_one_turn_at_a_time()
    local r, w = things.pipe()
    unix.write(w, "x")
    local log = {}
    run(function()
        for _ = 1, 3 do equal(loop.readable(r, 0), true) end
        loop.sleep()
        for _ = 1, 6 do
            loop.sleep()
            log[#log + 1] = "a"
        end
    end, function()
        while #log < 9 do
            loop.sleep()
            if #log > 0 then log[#log + 1] = "b" end
        end
    end)
    assert(table.concat(log):find("^abab"), table.concat(log))
end

function T.test_a_cancelled_wait_leaves_its_descriptor_at_once()
    local r, w = things.pipe()
    local object = readyq.new()
    local trigger = object:add_trigger()
    local result = {}
    local why = {}
    for i, s in ipairs {r, object} do
        local co = loop.spawn(function() loop.readable(s) end)
        loop.spawn(function()
            loop.sleep(0.001)
            loop.cancel(co)
            result[i] = loop.readable(s, 5)
            why[i] = select(2, loop.join(co))
        end)
    end
    loop.spawn(function()
        loop.sleep(0.003)
        unix.write(w, "x")
        trigger:fire()
    end)
    run_within(10)
    for i = 1, 2 do
        equal(result[i], true)
        equal(why[i], loop.CANCELLED)
    end
    loop.close(object)
end

function T.test_a_closed_number_is_not_taken_for_the_object_that_had_it()
    local object = readyq.new()
    local trigger = object:add_trigger()
    local number = object:fileno()
    trigger:fire()
    local got = {}
    loop.spawn(function()
        loop.readable(object) -- its watch is kept
        object:close()
        for _, wait in ipairs {loop.readable, loop.writable} do
            got[#got + 1] = select(3, wait(number)) or "no errno"
        end
    end)
    run_within(5)
    equal(table.concat(got, " "), "9 9") -- EBADF
    loop.close(object)
end

function T.test_step_does_not_sleep_when_only_kept_watches_of_the_loop_are_left()
    local object = readyq.new()
    local trigger = object:add_trigger(function() end)
    trigger:fire()
    loop.spawn(loop.readable, object)
    while loop.step(0) do end
    object:dispatch(0)
    equal(#loop.queue, 1) -- it is kept
    local start = unix.now()
    equal(loop.step(3), false)
    assert(unix.now() - start < 2)
    loop.close(object)
end

return T
