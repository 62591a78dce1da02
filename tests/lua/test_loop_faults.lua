-- SPDX-License-Identifier: MIT
--
-- readyq.loop: generators, watches of the program, stop, and where errors point to.
local loop = require "readyq.loop"
local readyq = require "readyq"
local things = require "things"
local unix = require "unix"
local equal, raises = things.equal, things.raises

local T = {}

local function run(...) things.run(loop, ...) end

-- ---- generators

local function each_second(count)
    for i = 1, count do
        loop.sleep(0.001)
        coroutine.yield(i, "item")
    end
    return nil
end

function T.test_a_plain_generator_that_waits_is_an_error_with_the_remedy()
    run(function()
        local generator = coroutine.wrap(function() each_second(3) end)
        local ok, message = pcall(generator)
        equal(ok, false)
        assert(message:find("loop_faults.lua:%d+: sleep: "), message)
        assert(message:find("loop.wrap%(%) instead of coroutine.wrap"), message)
        local r = things.pipe()
        raises("readable: .*loop.wrap", coroutine.wrap(function() loop.readable(r) end))
    end)
end

function T.test_a_generator_of_the_loop_waits_and_loses_no_item()
    local items, turns = {}, 0
    run(function()
        local generator = loop.wrap(each_second)
        local item, word = generator(3)
        while item do
            items[#items + 1] = item .. word
            item, word = generator()
        end
        raises("cannot resume dead coroutine", generator)
    end, function()
        while #items < 3 do
            loop.sleep(0)
            turns = turns + 1
        end
    end)
    equal(table.concat(items, " "), "1item 2item 3item")
    assert(turns > 3, "others ran meanwhile")
end

function T.test_a_generator_inside_of_a_generator_waits_too()
    local r, w = things.pipe()
    local log = {}
    run(function()
        local lines = loop.wrap(function()
            while true do
                assert(loop.readable(r))
                coroutine.yield(unix.read(r))
            end
        end)
        local upper = loop.wrap(function()
            while true do coroutine.yield(lines():upper()) end
        end)
        for _ = 1, 3 do log[#log + 1] = upper() end
    end, function()
        for _, text in ipairs {"a", "b", "c"} do
            loop.sleep(0.001)
            unix.write(w, text)
        end
    end)
    equal(table.concat(log), "ABC")
end

function T.test_errors_timeouts_and_cancellations_pass_through_a_generator()
    local r = things.pipe()
    run(function()
        local generator = loop.wrap(function()
            coroutine.yield(select(2, loop.readable(r, 0.001)))
            loop.sleep(0.001)
            error("it broke")
        end)
        equal(generator(), "timeout")
        local co = loop.spawn(generator)
        local _, message = loop.join(co)
        assert(message:find("it broke"), message)
        local sleeper = loop.spawn(loop.wrap(function() loop.sleep(60) end))
        loop.sleep(0.001)
        loop.cancel(sleeper)
        equal(select(2, loop.join(sleeper)), loop.CANCELLED)
    end)
end

function T.test_a_for_over_a_generator_waits_where_the_language_can()
    if _VERSION == "Lua 5.1" and not jit then return end -- no yield in the iterator of a for there
    local sum = 0
    run(function()
        for i in loop.wrap(function() each_second(4) end) do sum = sum + i end
    end)
    equal(sum, 10)
end

-- ---- watches of the program

function T.test_step_sleeps_while_only_watches_of_the_program_are_left()
    local done = false
    local timer = loop.queue:add_timer(0.05, function() done = true end)
    local steps, before = 0, loop.queue:stats().kernel_waits
    while not done do
        loop.step(5)
        steps = steps + 1
    end
    assert(steps <= 2, steps)
    assert(loop.queue:stats().kernel_waits - before < 10)
    timer:remove()
    local start = unix.now()
    equal(loop.step(5), false) -- with nothing at all it returns at once
    equal(loop.step(), false)
    assert(unix.now() - start < 4)
end

function T.test_step_returns_when_the_last_coroutine_has_ended()
    local r = things.pipe()
    local watch = loop.queue:add(r, "r", function() end)
    local co = loop.spawn(loop.sleep, 60)
    loop.step(0)
    loop.cancel(co)
    local start = unix.now()
    equal(loop.step(10), false)
    assert(unix.now() - start < 9)
    loop.spawn(loop.sleep, 0.001)
    loop.run() -- functions do not keep it going
    assert(unix.now() - start < 9)
    watch:remove()
end

function T.test_a_coroutine_as_data_keeps_run_going_without_spinning()
    local log = {}
    local watch
    local co = coroutine.create(function()
        for i = 1, 3 do
            log[i] = i
            coroutine.yield()
        end
        watch:remove()
    end)
    watch = loop.queue:add_timer(0.01, co, 0.01)
    local before = loop.queue:stats().waits
    loop.run()
    equal(#log, 3)
    equal(coroutine.status(co), "dead")
    assert(loop.queue:stats().waits - before < 15)
    loop.queue:add_timer(0, function() log[4] = 4 end)
    loop.run()
    equal(#log, 4)
end

function T.test_a_coroutine_as_data_may_wait_and_is_resumed_again_afterwards()
    local log = {}
    local trigger = loop.queue:add_trigger()
    trigger.data = coroutine.create(function()
        while true do
            loop.sleep(0.001)
            log[#log + 1] = "slept"
            if #log == 2 then break end
            coroutine.yield()
        end
        trigger:remove()
    end)
    run(function()
        trigger:fire()
        loop.sleep(0.01)
        trigger:fire()
    end)
    equal(#log, 2)
end

function T.test_a_program_can_dispatch_the_queue_of_the_loop_by_itself()
    local r, w = things.pipe()
    local object = readyq.new()
    local trigger = object:add_trigger()
    local log = {}
    local function note(ok, why) log[#log + 1] = why or tostring(ok) end
    local silent = things.pipe()
    loop.spawn(function() note(loop.readable(r)) end)
    loop.spawn(function() note(loop.readable(object)) end)
    loop.spawn(function() note(loop.readable(silent, 0.001)) end)
    loop.step(0)
    unix.write(w, "x")
    trigger:fire()
    unix.sleep(0.01)
    loop.queue:dispatch(0)
    loop.run()
    table.sort(log)
    equal(table.concat(log, " "), "timeout true true")
    object:close()
end

-- ---- stop

function T.test_stop_ends_run_and_another_run_goes_on()
    local log = {}
    loop.spawn(function()
        for i = 1, 3 do
            loop.sleep(0.001)
            log[#log + 1] = i
            if i == 2 then loop.stop() end
        end
    end)
    loop.run()
    equal(#log, 2)
    loop.run()
    equal(#log, 3)
    loop.stop() -- without a run it does nothing
    loop.spawn(function()
        loop.sleep(0.001)
        log[#log + 1] = 4
    end)
    loop.run()
    equal(#log, 4)
end

function T.test_stop_in_a_callback_ends_a_run_that_sleeps()
    local sleeper = loop.spawn(loop.sleep, 60)
    loop.queue:add_timer(0.001, loop.stop)
    local start = unix.now()
    loop.run()
    assert(unix.now() - start < 50)
    loop.cancel(sleeper)
    loop.run()
end

-- ---- errors

function T.test_errors_name_the_call_and_the_line_of_the_program()
    local r = things.pipe()
    local here = "test_loop_faults.lua:%d+: "
    run(function()
        local wrong = {fileno = "x"}
        raises(here .. "readable: .*not a descriptor", function() loop.readable(wrong) end)
        raises(here .. "readable: .*expected, got nil", function() loop.readable() end)
        raises(here .. "writable: the timeout must be", function() loop.writable(r, -1) end)
        raises(here .. "priority: the timeout must be", function() loop.priority(r, "x") end)
        raises(here .. "wait_process: number expected", function() loop.wait_process("x") end)
        raises(here .. "event:wait: the timeout must be", function() loop.event():wait(-1) end)
        raises(here .. "sleep: the timeout must be", function() loop.sleep("x") end)
        loop.spawn(loop.readable, r)
        loop.sleep(0)
        raises(here .. "readable: another coroutine is already", function() loop.readable(r) end)
        loop.close(r)
    end)
    raises(here .. "sleep: only a coroutine can wait", function() loop.sleep(1) end)
    raises(here .. "spawn: function expected, got nil", function() loop.spawn() end)
    raises(here .. "every: the period must be", function() loop.every(0, print) end)
    raises(here .. "every: function expected", function() loop.every(1) end)
    raises(here .. "wrap: function expected", function() loop.wrap(1) end)
    raises(here .. "step: the timeout must be", function() loop.step(-1) end)
    loop.spawn(loop.sleep, -1) -- no line of the program calls it
    raises("sleep: the timeout must be a number", loop.run)
end

function T.test_an_error_of_an_objects_own_method_is_passed_on()
    run(function()
        local object = {getfd = function() error("my own") end}
        raises("loop_faults.lua:%d+: my own", loop.readable, object)
    end)
end

return T
