-- SPDX-License-Identifier: MIT
--
-- Garbage collection: which object keeps which alive, in which order finalizers run, and that
-- nothing leaks.
local readyq = require "readyq"
local things = require "things"
local unix = require "unix"
local equal = things.equal

local T = {}

local function weak() return setmetatable({}, {__mode = "k"}) end

local function collect()
    collectgarbage()
    collectgarbage()
end

function T.test_a_queue_keeps_watch_source_and_data_alive()
    local q, seen = readyq.new(), weak()
    do
        local fd = things.eventfd(1)
        local source, data = {getfd = function() return fd end}, {}
        seen[q:add(source, "r", data)] = true
        seen[source], seen[data] = true, true
    end
    collect()
    local count = 0
    for _ in pairs(seen) do count = count + 1 end
    equal(count, 3)
    local watch, _, data = things.event(q)
    assert(seen[watch] and seen[data] and seen[watch.source])
end

function T.test_a_removed_watch_and_its_data_are_released()
    local q, seen = readyq.new(), weak()
    do
        local data = {}
        seen[data] = true
        local watch = q:add_timer(10, data)
        seen[watch] = true
        watch:remove()
    end
    collect()
    equal(next(seen), nil)
end

function T.test_a_timer_that_fired_is_released()
    local q, seen = readyq.new(), weak()
    seen[q:add_timer(0)] = true
    for _ in q:wait() do end
    collect()
    equal(next(seen), nil)
end

