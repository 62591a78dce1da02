-- SPDX-License-Identifier: MIT
--
-- Signals and processes: real ones, from this process, its children and its forks.
local poor = require "poor"
local readyq = require "readyq"
local things = require "things"
local unix = require "unix"
local equal, fails = things.equal, things.fails

local INT, TERM, USR1, ALRM, KILL = 2, 15, 10, 14, 9

local T = {}

local function child(f)
    local pid = unix.fork()
    if pid ~= 0 then return pid end
    local ok = pcall(f)
    unix.exit(ok and 0 or 1)
end

function T.test_a_signal_is_delivered_with_its_count()
    local q = readyq.new()
    local watch = q:add_signal("USR1", "signal")
    equal(watch.kind, "signal")
    equal(watch.source, "USR1")
    equal(watch.fd, nil)
    things.nothing(q)
    unix.kill(unix.getpid(), USR1)
    local got, ready, data = things.event(q)
    equal(got, watch)
    equal(ready, readyq.FIRED)
    equal(data, "signal")
    equal(watch.count, 1)
    for _ = 1, 3 do unix.kill(unix.getpid(), USR1) end
    things.event(q)
    equal(watch.count, 3)
    things.nothing(q)
end

function T.test_names_with_and_without_sig_and_numbers_mean_the_same()
    local q = readyq.new()
    q:add_signal("TERM", 1)
    q:add_signal("SIGTERM", 2)
    q:add_signal(TERM, 3)
    unix.kill(unix.getpid(), TERM)
    equal(#things.events(q), 3)
end

function T.test_every_queue_that_watches_gets_the_signal()
    local one, two = readyq.new(), readyq.new()
    one:add_signal("USR1", 1)
    two:add_signal("USR1", 2)
    unix.kill(unix.getpid(), USR1)
    equal(select(3, things.event(one)), 1)
    equal(select(3, things.event(two)), 2)
end

function T.test_a_signal_from_outside_wakes_a_wait()
    local q = readyq.new()
    q:add_signal("TERM")
    local parent = unix.getpid()
    local pid = child(function()
        unix.sleep(0.02)
        unix.kill(parent, TERM)
    end)
    things.event(q)
    unix.waitpid(pid)
end

function T.test_the_action_before_comes_back_with_the_last_watch()
    assert(unix.is_default(USR1))
    local q = readyq.new()
    local one, two = q:add_signal("USR1"), q:add_signal("USR1")
    assert(not unix.is_default(USR1))
    one:remove()
    assert(not unix.is_default(USR1))
    two:remove()
    assert(unix.is_default(USR1))
end

function T.test_a_closed_and_a_collected_queue_leave_no_handler()
    local q = readyq.new()
    q:add_signal("USR1")
    q:close()
    assert(unix.is_default(USR1))
    readyq.new():add_signal("USR1")
    collectgarbage()
    collectgarbage()
    assert(unix.is_default(USR1))
end

function T.test_a_handler_from_before_a_watch_is_called_too()
    unix.handle(USR1)
    local q = readyq.new()
    local watch = q:add_signal("USR1")
    unix.kill(unix.getpid(), USR1)
    equal(unix.handled(), 1)
    things.event(q)
    watch:remove()
    unix.kill(unix.getpid(), USR1)
    equal(unix.handled(), 2)
    things.nothing(q)
end

function T.test_a_handler_that_replaces_ours_is_called_too()
    local q = readyq.new()
    q:add_signal("USR1", "first")
    unix.handle(USR1)
    q:add_signal("USR1", "second")
    unix.kill(unix.getpid(), USR1)
    equal(unix.handled(), 1)
    equal(#things.events(q), 2)
    unix.handle(USR1)
    q:add_timer(0.001)
    things.event(q) -- sleeps, and installs readyq's handler again
    unix.kill(unix.getpid(), USR1)
    equal(unix.handled(), 2)
    equal(#things.events(q), 2)
end

function T.test_a_wait_that_does_not_sleep_notices_a_handler_that_replaced_ours()
    local q = readyq.new()
    local watch = q:add_signal("USR1")
    unix.handle(USR1)
    things.nothing(q)
    unix.kill(unix.getpid(), USR1)
    equal(unix.handled(), 1)
    equal(things.event(q, 0), watch)
end

-- The handler is the one of the program that runs Lua.
function T.test_a_watched_ctrl_c_is_an_event_and_no_interruption()
    local q = readyq.new()
    for _, signal in ipairs {"INT", "SIGINT", INT} do
        local watch = q:add_signal(signal)
        unix.kill(unix.getpid(), INT)
        equal(things.event(q), watch)
        equal(watch:remove(), true)
    end
    things.raises("interrupted!", function()
        unix.kill(unix.getpid(), INT)
        for _ = 1, 1e6 do end
    end)
    things.nothing(q)
end

function T.test_another_signal_s_handler_that_interrupts_does_so_while_it_is_watched()
    unix.interrupt_on(TERM)
    local q = readyq.new()
    q:add_signal("TERM")
    things.raises("interrupted!", function()
        unix.kill(unix.getpid(), TERM)
        for _ = 1, 1e6 do end
    end)
    things.event(q)
end

function T.test_a_signal_that_is_blocked_in_every_thread_is_a_warning()
    local q = readyq.new()
    unix.block(USR1, true)
    local warnings, watch = things.warnings(function() return q:add_signal("USR1", "late") end)
    local _, count = warnings:gsub("readyq: signal 10 %(.-%) is blocked in every thread", "")
    equal(count, 1)
    equal(watch.active, true)
    unix.kill(unix.getpid(), USR1)
    things.nothing(q)
    unix.block(USR1, false)
    equal(select(3, things.event(q)), "late")
    warnings = things.warnings(function() return q:add_signal("USR1") end)
    equal(warnings:find("blocked"), nil)
end

function T.test_a_process_that_ends_is_delivered_with_its_status()
    local q = readyq.new()
    local pid = child(function()
        unix.sleep(0.02)
        unix.exit(7)
    end)
    local watch = q:add_process(pid, "child")
    equal(watch.kind, "process")
    equal(watch.source, pid)
    equal(watch.status, nil)
    local got, ready, data = things.event(q)
    equal(got, watch)
    equal(ready, readyq.FIRED)
    equal(data, "child")
    equal(watch.status, 7 * 256)
    equal(watch.active, false)
    equal(#q, 0)
    equal(unix.waitpid(pid), 7 * 256)
end

function T.test_a_zombie_is_delivered_at_once_and_not_reaped()
    local q = readyq.new()
    local pid = child(function() unix.kill(unix.getpid(), KILL) end)
    unix.sleep(0.05)
    local watch = q:add_process(pid)
    things.event(q)
    equal(watch.status, KILL)
    equal(unix.waitpid(pid), KILL)
    fails("no such process", 3, q:add_process(pid))
end

function T.test_many_children_each_come_once_with_their_status()
    local q = readyq.new()
    local statuses = {}
    for i = 1, 30 do
        local pid = child(function() unix.exit(i) end)
        assert(q:add_process(pid, i))
    end
    while #q > 0 do
        for watch, _, i in q:wait(5) do
            assert(not statuses[i])
            statuses[i] = watch.status
            unix.waitpid(watch.source)
        end
    end
    for i = 1, 30 do equal(statuses[i], i * 256) end
end

function T.test_a_forked_child_has_a_queue_of_its_own_with_the_same_watches()
    local q = readyq.new()
    local r, w = things.pipe()
    local watch = q:add(r, "r", "data")
    local pid = child(function()
        unix.write(w, "x")
        equal(select(3, things.event(q)), "data")
        assert(watch:remove())
        things.nothing(q)
        q:add_timer(0.001, "timer")
        equal(select(3, things.event(q)), "timer")
    end)
    equal(unix.waitpid(pid), 0)
    equal(#q, 1)
    equal(things.event(q), watch)
end

function T.test_a_child_that_closes_its_queue_leaves_the_parents_alone()
    local q = readyq.new()
    local r, w = things.pipe()
    q:add(r, readyq.READ + readyq.EDGE)
    local pid = child(function() q:close() end)
    equal(unix.waitpid(pid), 0)
    unix.write(w, "x")
    things.event(q)
end

-- Calls f() while signals come every 5 ms, and returns how long it took.
local function interrupted(f)
    local start = unix.now()
    unix.handle(ALRM)
    unix.alarm(0.005, 0.005)
    f()
    unix.alarm(0)
    return unix.now() - start
end

function T.test_interruptions_do_not_shorten_a_wait()
    local q = readyq.new()
    assert(interrupted(function() things.nothing(q, 0.06) end) >= 0.06)
end

function T.test_interruptions_do_not_end_a_wait_without_an_end()
    local q = readyq.new()
    q:add_timer(0.06, "timer")
    interrupted(function()
        for _, _, data in q:wait() do equal(data, "timer") end
    end)
    equal(#q, 0)
end

function T.test_a_hook_that_wants_very_many_steps_is_not_waited_for()
    local q, called = readyq.new(), 0
    debug.sethook(function() called = called + 1 end, "", 1e8)
    interrupted(function() things.nothing(q, 0.06) end)
    debug.sethook()
    equal(called, 0)
end

function T.test_interruptions_do_not_shorten_a_wait_in_a_coroutine()
    local q = readyq.new()
    local wait = coroutine.create(function() things.nothing(q, 0.06) end)
    assert(interrupted(function() assert(coroutine.resume(wait)) end) >= 0.06)
end

function T.test_a_coroutine_s_own_hook_has_its_turn_in_its_wait()
    local q = readyq.new()
    unix.handle(ALRM)
    local start = unix.now()
    unix.alarm(0.02, 0.02) -- again and again: one signal alone may come before the wait
    local ok, message = coroutine.resume(coroutine.create(function()
        debug.sethook(function() error("stopped by a hook") end, "", 5000)
        q:wait(30)
    end))
    unix.alarm(0)
    debug.sethook()
    equal(ok, false)
    assert(message:find("stopped by a hook"), message)
    assert(unix.now() - start < 20)
end

function T.test_dispatch_leaves_an_error_of_a_hook_unchanged()
    local q = readyq.new()
    unix.handle(ALRM)
    for _, problem in ipairs {{}, "file.lua:1: stopped"} do
        unix.alarm(0.02, 0.02)
        local ok, message = coroutine.resume(coroutine.create(function()
            debug.sethook(function() error(problem, 0) end, "", 5000)
            q:dispatch(30)
        end))
        unix.alarm(0)
        equal(ok, false)
        equal(message, problem)
    end
end

function T.test_a_hook_of_the_main_thread_that_raises_nothing_is_given_back_by_a_coroutine()
    local q, collected = readyq.new(), false
    local loop = coroutine.create(function()
        things.finalizer(function() collected = true end)
        local deadline = unix.now() + 20
        repeat q:wait(0.06) until collected or unix.now() > deadline
        return collected
    end)
    collectgarbage("stop")
    unix.handle(ALRM)
    unix.alarm(0.005, 0.005)
    poor.collect_always()
    local ok, in_time = coroutine.resume(loop)
    local hook = debug.gethook()
    debug.sethook()
    unix.alarm(0)
    equal(ok, true)
    equal(in_time, true)
    equal(hook, "external hook")
end

function T.test_a_count_hook_that_a_signal_sets_raises_in_the_wait()
    local q = readyq.new()
    unix.interrupt_on(ALRM)
    local start = unix.now()
    things.raises("interrupted!", function()
        unix.alarm(0.02)
        q:wait(30)
    end)
    assert(unix.now() - start < 20)
    things.nothing(q)
end

function T.test_a_hook_that_wants_many_steps_has_its_turn_in_a_wait_too()
    local q = readyq.new()
    unix.handle(ALRM)
    local start = unix.now()
    unix.alarm(0.02, 0.02)
    debug.sethook(function() error("stopped by a hook") end, "", 5000)
    local ok, message = pcall(q.wait, q, 30)
    debug.sethook()
    unix.alarm(0)
    equal(ok, false)
    assert(message:find("stopped by a hook"), message)
    assert(unix.now() - start < 20)
end

function T.test_an_interrupt_of_the_main_thread_reaches_a_wait_in_a_coroutine()
    local q = readyq.new()
    unix.interrupt_on(ALRM)
    local loop = coroutine.create(function() q:wait(30) end)
    local start = unix.now()
    local ok, first, second = pcall(function()
        unix.alarm(0.2) -- it must not come before the wait
        return coroutine.resume(loop)
    end)
    assert(unix.now() - start < 20)
    assert((ok and second or first):find("interrupted!"))
    for _ = 1, 1000 do things.nothing(q) end
end

function T.test_a_wait_in_a_hook_leaves_the_time_of_the_interrupted_wait()
    local q = readyq.new()
    local waits = 0
    unix.handle(ALRM)
    unix.alarm(0.02, 0.02)
    debug.sethook(function()
        waits = waits + 1
        if waits == 1 then q:wait(0) end
    end, "", 5000)
    local start = unix.now()
    things.nothing(q, 0.1)
    debug.sethook()
    unix.alarm(0)
    local took = unix.now() - start
    assert(took >= 0.1 and took < 10, took)
    assert(waits > 0)
end

function T.test_a_hook_may_close_the_queue_that_waits()
    local q = readyq.new()
    unix.handle(ALRM)
    unix.alarm(0.02, 0.02)
    debug.sethook(function() q:close() end, "", 5000)
    local ok, message = pcall(q.wait, q, 30)
    debug.sethook()
    unix.alarm(0)
    equal(ok, false)
    assert(message:find("closed readyq.queue"))
end

return T
