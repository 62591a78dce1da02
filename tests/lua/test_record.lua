-- SPDX-License-Identifier: MIT
--
-- Recordings and figures, as in tests/c/record.c.
local readyq = require "readyq"
local things = require "things"
local unix = require "unix"

local T = {}
local equal, raises = things.equal, things.raises

local function types(recording)
    local list = {}
    for record in recording:records() do list[#list + 1] = record.type end
    return table.concat(list, " ")
end

-- The text of the saved file.
local function save(recording)
    local path = things.path()
    equal(recording:save(path), true)
    local file = assert(io.open(path))
    local text = file:read("*a")
    file:close()
    os.remove(path)
    return text
end

local function count(text, part)
    local _, n = text:gsub(part:gsub("%p", "%%%0"), "")
    return n
end

function T.test_a_recording_shows_each_step_in_order()
    local q = readyq.new()
    local r = q:record()
    local trigger = q:add_trigger()
    trigger:fire()
    for _ in q:wait(1.5) do end
    trigger:remove()
    r:stop()
    q:wake()
    equal(types(r), "start add fire event wait wait_end delivery done remove")
    equal(#r, 9)
    local last = 0
    for record in r:records() do
        assert(record.time >= last and record.thread > 0)
        last = record.time
        if record.type == "delivery" then
            equal(record.kind, "trigger")
            equal(record.bits, readyq.FIRED)
            equal(record.value, 1)
            assert(record.watch > 0 and record.number == nil)
        elseif record.type == "start" then
            equal(record.watch, nil)
            equal(record.kind, nil)
        end
    end
end

function T.test_the_newest_records_are_kept_and_the_dropped_ones_counted()
    local q = readyq.new()
    local r = q:record(4)
    local trigger = q:add_trigger()
    for _ = 1, 5 do trigger:fire() end
    equal(#r, 4)
    equal(r:dropped(), 2 + 10 - 4)
    equal(types(r), "fire event fire event")
    equal(tostring(r), "readyq.recording: records: 4, dropped: 8")
end

function T.test_a_stopped_recording_keeps_its_records()
    local q = readyq.new()
    local first, second = q:record(), q:record(10)
    local trigger = q:add_trigger()
    equal(first:stop(), true)
    trigger:fire()
    equal(second:stop(), true)
    equal(second:stop(), true)
    trigger:fire()
    equal(types(first), "start add")
    equal(types(second), "start add fire event")
    if getmetatable(first).__close then getmetatable(first).__close(first) end
end

local function run_all(q)
    local watches = {}
    for i = 1, 20 do
        local here, there = things.pair()
        watches[i] = q:add(here, i == 8 and readyq.READ + readyq.ONESHOT or "r")
        unix.write(there, "x")
    end
    local timer, trigger = q:add_timer(0), q:add_trigger()
    trigger:fire()
    for _ in q:wait(nil, 10) do break end
    local seen = 0
    for watch in q:wait() do
        seen = seen + 1
        if seen == 3 then
            watches[16]:remove()
            watches[17]:modify("rw")
        end
        if watch.kind == "fd" and watch ~= watches[17] then unix.read(watch.fd, 10) end
    end
    watches[17]:modify(0)
    timer:restart(30)
    q:wake()
    while select(3, q:wait()) > 0 do end
    for watch in q:watches() do watch:remove() end
end

function T.test_what_lasts_at_the_end_lasts_until_the_recording_is_saved_or_stopped()
    local q = readyq.new()
    local r = q:record()
    q:add_trigger():fire()
    for _ in q:wait(1.5) do
        unix.sleep(0.02)
        local handler = '"cat":"handler","ts":[%d.]+,"dur":([%d.]+),"args":{"open":true'
        local length = save(r):match(handler)
        assert(tonumber(length) >= 20000)
    end
end

function T.test_counts_in_a_saved_recording_equal_the_stats()
    local q = readyq.new()
    local r = q:record()
    run_all(q)
    local stats, text = q:stats(), save(r)
    assert(stats.deliveries > 15)
    equal(count(text, '"cat":"wait"'), stats.waits)
    equal(count(text, '"cat":"handler"'), stats.deliveries)
    equal(count(text, '"cat":"wake"'), stats.wakes)
    equal(count(text, '"cat":"fire"'), stats.fires)
    equal(count(text, '"name":"add"'), stats.adds)
    equal(count(text, '"name":"remove"'), stats.removes)
    equal(stats.removes, stats.adds)
    equal(select(2, types(r):gsub("event", "")), stats.events)
    equal(r:dropped(), 0)
end

function T.test_stats_count_by_kind()
    local q = readyq.new()
    local here, there = things.pair()
    unix.write(there, "x")
    q:add(here, "r")
    q:add_timer(0)
    local trigger = q:add_trigger()
    trigger:fire()
    trigger:fire()
    for _ in q:wait(0) do end
    local stats = q:stats()
    local fd, timer = stats.kinds.fd, stats.kinds.timer
    equal(table.concat({fd.watches, fd.adds, fd.events, fd.deliveries}, " "), "1 1 1 1")
    local fired = {timer.watches, timer.adds, timer.events, timer.deliveries}
    equal(table.concat(fired, " "), "0 1 1 1")
    equal(stats.kinds.trigger.events, 2)
    equal(stats.kinds.process.deliveries, 0)
    equal(stats.removes, 1)
    equal(stats.largest_batch, 3)
    equal(stats.system_calls, stats.kernel_waits + stats.changes + stats.kicks)
end

function T.test_stats_measure_sleep_and_turns()
    local q = readyq.new()
    q:wait(0.02)
    local before = q:stats()
    assert(before.slept >= 20000000 and before.slept < 1e10)
    equal(before.busy, 0)
    unix.sleep(0.05)
    q:wait(0.001)
    local after = q:stats()
    assert(after.busy >= 50000000 and after.busy < 1e10)
    equal(after.longest_turn, after.busy)
end

function T.test_a_saved_recording_names_watches_that_are_gone()
    local q = readyq.new()
    local r = q:record()
    local here, there = things.pipe()
    local watch = q:add(here, "r")
    things.close(here)
    watch:remove()
    q:close()
    things.close(there)
    assert(save(r):find(('"fd %d (pipe)"'):format(here), 1, true))
end

function T.test_a_name_with_quotes_control_characters_and_markup_is_escaped()
    local path = things.path() .. '"\\<b>&\n\127'
    local file = assert(io.open(path, "w"))
    local q = readyq.new()
    local r = q:record()
    q:add(file, "w")
    local text = save(r)
    assert(text:find([[\u0022\u005c\u003cb\u003e\u0026??)]], 1, true))
    assert(not text:find("<", 1, true))
    file:close()
    os.remove(path)
end

function T.test_a_file_that_cannot_be_written_is_reported()
    local r = readyq.new():record()
    local ok, message, code = r:save("/nowhere/run.json")
    equal(ok, nil)
    equal(message, "save('/nowhere/run.json') failed: there is no such directory; create it first")
    equal(code, 2)
    ok, message = r:save("/tmp")
    assert(ok == nil and message:find("directory", 1, true))
    if io.open("/dev/full", "w") then
        ok, message = r:save("/dev/full")
        equal(ok, nil)
        assert(message:find("save('/dev/full') failed: the disk is full; free some", 1, true))
    end
    raises("cannot contain a zero byte", r.save, r, "a\0b")
    raises("string expected", r.save, r)
    raises("readyq.recording expected, got number", r.save, 5, "x")
end

function T.test_a_recording_without_records_or_with_too_many_is_refused()
    local q = readyq.new()
    raises("a recording must have room for at least one record", q.record, q, 0)
    raises("a recording can have at most 1073741824 records", q.record, q, 2 ^ 40)
    raises("a recording can have at most 1073741824 records", q.record, q, math.huge)
    raises("the number of records is negative: %-1", q.record, q, -1)
    raises("the number of records is not an integer: 1.5", q.record, q, 1.5)
    raises("the number of records is not an integer", q.record, q, 0 / 0)
    raises("number expected", q.record, q, {})
end

function T.test_a_recording_that_another_finalizer_uses_after_its_own_is_an_error()
    local problem
    do
        local holder = {}
        local function use() return #holder.r end
        things.finalizer(function() problem = select(2, pcall(use)) end)
        holder.r = readyq.new():record()
    end
    collectgarbage()
    collectgarbage()
    assert(problem:find("attempt to use a collected readyq.recording", 1, true), problem)
end

function T.test_the_finalizer_of_a_recording_refuses_other_objects()
    local r = readyq.new():record()
    local discard = getmetatable(r).__gc
    for _, other in ipairs {io.stdout, readyq.new(), {}, 5} do
        raises("readyq.recording expected, got", discard, other)
    end
    discard(r)
    discard(r)
    raises("attempt to use a collected readyq.recording", r.stop, r)
end

function T.test_the_recording_of_a_closed_queue_is_kept()
    local q = readyq.new()
    local r = q:record()
    q:add_trigger()
    q:close()
    assert(save(r):find('"name":"close"', 1, true))
    equal(types(r), "start add close remove")
    raises("closed", q.record, q)
end

return T
