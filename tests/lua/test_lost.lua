-- SPDX-License-Identifier: MIT
--
-- Never lost, never stale: leaving a loop, errors in it, waits within waits, removing what is
-- ready.
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

function T.test_an_error_in_a_loop_loses_no_edge()
    local q = queue_of(3, EDGE)
    things.raises("boom", function()
        for _ in q:wait(0) do error("boom") end
    end)
    equal(#things.events(q), 2)
end

function T.test_what_was_left_and_is_no_longer_so_is_not_reported()
    local q = readyq.new()
    local a, b = things.eventfd(1), things.eventfd(1)
    q:add(a, "r")
    q:add(b, "r")
    first_of(q)
    unix.read(a)
    unix.read(b)
    things.nothing(q)
end

function T.test_a_wait_within_a_loop_and_the_loop_share_what_is_ready()
    local q = queue_of(4, EDGE)
    local seen = {}
    for _, _, outer in q:wait(0) do
        seen[#seen + 1] = outer
        for _, _, inner in q:wait(0) do
            seen[#seen + 1] = inner
            break
        end
    end
    for _, event in ipairs(things.events(q)) do seen[#seen + 1] = event.data end
    table.sort(seen)
    equal(table.concat(seen), "1234")
end

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

function T.test_modifying_a_ready_watch_in_the_loop_asks_anew()
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

function T.test_an_iterator_that_is_kept_gives_nothing_more_until_the_next_wait()
    local q = queue_of(1)
    local iterator = q:wait(0)
    assert(iterator())
    equal(iterator(), nil)
    equal(iterator(), nil)
    equal(q:wait(0), iterator)
    assert(iterator())
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
