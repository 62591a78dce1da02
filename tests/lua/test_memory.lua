-- SPDX-License-Identifier: MIT
--
-- When Lua's memory runs out: an error, nothing changed or lost, and it works again later. With a
-- collector that runs at every step everything works as usual.
local poor = require "poor"
local readyq = require "readyq"
local things = require "things"
local unix = require "unix"
local equal = things.equal

local T = {}

local deepen
function deepen(n) return n == 0 and 0 or 1 + deepen(n - 1) end

-- Repeats a call with each of its allocations refused in turn, until it succeeds. `check` gets
-- whether the call failed; `undo` reverts one that succeeded nevertheless.
local function starve(call, check, undo)
    collectgarbage("stop") -- a finalizer that is refused memory is not called again
    for n = 0, 1000 do
        deepen(20) -- the collector frees unused frames, without which nothing can be called
        poor.refuse(n)
        local ok, result = pcall(call)
        local hit = poor.relent()
        collectgarbage("stop")
        assert(ok or hit, result)
        check(not ok)
        if ok and not hit then
            collectgarbage("restart")
            return result, n
        end
        if ok and undo then undo(result) end
    end
    error("never enough")
end

local function remove(watch) assert(watch:remove()) end

local function keep() end

-- Each way of adding, which leaves the queue unchanged, or with one more watch.
local function add_all(q, reader)
    local watches, size, most = {}, 0, 0
    for _, call in ipairs {
        function() return assert(q:add(reader, "r", "data")) end,
        function() return assert(q:add_timer(0, "timer")) end,
        function() return assert(q:add_signal("USR1", "signal")) end,
        function() return assert(q:add_trigger("trigger")) end,
        function() return assert(q:add_process(unix.getpid(), "process")) end,
    } do
        local watch, n = starve(call, function(failed)
            equal(#q, size + (failed and 0 or 1))
        end, remove)
        size, most = size + 1, math.max(most, n)
        watches[size] = watch
    end
    assert(jit or most > 0)
    return watches
end

function T.test_a_call_without_memory_changes_nothing_and_works_again()
    local reader, writer = things.pipe()
    local q = starve(readyq.new, keep, function(q) q:close() end)
    local watches = add_all(q, reader)
    unix.write(writer, "x")
    watches[4]:fire()
    unix.kill(unix.getpid(), 10)
    starve(function() return q:stats() end, keep)
    starve(function() return tostring(q) .. tostring(watches[1]) end, keep)
    starve(function() return q:fileno() end, keep)
    starve(function() return watches[4]:handle() end, keep)
    starve(function() return q:get(reader) end, keep)
    starve(function() return watches[1]:modify("rw") end, keep)
    starve(function() return q:wait(0) end, keep)
    local seen = {}
    for _, _, data in q:wait(1) do seen[data] = true end
    assert(seen.data and seen.timer and seen.signal and seen.trigger and not seen.process)
    starve(function() return watches[1]:remove() end, keep, function()
        watches[1] = q:add(reader, "r", "data")
    end)
    equal(#q, 3)
    starve(function() return assert(watches[2]:restart(0)) end, function(failed)
        equal(#q, failed and 3 or 4)
        equal(watches[2].active, not failed)
    end, function() for _ in q:wait(0) do end end)
    equal(select(3, things.event(q)), "timer")
    q:close()
end

function T.test_a_module_that_is_loaded_without_memory_can_be_loaded_again()
    local open = (package.searchers or package.loaders)[3]("readyq.core")
    local core = starve(function() return open("readyq.core") end, keep)
    local q = core.new()
    q:add_trigger("data"):fire()
    equal(select(3, things.event(q)), "data")
    q:close()
end

function T.test_what_is_dispatched_without_memory_comes_with_the_next_wait()
    local q, called = readyq.new(), 0
    local trigger = q:add_trigger(function() called = called + 1 end)
    trigger:fire()
    starve(function()
        return q:dispatch(0)
    end, keep, function() trigger:fire() end)
    assert(called >= 1)
    equal(q:dispatch(0), 0)
    q:close()
end

-- Bytes of memory that this process uses in total.
local function resident()
    local statm = io.open("/proc/self/statm")
    if not statm then error({skip = "needs /proc (Linux)"}) end
    local pages = statm:read("*a"):match("%d+ (%d+)")
    statm:close()
    return pages * 4096
end

function T.test_two_hundred_thousand_rounds_of_adding_and_removing_do_not_grow()
    local q, least = readyq.new(), math.huge
    local fd = things.eventfd(1)
    for _ = 1, 4 do
        local before = resident()
        for _ = 1, 50000 do
            q:add(fd, "r", {})
            q:add_timer(0, {})
            for watch in q:wait() do
                if watch.active then watch:remove() end
            end
        end
        collectgarbage()
        collectgarbage()
        least = math.min(least, resident() - before)
    end
    assert(least < 100000, "grew by " .. least)
    equal(#q, 0)
    q:close()
end

function T.test_two_thousand_queues_that_waited_leave_nothing()
    local least = math.huge
    for _ = 1, 4 do
        local before = resident()
        for turn = 1, 2000 do
            local q = readyq.new()
            q:add_trigger():handle()
            for _ in q:wait(0) do end
            if turn % 2 == 0 then q:close() end
            if turn % 100 == 0 then collectgarbage() end -- before descriptors run out
        end
        collectgarbage()
        collectgarbage()
        least = math.min(least, resident() - before)
    end
    assert(least < 100000, "grew by " .. least)
end

function T.test_a_collector_at_every_step_takes_nothing_that_is_needed()
    local reader, writer = things.pipe()
    unix.write(writer, "x")
    poor.collect_always()
    for _ = 1, 20 do
        local q = readyq.new {clock = "virtual"}
        q:add(reader, "r", {"data"})
        q:add_timer(0, {"timer"})
        q:add_trigger({"trigger"}):fire()
        local seen = {}
        for watch, _, data in q:wait(1) do
            seen[data[1]] = watch
        end
        assert(seen.data.fd == reader and seen.timer.data[1] == "timer")
        seen.data:modify("rw")
        seen.trigger:remove()
        equal(#q, 1)
    end
    debug.sethook()
end

return T
