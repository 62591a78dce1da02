-- SPDX-License-Identifier: MIT
--
-- Descriptors that were closed before their watch was removed, and numbers that are reused.
local readyq = require "readyq"
local things = require "things"
local unix = require "unix"
local equal = things.equal

local T = {}

-- A pipe whose reading end has the number `fd`.
local function pipe_at(fd)
    local r, w = things.pipe()
    if r ~= fd then
        unix.dup2(r, fd)
        things.close(r)
    end
    return w
end

-- How many ghosts result from a close before the removal while a duplicate exists: only epoll
-- still reports the file.
local function ghosts_on(q) return q:backend() == "epoll" and 1 or 0 end

function T.test_remove_after_close_succeeds()
    local q = readyq.new()
    local r = things.pipe()
    local watch = q:add(r, "r")
    things.close(r)
    equal(watch:remove(), true)
    equal(#q, 0)
end

function T.test_a_reused_number_can_be_added_and_the_old_watch_is_inactive()
    local q = readyq.new()
    local r = things.pipe()
    local old = q:add(r, "r", "old")
    things.close(r)
    local w = pipe_at(r)
    local new = assert(q:add(r, "r", "new"))
    equal(old.active, false)
    equal(old.data, "old")
    equal(new.active, true)
    equal(#q, 1)
    unix.write(w, "x")
    local watch, _, data = things.event(q)
    equal(watch, new)
    equal(data, "new")
    unix.close(r)
end

function T.test_a_watch_that_went_stale_is_in_no_queue()
    local q = readyq.new()
    local r = things.pipe()
    local old = q:add(r, "r")
    things.close(r)
    pipe_at(r)
    q:add(r, "r")
    equal(old:remove(), false)
    equal(old.active, false)
    equal(#q, 1)
    unix.close(r)
end

function T.test_a_closed_file_does_not_fire_for_another()
    local q = readyq.new()
    local r, w = things.pipe()
    q:add(r, "r", "old")
    unix.write(w, "x")
    things.close(r)
    local other = pipe_at(r)
    things.nothing(q)
    unix.write(other, "y")
    things.nothing(q)
    unix.close(r)
end

function T.test_a_stale_watch_is_released()
    local q = readyq.new()
    local seen = setmetatable({}, {__mode = "k"})
    local r = things.pipe()
    seen[q:add(r, "r")] = true
    things.close(r)
    pipe_at(r)
    q:add(r, "r")
    collectgarbage()
    collectgarbage()
    equal(next(seen), nil)
    unix.close(r)
end

function T.test_a_ghost_does_not_spin_and_is_counted()
    local q = readyq.new()
    local r, w = things.pipe()
    local watch = q:add(r, "r")
    local twin = things.dup(r)
    things.close(r)
    watch:remove()
    unix.write(w, "x")
    local start = unix.now()
    things.nothing(q, 0.05)
    assert(unix.now() - start >= 0.05)
    equal(q:stats().ghosts, ghosts_on(q))
    equal(q:stats().ghost_fd, ghosts_on(q) == 1 and r or nil)
    equal(q:stats().rebuilds, ghosts_on(q))
    equal(unix.read(twin), "x")
end

function T.test_the_others_are_unharmed_by_a_ghost()
    local q = readyq.new()
    local r, w = things.pipe()
    q:add(things.eventfd(1), readyq.READ + readyq.EDGE, "edge")
    q:add(things.eventfd(1), "r", "level")
    local ghost = q:add(r, "r")
    things.dup(r)
    things.close(r)
    ghost:remove()
    unix.write(w, "x")
    local seen = {}
    for _ = 1, 5 do
        for _, event in ipairs(things.events(q)) do
            seen[event.data] = (seen[event.data] or 0) + 1
        end
    end
    equal(seen.edge, 1)
    equal(seen.level, 5)
end

local function make_a_ghost()
    local q = readyq.new()
    local r, w = things.pipe()
    local watch = q:add(r, "r")
    things.dup(r)
    things.close(r)
    watch:remove()
    unix.write(w, "x")
    for _ = 1, 3 do things.nothing(q) end
    return r, ghosts_on(q)
end

function T.test_there_is_one_warning_of_a_ghost()
    local warnings, r, ghosts = things.warnings(make_a_ghost)
    local warning = "readyq: fd " .. r .. " was closed before its watch was removed"
    local _, count = warnings:gsub(warning, "")
    equal(count, ghosts)
end

function T.test_check_tells_what_the_kernel_watches_and_the_queue_does_not()
    local q = readyq.new()
    if q:backend() == "kqueue" then
        error({skip = "kqueue has no ghosts, and does not list what it watches: Linux does"})
    end
    local reader, writer = things.pipe()
    local watch = q:add(reader, "r")
    equal(#q:check(), 0)
    local copy = things.dup(reader)
    things.close(reader)
    watch:remove()
    equal(#q:check(), 1)
    local ghost = "fd %d: the kernel still watches it, but the queue does not (a ghost)"
    equal(q:check()[1], ghost:format(reader))
    things.close(copy)
    equal(#q:check(), 0)
    q:close()
    things.close(writer)
end

return T
