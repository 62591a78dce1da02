-- SPDX-License-Identifier: MIT
--
-- luaposix beside a queue: its forks, signals and descriptors.
local readyq = require "readyq"
local things = require "things"
local unix = require "unix"
local signal = things.need("posix.signal", "lua-posix")
local unistd = things.need("posix.unistd", "lua-posix")
local wait = things.need("posix.sys.wait", "lua-posix")
local equal = things.equal

local T = {}

function T.test_a_child_of_luaposix_is_watched_and_reaped()
    local q = readyq.new()
    local pid = unistd.fork()
    if pid == 0 then unistd._exit(3) end
    q:add_process(pid, "child")
    local watch, _, data = things.event(q)
    equal(data, "child")
    equal(watch.status, 3 * 256)
    local reaped, how, code = wait.wait(pid)
    equal(reaped, pid)
    equal(how, "exited")
    equal(code, 3)
end

function T.test_a_fork_of_luaposix_has_a_queue_of_its_own()
    local q = readyq.new()
    local r, w = unistd.pipe()
    local watch = q:add(r, "r")
    local pid = unistd.fork()
    if pid == 0 then
        watch:remove()
        q:close()
        unistd._exit(0)
    end
    wait.wait(pid)
    unistd.write(w, "x")
    equal(things.event(q), watch)
    unistd.close(r)
    unistd.close(w)
end

function T.test_a_signal_sent_by_luaposix_arrives()
    local q = readyq.new()
    q:add_signal("USR1")
    signal.kill(unistd.getpid(), signal.SIGUSR1)
    things.event(q)
end

function T.test_a_handler_of_luaposix_from_before_a_watch_runs_too()
    local q = readyq.new()
    local handled = 0
    signal.signal(signal.SIGUSR1, function() handled = handled + 1 end)
    local watch = q:add_signal("USR1")
    for turn = 1, 3 do
        signal.kill(unistd.getpid(), signal.SIGUSR1)
        equal(things.event(q), watch)
        equal(handled, turn)
    end
    watch:remove()
    signal.kill(unistd.getpid(), signal.SIGUSR1)
    things.nothing(q, 0.001)
    equal(handled, 4)
end

function T.test_a_handler_that_luaposix_puts_above_ours_runs_too()
    local q = readyq.new()
    local handled = 0
    local watch = q:add_signal("USR1")
    signal.signal(signal.SIGUSR1, function() handled = handled + 1 end)
    things.nothing(q, 0.001)
    for turn = 1, 3 do
        signal.kill(unistd.getpid(), signal.SIGUSR1)
        equal(things.event(q), watch)
        equal(handled, turn)
    end
    signal.signal(signal.SIGUSR1, signal.SIG_DFL)
    things.nothing(q, 0.001)
    signal.kill(unistd.getpid(), signal.SIGUSR1)
    things.event(q)
    equal(handled, 3)
end

-- A handler of luaposix for Ctrl-C, installed before or after the watch, is called like any other.
function T.test_a_watched_ctrl_c_calls_luaposix()
    for _, is_first in ipairs {true, false} do
        local q = readyq.new()
        local handled = 0
        local function install()
            signal.signal(signal.SIGINT, function() handled = handled + 1 end)
        end
        if is_first then install() end
        local watch = q:add_signal("INT")
        if not is_first then
            install()
            things.nothing(q, 0)
        end
        signal.kill(unistd.getpid(), signal.SIGINT)
        equal(things.event(q), watch)
        equal(handled, 1)
        q:close()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    end
end

function T.test_signals_of_luaposix_interrupt_and_do_not_shorten_a_wait()
    local q = readyq.new()
    local handled = 0
    signal.signal(signal.SIGALRM, function() handled = handled + 1 end)
    unistd.alarm(1)
    q:add_timer(1.2)
    things.event(q)
    equal(handled, 1)
end

function T.test_a_handler_of_luaposix_ends_a_wait_by_wake()
    local q = readyq.new()
    local handled
    local function wait_for_handler()
        handled = false
        local start = unix.now()
        unistd.alarm(1)
        local _, _, count = q:wait(60)
        equal(count, 0)
        equal(handled, true)
        assert(unix.now() - start < 30, "the wait went on")
    end
    signal.signal(signal.SIGALRM, function()
        handled = true
        q:wake()
    end)
    wait_for_handler()
    coroutine.wrap(wait_for_handler)()
    things.nothing(q, 0.001)
    q:close() -- luaposix keeps the handler
end

function T.test_a_handler_of_luaposix_stops_the_loop()
    local loop = require "readyq.loop"
    signal.signal(signal.SIGALRM, function()
        loop.stop()
        loop.queue:wake()
    end)
    local ended = false
    local sleeper = loop.spawn(function()
        loop.sleep(60)
        ended = true
    end)
    unistd.alarm(1)
    loop.run()
    equal(ended, false)
    loop.cancel(sleeper)
    loop.run()
    loop = nil -- luaposix keeps the handler
end

function T.test_a_handler_of_luaposix_ends_a_select_by_wake()
    local select = require "readyq.select"
    local done
    signal.signal(signal.SIGALRM, function()
        done = true
        select.wake()
    end)
    unistd.alarm(1)
    local start = unix.now()
    local readable, writable, word = select.select({}, nil, 60)
    equal(done, true)
    assert(unix.now() - start < 30, "the select went on")
    equal(#readable + #writable, 0)
    equal(word, "timeout")
    equal(_G.select(3, select.select({}, nil, 0.001)), "timeout")
    select = nil -- luaposix keeps the handler
end

function T.test_numbers_and_processes_of_luaposix_are_waited_for()
    local loop = require "readyq.loop"
    local r, w = unistd.pipe()
    local pid = unistd.fork()
    if pid == 0 then
        unistd.write(w, "child")
        unistd._exit(5)
    end
    local text, status
    loop.spawn(function()
        assert(loop.readable(r, 20))
        text = unistd.read(r, 100)
        status = loop.wait_process(pid, 20)
        wait.wait(pid)
    end)
    loop.run()
    equal(text, "child")
    equal(status, 5 * 256)
    unistd.close(r)
    unistd.close(w)
end

return T
