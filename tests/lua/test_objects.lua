-- SPDX-License-Identifier: MIT
--
-- Queue and watch as Lua objects: fields, length, iteration, texts, closing, tracing.
local readyq = require "readyq"
local things = require "things"
local unix = require "unix"
local equal, raises = things.equal, things.raises

local T = {}

function T.test_a_new_watch_shows_what_was_added()
    local q = readyq.new()
    local r = things.pipe()
    local watch = q:add(r, readyq.READ + readyq.EDGE, "data")
    equal(watch.queue, q)
    equal(watch.kind, "fd")
    equal(watch.fd, r)
    equal(watch.source, r)
    equal(watch.data, "data")
    equal(watch.interest, readyq.READ + readyq.EDGE)
    equal(watch.ready, 0)
    equal(watch.active, true)
    equal(watch.armed, true)
    equal(watch.status, nil)
    equal(watch.readable, false)
    equal(watch.writable, false)
    equal(watch.colour, nil)
end

function T.test_read_is_asked_for_by_default()
    local q = readyq.new()
    local here, there = things.pair()
    local watch = q:add(here, nil, "mine")
    equal(watch.interest, readyq.READ)
    equal(watch.data, "mine")
    equal(q:add(there).interest, readyq.READ)
end

function T.test_a_delivered_watch_shows_what_was_found()
    local q = readyq.new()
    q:add(things.pair(), "rw")
    local watch = things.event(q)
    equal(watch.ready, readyq.WRITE)
    equal(watch.count, 1)
    equal(watch.readable, false)
    equal(watch.writable, true)
    watch:remove()
    equal(watch.ready, 0)
    equal(watch.active, false)
    equal(watch.armed, false)
end

function T.test_a_timer_has_no_descriptor_and_no_source()
    local watch = readyq.new():add_timer(1)
    equal(watch.kind, "timer")
    equal(watch.fd, nil)
    equal(watch.source, nil)
    equal(watch.data, nil)
    equal(watch.period, nil)
    assert(watch.due > watch.queue:now())
end

