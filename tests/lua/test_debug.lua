-- SPDX-License-Identifier: MIT
--
-- Debug mode: the watchdog warns of each mistake once, with the data of the watch, and of nothing
-- else. The cases that need no language are in tests/c/watchdog.c.
local readyq = require "readyq"
local things = require "things"
local unix = require "unix"
local equal = things.equal

local T = {}

local QUICK = {turns = 1000, turn = 0.05, rest = 0.05}

local function count(warnings, text) return select(2, warnings:gsub("readyq: .-" .. text, "")) end

-- The warnings of f(q) with a queue in debug mode.
local function warnings_with(f)
    return things.warnings(function()
        local q = readyq.new {debug = QUICK}
        f(q)
        q:close()
    end)
end

local function on_ready() end

function T.test_a_watch_that_spins_is_named_with_its_data()
    local r, w = things.pipe()
    unix.write(w, "hello")
    local warnings = warnings_with(function(q)
        q:add(r, "r", on_ready)
        for _ = 1, 3000 do q:dispatch(0) end
    end)
    equal(count(warnings, ""), 1)
    local text = "readyq: fd " .. r
        .. " %(pipe%) interest READ, ready READ: reported 1,000 times in 0%."
    assert(warnings:find(text), warnings)
    assert(warnings:find("nobody reads the available data %(data=function <"), warnings)
    assert(warnings:find("test_debug.lua:%d+>%)"), warnings)
end

function T.test_a_reader_is_silent()
    local r, w = things.pipe()
    local warnings = warnings_with(function(q)
        q:add(r, "r", function() unix.read(r) end)
        for _ = 1, 3000 do
            unix.write(w, "hello")
            q:dispatch(0)
        end
    end)
    equal(count(warnings, ""), 0)
end

function T.test_a_long_turn_names_the_handler()
    local warnings = warnings_with(function(q)
        q:add_timer(0, function() unix.sleep(0.1) end, 10)
        q:dispatch()
        q:dispatch(0)
        unix.sleep(0.1) -- not in a handler
        q:dispatch(0)
    end)
    equal(count(warnings, ""), 1)
    assert(warnings:find("readyq: timer, ready FIRED: its handler took %d+%.?%d* s;"), warnings)
    assert(warnings:find("%(data=function <"), warnings)
end

function T.test_a_descriptor_that_was_closed()
    local r = things.pipe()
    local warnings = warnings_with(function(q)
        q:add(r, "r", "mine")
        things.close(r)
        q:wait(0.2)
    end)
    equal(count(warnings, "it was closed before its watch was removed;.-%(data='mine'%)"), 1)
end

function T.test_data_of_every_type_is_shown()
    for shown, data in pairs {
        ["'text'"] = "text", ["12"] = 12, ["table: "] = {}, ["boolean: "] = true,
        ["function <[^>]*:%d+>"] = on_ready,
    } do
        local r = things.pipe()
        local warnings = warnings_with(function(q)
            q:add(r, "r", data)
            things.close(r)
            q:wait(0.2)
        end)
        equal(count(warnings, "it was closed.-%(data=" .. shown .. ".-%)"), 1)
    end
end

function T.test_a_watch_without_data_is_named_without_it()
    local r = things.pipe()
    local warnings = warnings_with(function(q)
        q:add(r, "r")
        things.close(r)
        q:wait(0.2)
    end)
    equal(count(warnings, "it was closed"), 1)
    assert(not warnings:find("(data=", 1, true), warnings)
end

function T.test_a_long_turn_of_a_watch_that_is_gone_is_named_without_its_data()
    local warnings = warnings_with(function(q)
        q:add_trigger(function(watch)
            watch:remove()
            unix.sleep(0.1)
        end):fire()
        q:dispatch(0)
        q:dispatch(0)
    end)
    equal(count(warnings, "trigger: its handler took"), 1)
    assert(not warnings:find("(data=", 1, true), warnings)
end

function T.test_debug_without_thresholds_has_the_usual_ones()
    local r, w = things.pipe()
    things.close(w)
    local warnings = things.warnings(function()
        local q = readyq.new {debug = true}
        q:add(r, "r")
        for _ = 1, 20500 do q:wait(0) end
        q:close()
    end)
    equal(count(warnings, "10,000 times"), 1)
end

function T.test_a_number_that_is_added_again()
    local r = things.pipe()
    local other = things.pair()
    local warnings = warnings_with(function(q)
        q:add(r, "r", "old")
        unix.dup2(other, r)
        q:add(r, "r", "new")
    end)
    equal(count(warnings, "its number belongs to another file now;.-%(data='old'%)"), 1)
end

function T.test_an_edge_that_was_left_with_data()
    local r, w = things.pair()
    unix.write(w, "hello")
    local warnings = warnings_with(function(q)
        q:add(r, readyq.READ + readyq.EDGE, {})
        for _ in q:wait(0) do end
        q:wait(0.3)
    end)
    equal(count(warnings, "5 bytes have been left unread for 0%.%d+ s,.-%(data=table: "), 1)
end

function T.test_a_signal_that_becomes_blocked()
    local USR1 = 10
    local warnings = warnings_with(function(q)
        q:add_signal("USR1")
        unix.block(USR1, true)
        q:wait(0.2)
        q:wait(0.2)
    end)
    unix.block(USR1, false)
    equal(count(warnings, "is blocked in every thread"), 1)
end

function T.test_a_signal_that_is_blocked_when_it_is_added_is_warned_of_once()
    local USR1 = 10
    unix.block(USR1, true)
    local warnings = warnings_with(function(q)
        q:add_signal("USR1")
        q:wait(0.2)
    end)
    unix.block(USR1, false)
    equal(count(warnings, "is blocked in every thread"), 1)
end

function T.test_wrong_options_are_refused()
    local function refuses(debug, why)
        local ok, message = pcall(readyq.new, {debug = debug})
        equal(ok, false)
        assert(message:find("bad argument #1 to .*" .. why), message)
    end
    refuses(1, "debug must be true, false or a table of thresholds")
    refuses({speed = "x"}, "no such threshold: 'speed'")
    refuses({true}, "no such threshold")
    refuses({turns = 0}, "debug.turns must be at least 1")
    refuses({turns = "x"}, "debug.turns: number expected, got string")
    refuses({turns = 1.5}, "debug.turns is not an integer: 1.5")
    refuses({turns = 2 ^ 40}, "debug.turns is out of range")
    refuses({turn = -1}, "debug.turn: %-1.* is not a number of seconds >= 0")
    refuses({rest = "soon"}, "debug.rest: number expected, got string")
    assert(readyq.new {debug = false}):close()
end

return T
