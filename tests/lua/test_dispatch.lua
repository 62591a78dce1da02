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

return T
