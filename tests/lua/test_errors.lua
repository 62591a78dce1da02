-- SPDX-License-Identifier: MIT
--
-- Misuse raises and names the argument; a failed system call returns nil, message, errno; neither
-- changes anything.
local readyq = require "readyq"
local things = require "things"
local unix = require "unix"
local raises, fails, equal = things.raises, things.fails, things.equal

local EBADF, EEXIST, ENOENT, ESRCH, EMFILE, ESHUTDOWN = 9, 17, 2, 3, 24, 108
local NAN = 0 / 0

local T = {}

local function method(name, ...)
    local q = readyq.new()
    return q[name](q, ...)
end

function T.test_a_descriptor_must_be_a_whole_number_in_range()
    for _, fd in ipairs {-1, 1.5, 2 ^ 31, 2 ^ 53, -2 ^ 40, math.huge, NAN} do
        raises("#1 to 'add' %(it is .*, which is not a descriptor%)", function()
            local q = readyq.new()
            q:add(fd, "r")
        end)
    end
end

function T.test_a_source_must_be_a_number_or_an_object()
    for _, source in ipairs {"7", true, print, coroutine.create(function() end)} do
        raises("integer, io file, or object with getfd", method, "add", source, "r")
    end
    raises("integer, io file, or object with getfd", method, "add")
    raises("it has no getfd, fileno or pollfd", method, "add", {}, "r")
    raises("got userdata", method, "add", readyq.new():add_trigger():handle(), "r")
end

function T.test_an_object_must_give_a_descriptor()
    local function give(value) return {getfd = function() return value end} end
    local none = "its getfd returns %-1: it is closed, or not yet bound or connected"
    raises(none, method, "add", give(-1), "r")
    raises("its getfd returns %-2", method, "add", give(-2), "r")
    raises("its getfd returns 1.5", method, "add", give(1.5), "r")
    raises("its getfd returns nil", method, "add", give(nil), "r")
    raises("its getfd returns a string", method, "add", give("7"), "r")
    raises("its fileno is a table", method, "add", {fileno = {}}, "r")
    raises("its pollfd is %-1", method, "add", {pollfd = -1}, "r")
    raises("inside", method, "add", {getfd = function() error("inside") end}, "r")
end

function T.test_a_closed_file_is_described_as_closed()
    local file = io.tmpfile()
    file:close()
    local other = io.tmpfile()
    raises("the file is closed", method, "add", file, "r")
    other:close()
end

function T.test_an_interest_must_be_valid()
    local fd = things.eventfd(1)
    raises("'rx' has letters other than r, w and p", method, "add", fd, "rx")
    raises("'1' has letters other", method, "add", fd, "1")
    for _, interest in ipairs {1.5, -1, 2 ^ 32, NAN, true, {}} do
        raises("interest expected %(the letters r, w and p", method, "add", fd, interest)
    end
    for _, bits in ipairs {readyq.FIRED, readyq.READ_CLOSED, readyq.ERROR, readyq.EDGE, 2 ^ 20} do
        raises("#3 to .*the interest is not valid.* combine READ", method, "add", fd, bits)
    end
end

function T.test_a_wrong_interest_of_modify_changes_nothing()
    local q = readyq.new()
    local watch = q:add(things.eventfd(1), "r")
    local invalid = "to 'modify' %(modify%(%) failed for descriptor.*the interest is not valid"
    raises("#1 " .. invalid, function() watch:modify(readyq.FIRED) end)
    raises("#2 " .. invalid, function() q:modify(watch, readyq.FIRED) end)
    raises("#1 to 'modify' %(interest expected .*, got no value", function() watch:modify() end)
    raises("#2 to 'modify' %(interest expected .*, got nil", function() q:modify(watch) end)
    equal(watch.interest, readyq.READ)
    things.event(q)
end

function T.test_only_a_descriptor_has_an_interest()
    local q = readyq.new()
    local timer = q:add_timer(1)
    raises("it is not a descriptor's watch", timer.modify, timer, "r")
    raises("it is not a descriptor's watch", q.modify, q, timer, "r")
end