function T.test_a_timer_that_is_restarted_is_kept_again()
    local q, seen = readyq.new(), weak()
    do
        local timer = q:add_timer(0, {"data"})
        seen[timer] = true
        for watch in q:wait() do watch:restart(0.01) end
    end
    collect()
    assert(next(seen))
    for watch, data in q:watches() do
        assert(seen[watch])
        equal(data[1], "data")
    end
    equal(select(3, things.event(q))[1], "data")
    collect()
    equal(next(seen), nil)
    equal(#q, 0)
end

function T.test_a_closed_queue_releases_everything()
    local q, seen = readyq.new(), weak()
    for i = 1, 10 do
        local data = {}
        seen[data] = true
        seen[q:add_timer(i, data)] = true
    end
    q:trace(function() end)
    q:close()
    collect()
    equal(next(seen), nil)
end

function T.test_a_watch_keeps_its_queue_alive()
    local before = unix.count_open()
    local watch = readyq.new():add_trigger("mail")
    collect()
    equal(watch.active, true)
    watch:fire()
    equal(select(3, things.event(watch.queue)), "mail")
    watch = nil
    collect()
    equal(unix.count_open(), before)
end

function T.test_an_iterator_keeps_its_queue_alive()
    local iterator
    do
        local q = readyq.new()
        q:add_trigger("kept"):fire()
        iterator = q:wait(0)
    end
    collect()
    equal(select(3, iterator()), "kept")
end

function T.test_cycles_through_data_are_collected()
    local before = unix.count_open()
    for i = 1, 20 do
        local q = readyq.new()
        local object = {q = q}
        object.watch = q:add_timer(i, object)
        object.watch.data = function() return object end
        q:trace(function() return q end)
    end
    collect()
    equal(unix.count_open(), before)
end

function T.test_an_unused_queue_that_is_collected_closes()
    local before = unix.count_open()
    for _ = 1, 20 do readyq.new() end
    collect()
    equal(unix.count_open(), before)
end

function T.test_finalizers_may_use_a_queue_that_dies_with_them()
    local tried = 0
    for _ = 1, 10 do
        local q = readyq.new()
        local function try()
            tried = tried + 1
            pcall(q.wait, q, 0)
            pcall(q.add_timer, q, 1)
            pcall(function()
                for watch in q:watches() do watch:remove() end
            end)
            q:close()
        end
        q:add_timer(1, things.finalizer(try))
    end
    collect()
    collect()
    equal(tried, 10)
end

function T.test_a_finalizer_that_closes_the_queue_in_the_middle_of_an_add_is_an_error()
    things.collect_early()
    for _ = 1, 20 do
        local q = readyq.new()
        collect()
        things.finalizer(function() q:close() end)
        local ok, message
        repeat ok, message = pcall(q.add_timer, q, 10, {}) until not ok
        assert(message:find("closed readyq.queue"))
    end
end

function T.test_the_collector_at_every_step_breaks_nothing()
    local steps = 0
    debug.sethook(function()
        steps = steps + 1
        collectgarbage("step", 0)
    end, "", 3)
    for round = 1, 60 do
        local q = readyq.new()
        local r, w = things.pipe()
        q:add(r, "r", {round})
        q:add_timer(0, {round})
        local trigger = q:add_trigger({round})
        trigger:handle()
        trigger:fire()
        unix.write(w, "x")
        local count = 0
        for watch, _, data in q:wait(1) do
            equal(data[1], round)
            equal(watch.data, data)
            count = count + 1
        end
        equal(count, 3)
        things.close(r)
        things.close(w)
        if round % 2 == 0 then q:close() end
    end
    debug.sethook()
    assert(steps > 1000)
end

function T.test_the_generational_collector_breaks_nothing()
    if _VERSION ~= "Lua 5.4" then return assert(pcall(collectgarbage, "step")) end
    collectgarbage("generational")
    local q = readyq.new()
    local old = q:add_trigger({"old"})
    for _ = 1, 5 do collectgarbage("step") end
    for round = 1, 2000 do
        old.data = {round}
        q:add_timer(0, {round})
        old:fire()
        if round % 7 == 0 then collectgarbage("step") end
        local count = 0
        for _, _, data in q:wait(1) do
            equal(data[1], round)
            count = count + 1
        end
        equal(count, 2)
    end
    collectgarbage("incremental")
end

function T.test_a_state_that_is_closed_with_a_live_queue_leaves_nothing()
    local before = unix.count_open()
    for _ = 1, 10 do
        local thread = unix.start([[
            local readyq = require "readyq"
            local unix = require "unix"
            queues = {}
            for i = 1, 5 do
                local q = readyq.new()
                queues[i] = q
                local r, w = unix.pipe()
                q:add(r, "r", q)
                q:add_timer(0, function() return q end)
                q:add_trigger(queues):handle()
                q:add_signal("USR2")
                q:wait(0)
                unix.close(r)
                unix.close(w)
            end
        ]])
        equal(unix.join(thread), nil)
    end
    equal(unix.count_open(), before)
    assert(unix.is_default(12))
end

-- Lua calls no finalizer of an object that a finalizer makes while the state is closed.
local IN_FINALIZER = [[
    local unix = require "unix"
    local function finalizer(f)
        if not newproxy then return setmetatable({}, {__gc = f}) end
        local proxy = newproxy(true)
        getmetatable(proxy).__gc = f
        return proxy
    end
    local readyq
    older = finalizer(function()
        local _, message = pcall(readyq.new)
        unix.write(%d, message)
    end)
    readyq = require "readyq"
    local q = readyq.new()
    local trigger = q:add_trigger()
    newer = finalizer(function()
        trigger:handle()
        q:record()
        local late = readyq.new()
        late:add_signal("USR2")
        late:add_trigger():handle()
        late:trace(print)
        unix.write(%d, "done, ")
    end)
]]

function T.test_finalizers_may_make_objects_while_their_state_is_closed()
    local r, w = things.pipe()
    local before = unix.count_open()
    for _ = 1, 3 do
        local thread = unix.start(IN_FINALIZER:format(w, w))
        equal(unix.join(thread), nil)
        equal(unix.read(r), "done, the Lua state is being closed")
        equal(unix.count_open(), before)
        assert(unix.is_default(12))
        local q = readyq.new()
        equal(readyq.fire(q:add_trigger():handle()), true) -- the list has no handle of that state
        q:close()
    end
end

function T.test_a_lack_of_memory_at_any_point_leaves_nothing()
    local before = unix.count_open()
    local enough, n = false, 0
    while enough == false do
        n = n + 1
        enough = unix.starve('readyq = require "readyq"', [[
            local q = readyq.new()
            q:trace(function() end)
            q:add(0, "r", {})
            q:add(999, "r", {})
            q:add_timer(0, {})
            q:add_signal("USR2", {})
            local trigger = q:add_trigger({})
            readyq.fire(trigger:handle())
            for watch in q:wait(1) do tostring(watch) watch:remove() end
            pcall(q.add, q, {}, "r")
            tostring(q)
            q:stats()
            q:fileno()
        ]], n)
        equal(unix.count_open(), before)
        assert(unix.is_default(12))
    end
    assert(jit or n > 50)
end

local function memory_of(f)
    f()
    collect()
    local before = collectgarbage("count")
    f()
    collect()
    return collectgarbage("count") - before
end

function T.test_no_memory_is_lost_by_adding_and_removing()
    local q = readyq.new()
    local fd = things.eventfd(1)
    local grown = memory_of(function()
        for _ = 1, 2000 do
            q:add(fd, "r", {})
            for watch in q:wait(0) do watch:remove() end
            q:add_timer(0, {})
            for _ in q:wait() do end
        end
    end)
    assert(grown < 16, "grown by " .. grown .. " KiB")
    equal(#q, 0)
end

function T.test_no_memory_is_lost_by_restarting()
    local q = readyq.new()
    local timer, other = q:add_timer(0, {}), q:add_timer(1000, {})
    local grown = memory_of(function()
        for turn = 1, 2000 do
            for watch in q:wait() do watch:restart(turn % 2 * 1e-9) end
            other:restart(1000)
        end
    end)
    assert(grown < 16, "grown by " .. grown .. " KiB")
    equal(#q, 2)
    equal(timer.active, true)
end

function T.test_no_memory_is_lost_by_failures()
    local q = readyq.new()
    local late = q:add_timer(1)
    late:remove()
    local grown = memory_of(function()
        for _ = 1, 2000 do
            assert(not q:add(999, "r", {}))
            assert(not pcall(q.add, q, 0, readyq.FIRED, {}))
            assert(not pcall(q.add_signal, q, "KILL", {}))
            assert(not pcall(q.wait, q, -1))
            assert(not q:remove(999))
            assert(not late:restart(1))
        end
    end)
    assert(grown < 16, "grown by " .. grown .. " KiB")
    equal(#q, 0)
end

function T.test_a_wait_allocates_nothing()
    local q = readyq.new()
    for i = 1, 10 do q:add(things.eventfd(1), "r", i) end
    local function turn()
        for _ = 1, 1000 do
            for _ in q:wait(0) do end
            for _ in q:wait(0) do break end
            for _ in q:wait(0) do
                for _ in q:wait(0) do end
            end
        end
    end
    turn()
    collect()
    collectgarbage("stop")
    local before = collectgarbage("count")
    turn()
    local grown = collectgarbage("count") - before
    collectgarbage("restart")
    assert(grown < 1, "grown by " .. grown .. " KiB")
end

function T.test_slots_are_used_again()
    local q = readyq.new()
    for round = 1, 5 do
        local watches = {}
        for i = 1, 100 do watches[i] = q:add_timer(10, i) end
        for i = round, 100, 2 do watches[i]:remove() end
        for _, watch in ipairs(watches) do if watch.active then watch:remove() end end
    end
    local one = q:add_timer(1, "one")
    equal(q:watches()(q), one)
    equal(#q, 1)
end

return T
