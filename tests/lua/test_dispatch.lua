-- SPDX-License-Identifier: MIT
--
-- dispatch: functions are called, coroutines resumed; an error leaves at once and no event is
-- lost.
local readyq = require "readyq"
local things = require "things"
local unix = require "unix"
local equal, raises = things.equal, things.raises

local T = {}

function T.test_dispatch_calls_data_with_watch_and_ready()
    local q = readyq.new()
    local got
    local watch = q:add(things.eventfd(1), "r", function(...) got = {...} end)
    equal(q:dispatch(0), 1)
    equal(#got, 2)
    equal(got[1], watch)
    equal(got[2], readyq.READ)
end

function T.test_dispatch_returns_how_many_it_called()
    local q = readyq.new()
    equal(q:dispatch(0), 0)
    for _ = 1, 3 do q:add(things.eventfd(1), "r", function() end) end
    equal(q:dispatch(), 3)
    equal(q:dispatch(0, 2), 2)
end

function T.test_an_object_that_can_be_called_is_called()
    local q = readyq.new()
    local called = 0
    q:add_trigger(setmetatable({}, {__call = function() called = called + 1 end})):fire()
    q:dispatch(0)
    equal(called, 1)
end

function T.test_dispatch_resumes_a_coroutine_with_watch_and_ready()
    local q = readyq.new()
    local r, w = things.pipe()
    local lines = {}
    local thread = coroutine.create(function(watch, ready)
        while true do
            equal(ready, readyq.READ)
            lines[#lines + 1] = unix.read(watch.fd)
            watch, ready = coroutine.yield()
        end
    end)
    q:add(r, "r", thread)
    for _, text in ipairs {"one", "two"} do
        unix.write(w, text)
        equal(q:dispatch(5), 1)
    end
    equal(table.concat(lines, ","), "one,two")
end

-- Nothing but dispatch refers to the coroutine then: the queue has forgotten the timer.
function T.test_a_coroutine_that_a_fired_timer_resumes_is_kept_until_it_yields()
    local q, finished = readyq.new(), 0
    local function collect()
        for _ = 1, 2 do collectgarbage() end
        local objects = {}
        for i = 1, 200 do objects[i] = coroutine.create(collect) end -- in the memory that is free
        return #objects
    end
    for _ = 1, 20 do
        q:add_timer(0, coroutine.create(function(watch)
            local list = {1, 2, 3}
            equal(coroutine.wrap(collect)(), 200)
            equal(table.concat(list), "123")
            equal(watch.kind, "timer")
            finished = finished + 1
        end))
    end
    equal(q:dispatch(1), 20)
    equal(finished, 20)
end

function T.test_an_error_leaves_at_once_and_the_rest_comes_next()
    local q = readyq.new()
    local calls = 0
    for _ = 1, 3 do
        q:add(things.eventfd(1), readyq.READ + readyq.EDGE, function()
            calls = calls + 1
            if calls == 1 then error("boom") end
        end)
    end
    raises("boom", q.dispatch, q, 0)
    equal(calls, 1)
    equal(q:dispatch(0), 2)
    equal(q:dispatch(0), 0)
end

function T.test_an_error_value_is_passed_on_as_it_is()
    local q = readyq.new()
    local value = {}
    q:add_trigger(function() error(value) end):fire()
    equal(select(2, pcall(q.dispatch, q, 0)), value)
    q:add_trigger(coroutine.create(function() error(value) end)):fire()
    equal(select(2, pcall(q.dispatch, q, 0)), value)
end

function T.test_an_error_in_a_coroutine_comes_with_its_traceback()
    local q = readyq.new()
    local function deep() error("in the deep") end
    q:add_trigger(coroutine.create(function() deep() end)):fire()
    raises("in the deep.*stack traceback:.*deep", q.dispatch, q, 0)
end

function T.test_resuming_a_dead_coroutine_is_an_error()
    local q = readyq.new()
    local trigger = q:add_trigger(coroutine.create(function() end))
    trigger:fire()
    equal(q:dispatch(0), 1)
    trigger:fire()
    raises("dead coroutine", q.dispatch, q, 0)
end

function T.test_a_callback_may_yield_through_dispatch()
    local q = readyq.new()
    q:add_trigger(function() coroutine.yield("yielded") end):fire()
    local loop = coroutine.wrap(function() return q:dispatch(0) end)
    equal(loop(), "yielded")
    equal(loop(), 1)
end

function T.test_a_callback_may_dispatch()
    local q = readyq.new()
    local calls = {}
    for i = 1, 3 do
        q:add_trigger(function()
            calls[#calls + 1] = i
            q:dispatch(0)
        end):fire()
    end
    q:dispatch(0)
    q:dispatch(0)
    table.sort(calls)
    equal(table.concat(calls), "123")
end

function T.test_data_may_be_exchanged_between_deliveries()
    local q = readyq.new()
    local called
    local trigger = q:add_trigger(function() called = "old" end)
    trigger.data = function() called = "new" end
    trigger:fire()
    q:dispatch(0)
    equal(called, "new")
end

function T.test_data_that_cannot_be_called_is_an_error_that_names_the_watch()
    local q = readyq.new()
    for _, data in ipairs {"text", 7, {}, false} do
        local trigger = q:add_trigger(data)
        trigger:fire()
        raises("dispatch.lua:%d+: dispatch: readyq.watch: trigger.* has no function or coroutine",
            function() q:dispatch(0) end)
        trigger:remove()
    end
    q:add_trigger():fire()
    raises("has no function or coroutine as its data", q.dispatch, q, 0)
end

function T.test_data_that_cannot_be_called_keeps_the_event()
    local ended = coroutine.create(function() end)
    coroutine.resume(ended)
    for data, message in pairs {text = "no function or coroutine", [ended] = "dead coroutine"} do
        local q = readyq.new()
        local got
        local watch = q:add_timer(0, data)
        for _ = 1, 2 do
            raises(message, q.dispatch, q, 5)
            assert(watch.active)
        end
        watch.data = function(w) got = w end
        equal(q:dispatch(0), 1)
        equal(got, watch)
        equal(watch.active, false)
    end
end

function T.test_what_comes_before_data_that_cannot_be_called_is_called()
    local q = readyq.new()
    local calls = 0
    local function call() calls = calls + 1 end
    local watches = {q:add_trigger(call), q:add_trigger("text"), q:add_trigger(call)}
    for _, watch in ipairs(watches) do watch:fire() end
    raises("no function or coroutine", q.dispatch, q, 0)
    equal(calls, 1)
    watches[2].data = call
    equal(q:dispatch(0), 2)
    equal(calls, 3)
end

function T.test_a_callback_that_yields_twice_is_resumed_and_the_rest_is_called()
    local q = readyq.new()
    local log = {}
    for i = 1, 3 do
        q:add_trigger(function()
            log[#log + 1] = "begin" .. i
            log[#log + 1] = coroutine.yield(i) .. coroutine.yield(i)
        end):fire()
    end
    local loop = coroutine.wrap(function() return "called", q:dispatch(0) end)
    for i = 1, 3 do
        equal(loop("a"), i)
        equal(loop("b" .. i), i)
    end
    local word, count = loop("c")
    equal(word, "called")
    equal(count, 3)
    equal(table.concat(log, " "), "begin1 b1a begin2 b2a begin3 b3c")
end

function T.test_an_error_after_a_yield_leaves_dispatch_and_the_rest_comes_next()
    local q = readyq.new()
    local calls = 0
    for i = 1, 3 do
        q:add_trigger(function()
            calls = calls + 1
            if i == 1 then coroutine.yield() error("boom") end
        end):fire()
    end
    local co = coroutine.create(function() q:dispatch(0) end)
    assert(coroutine.resume(co))
    local ok, message = coroutine.resume(co)
    equal(ok, false)
    assert(message:find("boom"))
    equal(q:dispatch(0), 2)
    equal(calls, 3)
end

function T.test_a_callback_may_close_the_queue()
    for _, wrap in ipairs {function(f) return f end, coroutine.create} do
        local q = readyq.new()
        local calls = 0
        for _ = 1, 3 do
            q:add_trigger(wrap(function()
                calls = calls + 1
                q:close()
            end)):fire()
        end
        equal(q:dispatch(0), 1)
        equal(calls, 1)
        raises("closed readyq.queue", q.dispatch, q, 0)
    end
end

function T.test_a_coroutine_that_runs_cannot_be_resumed_by_its_own_dispatch()
    local q = readyq.new()
    local function run_own()
        q:add_trigger((coroutine.running())):fire()
        raises("cannot resume .* coroutine", q.dispatch, q, 0)
        return "goes on"
    end
    equal(select(2, coroutine.resume(coroutine.create(run_own))), "goes on")
    local outer = coroutine.create(function() -- neither running nor suspended: it waits for inner
        local inner = coroutine.create(run_own)
        q:add_trigger((coroutine.running())):fire()
        raises("cannot resume .* coroutine", coroutine.wrap(function()
            q:dispatch(0)
        end))
        return select(2, coroutine.resume(inner))
    end)
    equal(select(2, coroutine.resume(outer)), "goes on")
end

-- if coroutine.close
function T.test_a_coroutine_that_fails_closes_its_variables()
    local q = readyq.new()
    local closed = 0
    local load = loadstring or load
    local fail = assert(load([[
        local guard <close> = ...
        coroutine.yield()
        error("boom")
    ]]))
    local guard = setmetatable({}, {__close = function() closed = closed + 1 end})
    local co = coroutine.create(function() fail(guard) end)
    local trigger = q:add_trigger(co)
    trigger:fire()
    equal(q:dispatch(0), 1)
    trigger:fire()
    raises("boom", q.dispatch, q, 0)
    equal(closed, 1)
    equal(coroutine.status(co), "dead")
end

function T.test_what_a_coroutine_yields_or_returns_is_dropped()
    local q = readyq.new()
    local trigger = q:add_trigger(coroutine.create(function()
        coroutine.yield(1, 2, 3)
        return 4, 5
    end))
    for _ = 1, 2 do
        trigger:fire()
        equal(q:dispatch(0), 1)
    end
end

function T.test_a_coroutine_that_dispatches_is_resumed_after_it_yields_inside_a_callback()
    local q = readyq.new()
    local trigger = q:add_trigger(function() coroutine.yield("inner") end)
    local pump = coroutine.create(function()
        trigger:fire()
        return q:dispatch(0)
    end)
    local q2 = readyq.new()
    local outer = q2:add_trigger(pump)
    outer:fire()
    equal(q2:dispatch(0), 1)
    outer:fire()
    equal(q2:dispatch(0), 1)
    equal(coroutine.status(pump), "dead")
end

return T
