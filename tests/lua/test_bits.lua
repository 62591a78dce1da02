-- SPDX-License-Identifier: MIT
--
-- The meaning of the ready bits, and the modes of interest.
local readyq = require "readyq"
local things = require "things"
local unix = require "unix"
local equal = things.equal

local T = {}

function T.test_the_end_of_a_pipe_is_readable_and_read_closed()
    local q = readyq.new()
    local r, w = things.pipe()
    q:add(r, "r")
    things.close(w)
    local watch = things.event(q)
    assert(watch.readable and watch:has(readyq.READ_CLOSED))
    equal(unix.read(r), "")
end

function T.test_bytes_before_the_end_are_still_there()
    local q = readyq.new()
    local a, b = things.pair()
    q:add(a, "r")
    unix.write(b, "last")
    things.close(b)
    local watch = things.event(q)
    assert(watch:has("r") and watch:has(readyq.READ_CLOSED))
    equal(unix.read(a), "last")
    assert(things.event(q).readable)
    equal(unix.read(a), "")
end

function T.test_half_a_close_leaves_the_other_half_writable()
    local q = readyq.new()
    local a, b = things.pair()
    q:add(a, "rw")
    unix.shutdown(b)
    local watch = things.event(q)
    assert(watch:has(readyq.READ_CLOSED) and watch.writable)
    assert(not watch:has(readyq.WRITE_CLOSED) and not watch:has(readyq.ERROR))
end

function T.test_a_writer_whose_reader_is_gone_wakes_though_the_pipe_is_full()
    local q = readyq.new()
    local r, w = things.pipe()
    q:add(w, "w")
    things.fill(w)
    things.nothing(q)
    things.close(r)
    local watch = things.event(q)
    assert(watch.writable and watch:has(readyq.WRITE_CLOSED))
end

function T.test_closed_bits_come_only_with_their_direction()
    local q = readyq.new()
    local a, b = things.pair()
    q:add(a, "w")
    unix.shutdown(b)
    local _, ready = things.event(q)
    equal(ready, readyq.WRITE)
end

function T.test_a_reset_is_an_error_in_every_direction()
    local q = readyq.new()
    local server, client = things.tcp()
    q:add(server, "rw")
    things.reset(client)
    local watch = things.event(q)
    while not watch:has(readyq.ERROR) do watch = things.event(q) end
    assert(watch.readable and watch.writable)
end

function T.test_urgent_data_is_priority()
    local q = readyq.new()
    local server, client = things.tcp()
    local watch = q:add(server, "p")
    things.nothing(q)
    unix.send_urgent(client, "!")
    equal(things.event(q), watch)
    equal(watch.ready, readyq.PRIORITY)
end

function T.test_interest_0_pauses_even_errors()
    local q = readyq.new()
    local r, w = things.pipe()
    local watch = q:add(r, 0)
    equal(watch.armed, false)
    unix.write(w, "x")
    things.close(w)
    things.nothing(q)
    assert(watch:modify("r"))
    equal(watch.armed, true)
    things.event(q)
    assert(watch:modify(""))
    things.nothing(q)
end

function T.test_edge_is_reported_once_per_arrival()
    local q = readyq.new()
    local r, w = things.pipe()
    q:add(r, readyq.READ + readyq.EDGE)
    unix.write(w, "x")
    things.event(q)
    things.nothing(q)
    unix.write(w, "y")
    things.event(q)
    things.nothing(q)
end

function T.test_oneshot_is_silent_until_modified()
    local q = readyq.new()
    local r, w = things.pipe()
    local watch = q:add(r, readyq.READ + readyq.ONESHOT)
    unix.write(w, "x")
    things.event(q)
    equal(watch.armed, false)
    unix.write(w, "y")
    things.nothing(q)
    assert(watch:modify(readyq.READ + readyq.ONESHOT))
    equal(watch.armed, true)
    equal(things.event(q), watch)
    things.nothing(q)
end

function T.test_exclusive_wakes_at_least_one_queue()
    local one, two = readyq.new(), readyq.new()
    local r, w = things.pipe()
    one:add(r, readyq.READ + readyq.EXCLUSIVE)
    two:add(r, readyq.READ + readyq.EXCLUSIVE)
    unix.write(w, "x")
    assert(#things.events(one) + #things.events(two) >= 1)
end

function T.test_has_asks_for_any_of_the_bits()
    local q = readyq.new()
    q:add(things.pair(), "w")
    local watch = things.event(q)
    assert(watch:has("w") and watch:has("rw") and watch:has(readyq.WRITE + readyq.ERROR))
    assert(not watch:has("r") and not watch:has(0))
end

return T
