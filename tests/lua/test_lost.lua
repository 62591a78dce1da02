-- SPDX-License-Identifier: MIT
--
-- Never lost, never stale: loops that end early, errors in them, waits inside them, removing a
-- ready watch.
local readyq = require "readyq"
local things = require "things"
local unix = require "unix"
local equal = things.equal

local T = {}

local function queue_of(n, interest)
    local q = readyq.new()
    for i = 1, n do q:add(things.eventfd(1), interest or "r", i) end
    return q
end

local function first_of(q)
    for watch, _, data in q:wait(0) do return watch, data end
end

-- A process that has ended.
local function child()
    local pid = unix.fork()
    if pid == 0 then unix.exit(0) end
    return pid
end

local EDGE = readyq.READ + readyq.EDGE

function T.test_leaving_a_loop_early_loses_no_edge()
    local q = queue_of(5, EDGE)
    local _, first = first_of(q)
    local seen = {[first] = true}
    for _, event in ipairs(things.events(q)) do
        assert(not seen[event.data])
        seen[event.data] = true
    end
    equal(#seen, 5)
    things.nothing(q)
end

function T.test_leaving_a_loop_early_loses_no_watch_of_any_kind()
    local q = readyq.new()
    q:add(things.eventfd(1), EDGE, "edge")
    q:add(things.eventfd(1), readyq.READ + readyq.ONESHOT, "oneshot")
    q:add(things.eventfd(1), "r", "level")
    q:add(things.open("/dev/null", "r"), "r", "file")
    q:add_timer(0, "timer")
    q:add_timer(0, "periodic", 1000)
    q:add_signal("USR1", "signal")
    q:add_trigger("trigger"):fire()
    q:add_process(child(), "process")
    unix.kill(unix.getpid(), 10)
    local seen, others = {}, {"edge", "oneshot", "timer", "periodic", "signal", "trigger"}
    repeat -- until the process has ended
        local _, data = first_of(q)
        seen[data] = (seen[data] or 0) + 1
    until seen.process
    for _ = 1, 20 do
        local _, data = first_of(q)
        seen[data] = (seen[data] or 0) + 1
    end
    for _, name in ipairs(others) do equal(seen[name], 1) end
    equal(seen.process, 1)
    assert(seen.level > 5 and seen.file > 5)
    q:close()
end

function T.test_watches_that_were_not_taken_come_before_newer_ones()
    local q = readyq.new()
    for i = 1, 3 do q:add(things.eventfd(1), EDGE, i) end
    local order = {}
    order[1] = select(2, first_of(q))
    q:add(things.eventfd(1), EDGE, "newer")
    q:add_trigger("newest"):fire()
    for _, _, data in q:wait(0) do order[#order + 1] = data end
    equal(order[2] + order[3] + order[1], 6)
    table.remove(order, 1)
    for i = 1, 2 do equal(type(order[i]), "number") end
    equal(#order, 4)
end

function T.test_a_loop_that_always_leaves_early_starves_no_watch()
    local q = queue_of(5)
    local seen = {}
    for _ = 1, 20 do
        local _, data = first_of(q)
        seen[data] = (seen[data] or 0) + 1
    end
    for i = 1, 5 do equal(seen[i], 4) end
end

function T.test_an_error_in_a_loop_loses_no_edge()
    local q = queue_of(3, EDGE)
    things.raises("boom", function()
        for _ in q:wait(0) do error("boom") end
    end)
    equal(#things.events(q), 2)
end

function T.test_what_was_left_and_is_not_ready_any_more_is_not_reported()
    local q = readyq.new()
    local a, b = things.eventfd(1), things.eventfd(1)
    q:add(a, "r")
    q:add(b, "r")
    first_of(q)
    unix.read(a)
    unix.read(b)
    things.nothing(q)
end

function T.test_a_wait_within_a_loop_gets_its_rest_and_the_loop_ends()
    local q = queue_of(4, EDGE)
    local log = {}
    for _, _, outer in q:wait(0) do
        log[#log + 1] = "outer" .. outer
        for _, _, inner in q:wait(0) do log[#log + 1] = "inner" .. inner end
    end
    equal(table.concat(log, " "), "outer1 inner2 inner3 inner4")
    things.nothing(q)
end

function T.test_a_loop_takes_nothing_from_a_wait_within_it()
    local q = queue_of(4, EDGE)
    local log = {}
    for _, _, outer in q:wait(0) do
        log[#log + 1] = "outer" .. outer
        for _, _, inner in q:wait(0) do
            log[#log + 1] = "inner" .. inner
            break
        end
    end
    for _, event in ipairs(things.events(q)) do log[#log + 1] = "next" .. event.data end
    equal(table.concat(log, " "), "outer1 inner2 next3 next4")
end

function T.test_a_wait_within_a_loop_reports_a_watch_that_is_still_ready_again()
    local q = queue_of(2)
    local log = {}
    for _, _, outer in q:wait(0) do
        log[#log + 1] = "outer" .. outer
        for _, _, inner in q:wait(0, 1) do
            log[#log + 1] = "inner" .. inner
            break
        end
    end
    equal(#log, 2)
    equal(#things.events(q), 2)
end

function T.test_waits_within_waits_end_all_loops_but_the_innermost()
    local q = queue_of(6, EDGE)
    local log = {}
    local function descend(depth)
        for _, _, data in q:wait(0) do
            log[#log + 1] = depth .. ":" .. data
            if depth < 3 then descend(depth + 1) end
        end
    end
    descend(1)
    equal(table.concat(log, " "), "1:1 2:2 3:3 3:4 3:5 3:6")
end

function T.test_a_wait_within_a_loop_that_finds_nothing_ends_it_too()
    local q = readyq.new()
    q:add_trigger("one"):fire()
    local count = 0
    for _ in q:wait(0) do
        count = count + 1
        things.nothing(q)
    end
    equal(count, 1)
end

function T.test_a_wait_within_a_loop_that_fails_loses_nothing()
    local q = queue_of(3, EDGE)
    local seen = {}
    for _, _, data in q:wait(0) do
        seen[#seen + 1] = data
        assert(not pcall(q.wait, q, -1))
    end
    equal(table.concat(seen), "123")
end

function T.test_loops_in_two_coroutines_share_a_queue()
    local q = queue_of(5, EDGE)
    local log = {}
    local function loop(name)
        return coroutine.wrap(function()
            for _, _, data in q:wait(0) do
                log[#log + 1] = name .. data
                coroutine.yield(true)
            end
        end)
    end
    local a, b = loop("a"), loop("b")
    a()
    a()
    b()
    equal(a(), nil)
    while b() do end
    equal(table.concat(log, " "), "a1 a2 b3 b4 b5")
end

function T.test_an_iterator_of_an_earlier_wait_gives_nothing()
    local q = queue_of(2, EDGE)
    local take, earlier = q:wait(0)
    local same, later = q:wait(0)
    equal(take, same)
    equal(take(earlier), nil)
    assert(take(later))
    equal(take(earlier), nil)
    assert(take(later))
    equal(take(later), nil)
end

-- ---------------------------------------------------------------- in another loop

-- Whether the descriptor of `inner` polls readable.
local function polls(outer) return #things.events(outer) == 1 end

function T.test_a_queue_whose_loop_ended_early_polls_readable()
    local q, host = queue_of(2, EDGE), readyq.new()
    host:add(q, "r")
    equal(polls(host), true)
    first_of(q)
    equal(polls(host), true)
    first_of(q)
    equal(polls(host), false)
    q:add_timer(0)
    q:add_trigger():fire()
    equal(polls(host), true)
    first_of(q)
    equal(polls(host), true)
    first_of(q)
    equal(polls(host), false)
end

function T.test_a_trigger_that_is_fired_after_its_loop_polls_readable()
    local q, host = readyq.new(), readyq.new()
    local trigger = q:add_trigger()
    host:add(q, "r")
    for _, leaves_early in ipairs {false, true, false, true} do
        trigger:fire()
        equal(polls(host), true)
        for _ in q:wait(0) do if leaves_early then break end end
        equal(polls(host), false)
    end
end

function T.test_a_trigger_whose_loop_removed_others_polls_readable_when_fired()
    local q, host = readyq.new(), readyq.new()
    local triggers = {}
    for i = 1, 4 do triggers[i] = q:add_trigger() end
    for _, trigger in ipairs(triggers) do trigger:fire() end
    host:add(q, "r")
    for watch in q:wait(0) do
        equal(watch, triggers[1])
        for i = 2, 4 do triggers[i]:remove() end
    end
    equal(polls(host), false)
    triggers[1]:fire()
    equal(polls(host), true)
end

function T.test_a_watch_that_is_ready_again_after_its_loop_polls_readable()
    local q, host = readyq.new(), readyq.new()
    local r, w = things.pipe()
    q:add(r, EDGE)
    q:add_timer(0.001, "timer", 0.001)
    q:add_signal("USR1")
    host:add(q, "r")
    for _ = 1, 3 do
        unix.write(w, "x")
        unix.kill(unix.getpid(), 10)
        local seen = 0
        while seen < 3 do
            things.event(host)
            for _ in q:wait(0) do
                seen = seen + 1
                break
            end
        end
    end
end

-- ---------------------------------------------------------------- changes in the loop

function T.test_removing_a_ready_watch_in_the_loop_takes_it_out_of_the_batch()
    local q = readyq.new()
    local watches = {}
    for _ = 1, 2 do
        local watch = q:add(things.eventfd(1), "r")
        watches[watch] = true
    end
    local count = 0
    for watch in q:wait(0) do
        count = count + 1
        watches[watch] = nil
        for other in pairs(watches) do assert(other:remove()) end
    end
    equal(count, 1)
    things.event(q)
end

function T.test_modifying_a_ready_watch_in_the_loop_asks_again()
    local q = readyq.new()
    local one, two = q:add(things.eventfd(1), "r"), q:add(things.eventfd(1), "r")
    local count = 0
    for watch in q:wait(0) do
        count = count + 1
        local other = watch == one and two or one
        other:modify("")
    end
    equal(count, 1)
end

function T.test_closing_the_queue_in_its_loop_ends_the_loop()
    local q = queue_of(3)
    local count = 0
    for _ in q:wait(0) do
        count = count + 1
        q:close()
    end
    equal(count, 1)
    things.raises("closed", q.wait, q, 0)
end

function T.test_adding_in_the_loop_is_for_the_next_wait()
    local q = queue_of(1)
    local count = 0
    for _ in q:wait(0) do
        count = count + 1
        q:add(things.eventfd(1), "r")
    end
    equal(count, 1)
    equal(#things.events(q), 2)
end

function T.test_an_iterator_that_is_called_by_hand_takes_from_the_last_wait()
    local q = queue_of(1)
    local iterator = q:wait(0)
    assert(iterator())
    equal(iterator(), nil)
    equal(iterator(), nil)
    equal((q:wait(0)), iterator)
    assert(iterator())
    q:close()
    equal(iterator(), nil)
end

function T.test_a_one_shot_timer_left_in_a_loop_comes_with_the_next_wait()
    local q = readyq.new()
    q:add_timer(0, "one")
    q:add_timer(0, "two")
    local watch = first_of(q)
    equal(watch.active, false)
    local _, _, data = things.event(q)
    equal(data, "two")
    equal(#q, 0)
end

return T