function T.test_a_timeout_must_be_a_number_of_seconds()
    for _, timeout in ipairs {NAN, -1, -0.001, -math.huge} do
        raises("is not a number of seconds >= 0", method, "wait", timeout)
        raises("is not a number of seconds >= 0", method, "dispatch", timeout)
        raises("is not a number of seconds >= 0", method, "add_timer", timeout)
        raises("is not a number of seconds >= 0", method, "add_timer", 1, nil, timeout)
    end
    raises("number expected", method, "wait", {})
    raises("number expected", method, "add_timer")
end

function T.test_a_maximum_must_be_at_least_1()
    raises("at least 1", method, "wait", 0, 0)
    raises("at least 1", method, "wait", 0, -1)
    raises("the maximum is out of range: 1099511627776", method, "wait", 0, 2 ^ 40)
    raises("the maximum is out of range", method, "wait", 0, math.huge)
    raises("the maximum is not an integer: 1.5", method, "wait", 0, 1.5)
    raises("the maximum is not an integer", method, "wait", 0, NAN)
    raises("number expected", method, "wait", 0, "all")
end

function T.test_a_second_add_fails_and_changes_nothing()
    local q = readyq.new()
    local r, w = things.pipe()
    local watch = q:add(r, "r", "first")
    fails("descriptor " .. r .. " %(pipe%).*already watches", EEXIST, q:add(r, "w", "second"))
    equal(#q, 1)
    equal(watch.interest, readyq.READ)
    unix.write(w, "x")
    equal(select(3, things.event(q)), "first")
end

function T.test_a_descriptor_that_is_not_open_fails()
    local q = readyq.new()
    fails("descriptor 999 %(closed%)", EBADF, q:add(999, "r"))
    equal(#q, 0)
    local r = things.pipe()
    local watch = q:add(r, "r")
    things.close(r)
    fails("it was closed", EBADF, watch:modify("w"))
    equal(watch.interest, readyq.READ)
end

function T.test_an_unknown_watch_fails()
    local q = readyq.new()
    local r = things.pipe()
    local unknown = "%(%) failed for descriptor " .. r .. " %(pipe%): this queue does not watch it"
    fails("remove" .. unknown, ENOENT, q:remove(r))
    fails("modify" .. unknown, ENOENT, q:modify(r, "r"))
    local watch = q:add(r, "r")
    equal(watch:remove(), true)
    fails("the watch was removed", ENOENT, watch:modify("r"))
    fails("the watch was removed", ENOENT, q:modify(watch, "r"))
    fails("remove" .. unknown, ENOENT, q:remove(r))
    equal(q:get(r), nil)
end

function T.test_the_number_of_a_watch_that_was_removed_is_not_described()
    local q = readyq.new()
    local r = things.pipe()
    local watch = q:add(r, "r")
    watch:remove()
    local removed = "^modify%(%) failed for descriptor " .. r .. ": the watch was removed"
    fails(removed, ENOENT, watch:modify("r"))
    fails(removed, ENOENT, q:modify(watch, "r"))
end

function T.test_a_watch_of_another_queue_is_refused()
    local one, two = readyq.new(), readyq.new()
    local watch = one:add(things.eventfd(1), "r")
    for _, name in ipairs {"remove", "modify", "get"} do
        raises("the watch is in another queue", two[name], two, watch, "r")
    end
    equal(#one, 1)
end

function T.test_every_call_on_a_closed_queue_raises()
    local q = readyq.new()
    local watch = q:add(things.eventfd(1), "r")
    equal(q:close(), true)
    equal(q:close(), true)
    for _, name in ipairs {"add", "add_timer", "add_signal", "add_process", "add_trigger", "wait",
            "dispatch", "wake", "modify", "remove", "fileno", "pollfd", "events", "timeout",
            "backend", "stats", "trace", "get", "watches", "now"} do
        raises("attempt to use a closed readyq.queue", q[name], q, 1, "r")
    end
    raises("attempt to use a closed readyq.queue", function() return #q end)
    equal(q:closed(), true)
    equal(tostring(q), "readyq.queue: closed")
    equal(watch.active, false)
    equal(watch:remove(), false)
end

function T.test_methods_refuse_other_objects()
    local q = readyq.new()
    local watch = q:add_timer(1)
    local light = q:add_trigger():handle()
    for _, other in ipairs {1, "x", {}, io.stdout, watch, light} do
        raises("readyq.queue expected, got", q.wait, other)
    end
    for _, other in ipairs {1, "x", {}, io.stdout, q, light} do
        raises("readyq.watch expected, got", watch.remove, other)
    end
    raises("readyq.queue expected", q.wait)
end

function T.test_options_are_checked()
    raises("table expected", readyq.new, 5)
    raises("unknown option 'colour'", readyq.new, {colour = "red"})
    raises("clock must be a string, 'real' or 'virtual', not a num", readyq.new, {clock = 5})
    raises("the name of an option is a string .* not a number", readyq.new, {"epoll"})
    raises("#1 to .*clock must be 'real' or 'virtual', not 'lunar'", readyq.new, {clock = "lunar"})
end

function T.test_signals_that_cannot_be_caught_are_refused()
    local reasons = {
        ["there is no such signal"] = {0, -1, 1000},
        ["this signal cannot be caught; SIGKILL, SIGSTOP"] = {9, 19, "KILL", "SIGSTOP"},
        ["the thread cannot continue after this signal"] = {11, "SEGV", "BUS"},
    }
    for reason, signals in pairs(reasons) do
        for _, signal in ipairs(signals) do raises(reason, method, "add_signal", signal) end
    end
    raises("no signal is called 'SIGFOO'", method, "add_signal", "SIGFOO")
    raises("out of range", method, "add_signal", 2 ^ 40)
    raises("string expected", method, "add_signal", {})
end

function T.test_processes_must_exist()
    local q = readyq.new()
    for _, pid in ipairs {0, -1, -5} do
        raises("a process id is greater than 0", q.add_process, q, pid)
    end
    raises("out of range", q.add_process, q, 2 ^ 40)
    raises("number expected", q.add_process, q, "1")
    local pid = unix.fork()
    if pid == 0 then unix.exit(0) end
    unix.waitpid(pid)
    fails("no such process", ESRCH, q:add_process(pid))
    equal(#q, 0)
end

function T.test_only_a_trigger_that_is_in_a_queue_can_be_fired()
    local q = readyq.new()
    local timer, trigger = q:add_timer(1), q:add_trigger()
    raises("it is not a trigger", timer.fire, timer)
    raises("only a trigger has a handle", timer.handle, timer)
    trigger:remove()
    fails("the watch was removed", ENOENT, trigger:fire())
    raises("the handle of a trigger is expected", readyq.fire, 5)
end

function T.test_only_a_timer_that_was_not_removed_can_be_restarted()
    local q = readyq.new()
    local timer, trigger = q:add_timer(1), q:add_trigger()
    raises("it is not a timer", trigger.restart, trigger, 1)
    for _, delay in ipairs {NAN, -1, -math.huge} do
        raises("is not a number of seconds >= 0", timer.restart, timer, delay)
    end
    raises("number expected", timer.restart, timer)
    timer:remove()
    fails("the watch was removed", ENOENT, timer:restart(1))
    equal(timer.active, false)
    local fired = q:add_timer(0)
    things.event(q)
    equal(fired:remove(), false)
    fails("restart%(%) failed", ENOENT, fired:restart(1))
    for watch in q:watches() do equal(watch, trigger) end
    local late = q:add_timer(0)
    things.event(q)
    q:close()
    fails("the queue is closed", ESHUTDOWN, late:restart(1))
    equal(late.active, false)
end

function T.test_a_full_descriptor_table_fails_and_leaks_nothing()
    local fill, before = {}, readyq.new()
    unix.limit_files(unix.count_open() + 20)
    while true do
        local fd = unix.dup(0)
        if not fd then break end
        fill[#fill + 1] = fd
    end
    for _ = 1, 3 do fails("no descriptors left", EMFILE, readyq.new()) end
    fails("no descriptors left", EMFILE, before:fileno())
    for _, fd in ipairs(fill) do unix.close(fd) end
    local q = assert(readyq.new())
    q:close()
    assert(before:fileno() >= 0)
    before:close()
end

-- A child ends by os.exit() and not by unix.exit(), so that its coverage is counted.
local function in_child(check)
    local pid = unix.fork()
    if pid == 0 then
        local ok, problem = pcall(check)
        if not ok then io.stderr:write(tostring(problem), "\n") end
        os.exit(ok and 0 or 1)
    end
    equal(unix.waitpid(pid), 0)
end

function T.test_a_child_that_cannot_open_a_queue_gets_that_error_from_every_call_until_it_can()
    local q = readyq.new()
    local r, w = things.pipe()
    local watch, trigger = q:add(r, "r", "pipe"), q:add_trigger("mail")
    in_child(function()
        unix.limit_files(0)
        fails("no descriptors left", EMFILE, q:add(w, "w"))
        fails("no descriptors left", EMFILE, q:add_timer(0))
        fails("no descriptors left", EMFILE, q:add_signal("USR1"))
        fails("no descriptors left", EMFILE, q:add_process(unix.getpid()))
        fails("no descriptors left", EMFILE, q:add_trigger())
        fails("no descriptors left", EMFILE, q:modify(r, "rw"))
        fails("no descriptors left", EMFILE, watch:remove())
        fails("no descriptors left", EMFILE, q:fileno())
        raises("no descriptors left", q.wait, q, 0)
        raises("no descriptors left", q.dispatch, q, 0.01)
        equal(#q, 2)
        equal(watch.interest, readyq.READ)
        unix.limit_files(256)
        trigger:fire()
        unix.write(w, "x")
        local seen = {}
        while not (seen.pipe and seen.mail) do
            for _, _, data in q:wait(5) do seen[data] = true end
        end
    end)
end

-- Calls f(q) at a line of this file, which its error must name. The pattern is of what follows.
local function blames(pattern, f, q)
    raises("^[^\n]*test_errors.lua:" .. debug.getinfo(f, "S").linedefined .. ": " .. pattern, f, q)
end

function T.test_an_error_points_at_the_line_of_the_caller()
    local q = readyq.new()
    blames("bad argument #1 to 'dispatch' %(%-1", function(queue) queue:dispatch(-1) end, q)
    blames("bad argument #1 to 'dispatch' %(number", function(queue) queue:dispatch("x") end, q)
    blames("bad argument #2 to 'dispatch' %(the", function(queue) queue:dispatch(0, 0) end, q)
    blames("bad argument #1 to 'wait' %(%-1", function(queue) queue:wait(-1) end, q)
    blames("bad argument #1 to 'trace' %(open io", function(queue) queue:trace(3) end, q)
    q:close()
    for _, f in ipairs {
        function(queue) queue:dispatch(0) end, function(queue) queue:wait(0) end,
        function(queue) queue:trace(nil) end, function(queue) queue:add_trigger() end,
    } do
        blames("attempt to use a closed readyq.queue$", f, q)
    end
    local dispatch = q.dispatch
    blames("bad argument #1 to '?dispatch'? %(readyq.queue exp", function() dispatch(5) end, q)
end

function T.test_an_error_names_what_the_watch_watches()
    local q = readyq.new()
    local timer, signal, trigger = q:add_timer(9), q:add_signal("USR1"), q:add_trigger()
    raises("fire%(%) failed for a timer: it is not a trigger", timer.fire, timer)
    raises("restart%(%) failed for signal %d+: it is not a timer", signal.restart, signal, 1)
    timer:remove()
    fails("restart%(%) failed for a timer: the watch was removed", ENOENT, timer:restart(1))
    q:close()
    fails("fire%(%) failed for a trigger: the queue is closed", ESHUTDOWN, trigger:fire())
end

function T.test_a_dispatch_without_a_function_names_the_watch()
    local q = readyq.new()
    q:add_trigger():fire()
    raises("dispatch: readyq.watch: trigger.* has no function or coroutine", q.dispatch, q, 0)
end

function T.test_only_data_can_be_set_in_a_watch()
    local watch = readyq.new():add_trigger("old")
    watch.data = "new"
    equal(watch.data, "new")
    for _, name in ipairs {"interest", "ready", "fd", "queue", "colour", 1} do
        raises("field '[%w]+' of a readyq.watch cannot be set", function() watch[name] = 1 end)
    end
end

return T