function T.test_pairs_gives_each_watch_with_its_data()
    local q = readyq.new()
    for i = 1, 5 do q:add_timer(i, i) end
    local sum, count = 0, 0
    for watch, data in q:watches() do
        equal(watch.data, data)
        sum, count = sum + data, count + 1
    end
    equal(sum, 15)
    equal(count, #q)
    if _VERSION ~= "Lua 5.1" then
        for _, data in pairs(q) do sum = sum - data end
        equal(sum, 0)
    end
end

function T.test_watches_may_be_removed_and_added_while_walking_through()
    local q = readyq.new()
    for i = 1, 10 do q:add_timer(i, i) end
    for watch, data in q:watches() do
        if data <= 10 then
            watch:remove()
            q:add_timer(100, 100 + data)
        end
    end
    equal(#q, 10)
    for _, data in q:watches() do assert(data > 100) end
end

function T.test_tostring_shows_what_a_watch_is()
    local q = readyq.new()
    local r, w = things.pipe()
    local watch = q:add(r, "r")
    equal(tostring(watch), "readyq.watch: fd " .. r .. " (pipe) interest READ")
    unix.write(w, "x")
    things.event(q)
    equal(tostring(watch), "readyq.watch: fd " .. r .. " (pipe) interest READ, ready READ")
    watch:modify("")
    assert(tostring(watch):find("interest 0 (paused)", 1, true))
    watch:remove()
    equal(tostring(watch), "readyq.watch: fd " .. r .. ", inactive")
    equal(tostring(q:add_signal("TERM")), "readyq.watch: signal 15")
    equal(tostring(q:add_timer(1)), "readyq.watch: timer")
    equal(tostring(q), "readyq.queue: " .. q:backend() .. ", watches: 2")
end

function T.test_a_queue_names_its_backend()
    local has_epoll = unix.is_linux() and not os.getenv("KQUEUE_AS")
    equal(readyq.new():backend(), has_epoll and "epoll" or "kqueue")
end

function T.test_stats_count()
    local q = readyq.new()
    q:add(things.eventfd(1), "r")
    things.event(q)
    local stats = q:stats()
    equal(stats.watches, 1)
    equal(stats.deliveries, 1)
    assert(stats.waits >= 1 and stats.kernel_waits >= 1 and stats.changes >= 0)
    equal(stats.ghosts, 0)
    equal(stats.ghost_fd, nil)
end

function T.test_bits_and_version_are_in_the_module()
    equal(readyq.READ + readyq.WRITE + readyq.PRIORITY, 7)
    equal(readyq.FIRED, 128)
    equal(readyq.EDGE + readyq.ONESHOT + readyq.EXCLUSIVE, 1792)
    assert(readyq.VERSION:find("^%d+%.%d+%.%d+$")) -- test_install compares it with the header
end

function T.test_close_gives_up_every_descriptor()
    local before = unix.count_open()
    local q = readyq.new()
    q:fileno()
    q:add_signal("USR1")
    q:add_timer(1)
    assert(unix.count_open() > before)
    q:close()
    equal(unix.count_open(), before)
end

function T.test_a_variable_that_closes_closes_the_queue()
    local function scope(fail)
        local q = readyq.new()
        if _VERSION ~= "Lua 5.4" then getmetatable(q).__close(q) return q end
        local ok = pcall(assert(load("local q <close> = ... if select(2, ...) then error() end")),
            q, fail)
        equal(ok, not fail)
        return q
    end
    equal(scope(false):closed(), true)
    equal(scope(true):closed(), true)
end

local function traced(q)
    local lines = {}
    q:trace(function(line) lines[#lines + 1] = line end)
    return lines
end

function T.test_trace_shows_each_call_and_delivery()
    local q = readyq.new()
    local lines = traced(q)
    local r, w = things.pipe()
    local watch = q:add(r, "r")
    unix.write(w, "x")
    things.event(q, 1.5)
    watch:modify("rw")
    watch:remove()
    watch:remove()
    q:add_timer(5):restart(6)
    q:wake()
    things.nothing(q, 0)
    q:trace(nil)
    q:wake()
    local name = "fd " .. r .. " (pipe) interest "
    equal(table.concat(lines, "\n"), table.concat({
        "readyq: add " .. name .. "READ",
        "readyq: wait (1.5 s): 1 ready",
        "readyq: ready " .. name .. "READ, ready READ",
        "readyq: modify " .. name .. "READ|WRITE, ready READ",
        "readyq: remove fd " .. r .. ", inactive",
        "readyq: add_timer timer",
        "readyq: restart timer",
        "readyq: wake",
        ("readyq: wait (%s s): 0 ready"):format(0.0),
    }, "\n"))
end

function T.test_trace_shows_a_wait_without_an_end()
    local q = readyq.new()
    q:add_trigger():fire()
    local lines = traced(q)
    for _ in q:wait() do end
    equal(lines[#lines - 1], "readyq: wait (forever): 1 ready")
end

function T.test_trace_shows_what_the_core_does()
    local q = readyq.new()
    local r = things.pipe()
    q:add(r, "r")
    local lines = traced(q)
    unix.dup2(things.pair(), r)
    q:add(r, "w")
    equal(#lines, 2)
    assert(lines[1]:find("^readyq: remove fd " .. r), lines[1])
    assert(lines[2]:find("^readyq: add fd " .. r .. " %(UNIX socket.-interest WRITE"), lines[2])
end

function T.test_a_tracer_may_end_the_trace()
    local q = readyq.new()
    local lines = {}
    local trigger = q:add_trigger()
    q:trace(function(line)
        lines[#lines + 1] = line
        q:trace(nil)
    end)
    trigger:fire()
    equal(things.event(q, 0), trigger)
    equal(table.concat(lines, "\n"), "readyq: fire trigger")
end

function T.test_trace_shows_what_a_coroutine_and_dispatch_take()
    local q = readyq.new()
    local trigger, called = q:add_trigger(function() end), 0
    local lines = traced(q)
    trigger:fire()
    q:dispatch(0)
    for _, line in ipairs(lines) do
        called = called + (line:find("^readyq: ready trigger") and 1 or 0)
    end
    equal(called, 1)
end

function T.test_a_tracer_may_close_the_queue()
    for _, name in ipairs {"add_timer", "wait"} do
        local q = readyq.new()
        q:trace(function() q:close() end)
        q[name](q, 0)
        equal(q:closed(), true)
    end
end

function T.test_trace_writes_lines_to_a_file()
    local q = readyq.new()
    local file = io.tmpfile()
    q:trace(file)
    q:add_trigger():fire()
    file:seek("set")
    equal(file:read("*a"), "readyq: add_trigger trigger\nreadyq: fire trigger\n")
    file:close()
    raises("open io file or function expected, got closed file", q.trace, q, file)
    raises("open io file or function expected, got number", q.trace, q, 5)
    raises("open io file or function expected, got userdata", q.trace, q, q)
end

function T.test_a_tracer_may_use_the_queue()
    local q = readyq.new()
    local count = 0
    q:trace(function() count = count + #q q:wake() end)
    q:add_timer(1)
    equal(count, 1)
end

function T.test_an_error_of_the_tracer_is_a_warning_and_changes_no_call()
    local q = readyq.new()
    local trigger, timer, got
    local warnings = things.warnings(function()
        q:trace(function(line) error(line:find("timer") and {} or "full disk", 0) end)
        trigger, timer = q:add_trigger("mail"), q:add_timer(9)
        equal(trigger:fire(), true)
        got = select(3, things.event(q, 1))
        equal(timer:remove(), true)
    end)
    equal(got, "mail")
    equal(#q, 1)
    equal(select(2, warnings:gsub("readyq: error in the tracer: full disk\n", "")), 4)
    equal(select(2, warnings:gsub("readyq: error in the tracer: table\n", "")), 2)
end

function T.test_a_line_that_cannot_be_written_is_a_warning()
    local full = io.open("/dev/full", "w")
    if not full then error({skip = "needs /dev/full (Linux)"}) end
    full:setvbuf("no")
    local q = readyq.new()
    local warnings = things.warnings(function()
        q:trace(full)
        q:add_trigger()
    end)
    full:close()
    assert(warnings:find("readyq: error in the tracer: .*[Nn]o space left"), warnings)
end

-- A strict program refuses to read globals that do not exist. Lua before 5.4 has no `warn`.
function T.test_a_warning_reads_no_global_through_a_metamethod()
    local q = readyq.new()
    local reads, kind = 0, getmetatable(_G)
    q:trace(function() error("full disk") end)
    setmetatable(_G, {__index = function() reads = reads + 1 end})
    q:add_trigger()
    setmetatable(_G, kind)
    equal(reads, 0)
end

return T
