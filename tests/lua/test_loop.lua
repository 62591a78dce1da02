-- SPDX-License-Identifier: MIT
--
-- readyq.loop: coroutines that wait where they are called.
local loop = require "readyq.loop"
local readyq = require "readyq"
local things = require "things"
local unix = require "unix"
local equal, raises = things.equal, things.raises

local T = {}

-- Runs the functions as coroutines, concurrently, until all have ended.
local function run(...)
    for i = 1, select("#", ...) do loop.spawn((select(i, ...))) end
    loop.run()
end

function T.test_run_returns_when_nothing_is_left_to_wait_for()
    loop.run()
    local done
    run(function() done = true end)
    assert(done)
end

function T.test_spawn_passes_all_arguments_in_order()
    local got
    loop.spawn(function(...) got = {select("#", ...), ...} end, 1, nil, "three", nil)
    equal(got, nil)
    loop.run()
    equal(got[1], 4)
    equal(got[2], 1)
    equal(got[4], "three")
end

-- A loop on the virtual clock: time stands still while something runs, and jumps instead of
-- sleeping.
local function virtual_loop()
    package.loaded["readyq.loop"], readyq.loop_options = nil, {clock = "virtual"}
    local virtual = require "readyq.loop"
    package.loaded["readyq.loop"], readyq.loop_options = loop, nil
    return virtual
end

function T.test_a_loop_refuses_a_queue_or_options_that_it_was_not_loaded_with()
    readyq.loop_options = {clock = "virtual"}
    raises("before the first require", loop.run)
    raises("before the first require", loop.step, 0)
    readyq.loop_options = nil
    local queue = loop.queue
    loop.queue = readyq.new {clock = "virtual"}
    raises("before the first require", loop.run)
    loop.queue = queue
    loop.run()
end

function T.test_sleepers_wake_in_the_order_of_their_time()
    local virtual, log = virtual_loop(), {}
    local start = virtual.queue:now()
    local function sleep(seconds)
        virtual.sleep(seconds)
        log[#log + 1] = ("%s at %.0f"):format(seconds, virtual.queue:now() - start)
    end
    for _, seconds in ipairs {300, 100, 200, 0} do virtual.spawn(sleep, seconds) end
    virtual.run()
    equal(table.concat(log, ", "), "0 at 0, 100 at 100, 200 at 200, 300 at 300")
    virtual.queue:close()
end

function T.test_a_reader_waits_until_something_is_written()
    local r, w = things.pipe()
    local log = {}
    run(function()
        for _ = 1, 3 do
            assert(loop.readable(r))
            log[#log + 1] = unix.read(r)
        end
    end, function()
        for _, word in ipairs {"a", "b", "c"} do
            loop.sleep(0.001)
            unix.write(w, word)
        end
    end)
    equal(table.concat(log), "abc")
    equal(#loop.queue, 0)
end

function T.test_a_reader_and_a_writer_wait_for_one_socket()
    for _, kind in ipairs {"number", "object"} do
        local a, b = things.pair()
        local s = kind == "number" and a or {getfd = function() return a end}
        local filled, log = things.fill(a), {}
        run(function()
            assert(loop.writable(s))
            log[#log + 1] = "writable"
            unix.write(b, "x")
        end, function()
            assert(loop.readable(s))
            log[#log + 1] = "readable " .. unix.read(a)
        end, function()
            loop.sleep(0.005)
            equal(#log, 0)
            local got = 0
            while got < filled do got = got + #unix.read(b) end
        end)
        equal(table.concat(log, " "), "writable readable x")
        loop.close(s)
        things.close(a)
    end
end

function T.test_an_argument_that_is_no_descriptor_or_period_is_refused_by_name()
    local refused = "integer, io file, or object with getfd"
    run(function()
        for _, source in ipairs {true, "7", print} do raises(refused, loop.readable, source, 0) end
        raises(refused, loop.writable, nil, 0)
    end)
    for _, period in ipairs {0, -1, 0 / 0, "1", {}} do
        raises("the period must be a number of seconds above 0", loop.every, period, print)
    end
end

function T.test_two_readers_of_one_descriptor_are_refused()
    local r, w = things.pipe()
    run(function() loop.readable(r) end, function()
        raises("already waiting for .* in the same direction", loop.readable, r)
        unix.write(w, "x")
    end)
end

function T.test_waits_of_an_object_make_no_system_call_but_the_wait()
    local object = readyq.new()
    local trigger = object:add_trigger()
    run(function()
        local before
        for i = 1, 10 do
            trigger:fire()
            loop.readable(object)
            things.event(object)
            if i == 1 then before = loop.queue:stats().changes end
        end
        equal(loop.queue:stats().changes, before)
    end)
    object:close()
end

function T.test_a_descriptor_without_a_waiter_does_not_spin()
    local r, w = things.pipe()
    local object = {fileno = function() return r end}
    run(function()
        unix.write(w, "x")
        loop.readable(object)
        local before = loop.queue:stats().waits
        loop.sleep(0.02)
        assert(loop.queue:stats().waits - before < 10)
        assert(loop.readable(object, 5))
    end)
end

-- A FIFO as an io file, whose watch remains between two waits; and a descriptor for writing to it.
local function open_fifo()
    local path = things.path()
    os.execute("mkfifo " .. path)
    local file = assert(io.open(path, "r+"))
    local fd = things.open(path, "w")
    unix.nonblock(fd)
    os.remove(path)
    file:setvbuf("no")
    return file, fd
end

function T.test_an_event_that_was_found_before_a_wait_began_does_not_end_it()
    local control, writer = things.pipe()
    local file, fd = open_fifo()
    run(function()
        unix.write(fd, "a")
        loop.readable(file)
        file:read(1)
        loop.sleep(0)
        loop.spawn(function()
            unix.write(writer, "x")
            unix.write(fd, "b")
        end)
        loop.readable(control) -- in one batch with the file
        file:read(1)
        equal(select(2, loop.readable(file, 0.01)), "timeout")
    end)
    file:close()
end

function T.test_a_coroutine_that_writes_after_it_read_waits_again()
    local file, fd = open_fifo()
    run(function()
        loop.writable(file)
        file:write("a")
    end, function()
        assert(loop.readable(file, 5)) -- in one event with the other's
        things.fill(fd)
        equal(select(2, loop.writable(file, 0.01)), "timeout")
    end)
    file:close()
end

function T.test_what_is_ready_when_an_error_leaves_the_batch_is_no_timeout()
    local r, w = things.pipe()
    local other, writer = things.pipe()
    local told
    loop.spawn(function()
        loop.readable(other)
        error("it broke")
    end)
    loop.spawn(function() told = {loop.readable(r, 0.01)} end)
    loop.step(0)
    unix.write(writer, "x")
    unix.write(w, "x")
    unix.sleep(0.02)
    raises("it broke", loop.run)
    loop.run()
    equal(told[1], true)
end

function T.test_close_of_one_object_wakes_a_waiter_with_another_of_its_descriptor()
    local a = things.pair()
    local log = {}
    run(function()
        log[1] = select(2, loop.readable(a))
    end, function()
        things.fill(a)
        log[2] = select(2, loop.writable({getfd = function() return a end}))
    end, function()
        loop.sleep(0.001)
        loop.close(a)
    end)
    equal(log[1], "closed")
    equal(log[2], "closed")
end

function T.test_dirty_of_an_object_with_a_number_for_its_descriptor_is_asked()
    local r = things.pipe()
    run(function()
        local object = {getfd = r, dirty = function() return true end}
        equal(loop.readable(object, 0), true)
        object.dirty = function() error("dirty broke") end
        object = {fileno = r, dirty = object.dirty}
        raises("dirty broke", function() loop.readable(object, 0) end)
        equal(select(2, loop.readable(r, 0)), "timeout")
    end)
end

function T.test_a_timeout_is_reported_and_leaves_nothing_behind()
    local r, w = things.pipe()
    run(function()
        local start = loop.queue:now()
        local ok, message = loop.readable(r, 0.01)
        equal(ok, nil)
        equal(message, "timeout")
        assert(loop.queue:now() - start >= 0.01)
        equal(#loop.queue, 0)
        unix.write(w, "x")
        equal(loop.readable(r, 5), true)
        equal(#loop.queue, 0)
        equal(loop.writable(w, 0), true)
    end)
end

function T.test_a_timeout_that_comes_with_the_event_does_not_end_the_next_wait()
    local r, w = things.pipe()
    unix.write(w, "x")
    run(function()
        for _ = 1, 3 do
            equal(loop.readable(r, 0), true)
            local start = loop.queue:now()
            loop.sleep(0.005)
            assert(loop.queue:now() - start >= 0.005)
        end
    end)
end

function T.test_a_wrong_timeout_is_refused_and_changes_nothing()
    local r, w = things.pipe()
    run(function()
        raises("number", loop.readable, r, "soon")
        raises("%-1", loop.readable, r, -1)
        unix.write(w, "x")
        equal(loop.readable(r, 5), true)
    end)
end

function T.test_bytes_that_the_object_holds_are_there_at_once()
    local r = things.pipe()
    local holds = true
    local object = {getfd = function() return r end, dirty = function() return holds end}
    run(function()
        equal(loop.readable(object, 5), true)
        holds = false
        equal(select(2, loop.readable(object, 0)), "timeout")
    end)
end

function T.test_an_object_that_was_closed_is_reported_as_closed()
    local fd = things.pipe()
    local number = fd
    local object = {getfd = function() return number end}
    run(function()
        loop.readable(object, 0)
        number = -1
        for _, wait in ipairs {loop.readable, loop.writable, loop.priority} do
            local ok, message = wait(object)
            equal(ok, nil)
            equal(message, "closed")
        end
        raises("no getfd, fileno or pollfd", loop.readable, {})
        local ok, message, errno = loop.readable(9999)
        equal(ok, nil)
        assert(message:find("9999"))
        equal(type(errno), "number")
        local file = io.popen("true")
        loop.readable(file)
        file:close()
        equal(select(2, loop.readable(file)), "closed")
        local fresh = io.popen("true")
        fresh:close()
        equal(select(2, loop.readable(fresh)), "closed")
        local inner = readyq.new()
        loop.readable(inner, 0)
        inner:close()
        equal(select(2, loop.readable(inner)), "closed")
        equal(select(2, loop.readable({fileno = 9999})), "closed")
    end)
end

function T.test_an_object_with_the_same_descriptor_shares_its_watch()
    local r, w = things.pipe()
    local plain = {getfd = function() return r end}
    local secure = {getfd = function() return r end}
    run(function()
        loop.readable(plain, 0)
        unix.write(w, "x")
        equal(loop.readable(secure, 5), true)
        equal(loop.readable(r, 5), true)
        equal(loop.readable(plain, 5), true)
    end)
end

function T.test_a_number_that_is_closed_and_opened_again_is_another_file()
    run(function()
        local r, w = things.pipe()
        local fd = r
        local object = {getfd = function() return fd end}
        loop.readable(object, 0)
        things.close(r)
        things.close(w)
        r, w = things.pipe()
        equal(r, fd)
        unix.write(w, "x")
        equal(loop.readable({getfd = function() return r end}, 5), true)
    end)
end

function T.test_wait_process_gives_the_status()
    local pid = unix.fork()
    if pid == 0 then unix.exit(3) end
    run(function()
        equal(loop.wait_process(pid), 3 * 256)
        unix.waitpid(pid)
        equal(loop.wait_process(unix.getpid(), 0.001), nil)
        local ok, message = loop.wait_process(pid)
        equal(ok, nil)
        assert(message:find("process"), message)
    end)
    equal(#loop.queue, 0)
end

function T.test_every_leaves_out_the_turns_that_were_missed()
    local virtual, log = virtual_loop(), {}
    local start, co = virtual.queue:now(), nil
    co = virtual.every(10, function()
        log[#log + 1] = ("%.0f"):format(virtual.queue:now() - start)
        if #log == 2 then virtual.sleep(25) end
        if #log == 4 then virtual.cancel(co) end
    end)
    virtual.run()
    equal(table.concat(log, " "), "10 20 50 60")
    virtual.queue:close()
end

function T.test_every_turns_in_step_and_ends_by_cancel()
    local turns, start = 0, loop.queue:now()
    local co
    co = loop.every(0.005, function(word)
        equal(word, "turn")
        turns = turns + 1
        assert(loop.queue:now() - start >= 0.005 * turns)
        if turns == 4 then loop.cancel(co) end
    end, "turn")
    loop.run()
    equal(turns, 4)
end

function T.test_cancel_ends_a_wait_and_the_coroutine()
    local r = things.pipe()
    local after
    local co = loop.spawn(function()
        loop.readable(r, 60)
        after = true
    end)
    run(function()
        loop.sleep(0)
        loop.cancel(co)
        loop.cancel(co)
    end)
    equal(coroutine.status(co), "dead")
    equal(after, nil)
    equal(#loop.queue, 0)
    loop.cancel(co)
    loop.run()
end

function T.test_a_cancelled_wait_raises_what_can_be_caught()
    if _VERSION == "Lua 5.1" and not jit then return end -- a yield cannot leave pcall there
    local caught
    local co = loop.spawn(function()
        local _, message = pcall(loop.sleep, 60)
        caught = message
        loop.sleep(0.001)
        caught = {message}
    end)
    run(function()
        loop.sleep(0)
        loop.cancel(co)
        loop.cancel(co)
    end)
    equal(caught[1], loop.CANCELLED)
    equal(tostring(caught[1]), "cancelled")
end

function T.test_an_error_leaves_run_with_the_traceback_of_its_coroutine()
    local function culprit() error("it broke") end
    local other
    loop.spawn(function()
        loop.sleep(0.001)
        culprit()
    end)
    loop.spawn(function()
        loop.sleep(0.01)
        other = true
    end)
    local ok, message = pcall(loop.run)
    equal(ok, false)
    assert(message:find("it broke"), message)
    assert(message:find("culprit"), message)
    assert(message:find("test_loop.lua", 1, true), message)
    loop.run()
    assert(other, "the others go on")
    local object = {}
    loop.spawn(function() error(object) end)
    equal(select(2, pcall(loop.run)), object)
end

function T.test_on_error_takes_errors_and_the_loop_goes_on()
    local co, told, teller, after
    loop.on_error = function(message, failed) told, teller = message, failed end
    co = loop.spawn(function() error("it broke") end)
    run(function()
        loop.sleep(0.001)
        after = true
    end)
    loop.on_error = nil
    assert(told:find("it broke") and told:find("traceback"))
    equal(teller, co)
    assert(after)
end

function T.test_close_wakes_the_coroutine_that_waits()
    local r, w = things.pipe()
    local closed = 0
    local object = {getfd = function() return r end, close = function() closed = closed + 1 end}
    run(function()
        local ok, message = loop.readable(object)
        equal(ok, nil)
        equal(message, "closed")
        equal(loop.writable(w), true)
    end, function()
        loop.sleep(0)
        loop.close(object)
    end)
    equal(closed, 1)
    equal(#loop.queue, 0)
end

function T.test_a_writer_is_woken_when_the_reader_that_shares_it_closes()
    local a, b = things.pair()
    local object = {getfd = function() return a end}
    local filled, told = things.fill(a), nil
    run(function()
        assert(loop.readable(object))
        loop.close(object)
    end, function()
        told = select(2, loop.writable(object))
    end, function()
        loop.sleep(0)
        local got = 0
        while got < filled do got = got + #unix.read(b) end
        unix.write(b, "x")
    end)
    equal(told, "closed")
end

-- if coroutine.close
function T.test_a_coroutine_that_was_closed_by_hand_is_not_woken()
    local r, w = things.pipe()
    local object = {getfd = function() return r end}
    local reader = loop.spawn(function() loop.readable(object) end)
    local sleeper = loop.spawn(function() loop.sleep(0.001) end)
    run(function()
        loop.sleep(0)
        coroutine.close(reader)
        coroutine.close(sleeper)
        unix.write(w, "x")
        loop.sleep(0.01)
        equal(loop.readable(object, 5), true)
    end)
end

function T.test_step_serves_a_host_that_has_a_loop_of_its_own()
    local log, turns = {}, 0
    loop.spawn(function()
        loop.sleep(0.005)
        log[#log + 1] = "slept"
    end)
    local outer = readyq.new()
    outer:add(loop.queue:fileno(), "r")
    equal(loop.step(0), true)
    while #log == 0 do
        turns = turns + 1
        things.events(outer, 5)
        loop.step(0)
    end
    assert(turns < 10)
    equal(loop.step(0), false)
    outer:close()
end

function T.test_a_spawn_wakes_a_host_that_sleeps_on_the_queue()
    local outer, turn = readyq.new(), 0
    outer:add(loop.queue:fileno(), "r")
    loop.step(0)
    things.nothing(outer)
    local function again()
        turn = turn + 1
        if turn < 5 then loop.spawn(again) end
    end
    loop.spawn(again)
    while turn < 5 do
        things.events(outer, 20)
        loop.step(0)
    end
    outer:close()
end

function T.test_a_spawn_beside_an_event_does_not_shorten_a_later_step()
    local r, w = things.pipe()
    local reads = 0
    loop.queue:add(r, "r", function()
        unix.read(r)
        reads = reads + 1
    end)
    unix.write(w, "x")
    local sleeper = loop.spawn(function() loop.sleep(60) end)
    loop.step(0)
    equal(reads, 1)
    local start = unix.now()
    equal(loop.step(0.03), true)
    assert(unix.now() - start >= 0.03)
    loop.cancel(sleeper)
    loop.run()
    loop.queue:remove(r)
end

function T.test_a_wait_on_the_loops_queue_in_a_callback_loses_nothing()
    local q = loop.queue
    local seen = {}
    for i = 1, 5 do
        q:add(things.eventfd(1), readyq.READ + readyq.EDGE, function()
            seen[i] = (seen[i] or 0) + 1
            if i == 2 then
                for watch, ready, data in q:wait(0, 1) do
                    data(watch, ready)
                    break
                end
            end
        end)
    end
    run(function() loop.sleep(0.001) end)
    for i = 1, 5 do equal(seen[i], 1) end
    for watch in q:watches() do watch:remove() end
end

function T.test_coroutines_wait_while_a_callback_steps_the_loop()
    local r, w = things.pipe()
    local log = {}
    loop.spawn(function()
        loop.readable(r)
        log[#log + 1] = "read " .. unix.read(r)
    end)
    loop.queue:add_timer(0, function()
        loop.step(0)
        log[#log + 1] = "stepped"
    end)
    unix.write(w, "x")
    loop.step(0)
    loop.run()
    table.sort(log)
    equal(table.concat(log, ", "), "read x, stepped")
end

function T.test_a_host_is_notified_of_what_is_left_after_an_error()
    local outer, ran = readyq.new(), false
    outer:add(loop.queue:fileno(), "r")
    loop.queue:add_timer(0, function() error("it broke") end)
    things.events(outer, 20)
    raises("it broke", loop.step, 0)
    loop.step(0)
    things.nothing(outer)
    loop.spawn(function() error("so did I") end)
    loop.spawn(function()
        loop.sleep(0)
        ran = true
    end)
    while not ran do
        things.events(outer, 20)
        pcall(loop.step, 0)
    end
    outer:close()
end

function T.test_watches_of_your_own_are_called_back()
    local r, w = things.pipe()
    local got
    loop.queue:add(r, "r", function(watch, ready)
        got = ready
        watch:remove()
    end)
    unix.write(w, "x")
    run(function() loop.sleep(0.001) end)
    equal(got, readyq.READ)
end

function T.test_on_error_takes_errors_of_callbacks_with_their_watch()
    local told, teller
    local watch = loop.queue:add_timer(0, function() error("it broke") end)
    loop.on_error = function(message, source) told, teller = message, source end
    run(function() loop.sleep(0.001) end)
    loop.on_error = nil
    assert(told:find("it broke") and told:find("traceback"))
    equal(teller, watch)
end

function T.test_only_a_coroutine_can_wait()
    raises("only a coroutine can wait", loop.sleep, 1)
    raises("only a coroutine can wait", loop.readable, 0)
    raises("only a coroutine can wait", loop.wait_process, 1)
end

function T.test_an_object_that_nobody_uses_is_collected()
    local collected
    local r, w = things.pipe()
    run(function()
        local object = setmetatable({getfd = function() return r end}, {
            token = things.finalizer(function() collected = true end),
        })
        unix.write(w, "x")
        loop.readable(object)
    end)
    if jit then jit.flush() end
    collectgarbage()
    collectgarbage()
    assert(collected)
end

-- if pcall(require, "socket")
function T.test_luasocket_objects_talk_to_each_other()
    local socket = things.need("socket", "lua-socket")
    local listener = assert(socket.bind("127.0.0.1", 0))
    listener:settimeout(0)
    local lines = {}
    run(function()
        assert(loop.readable(listener, 20))
        local client = listener:accept()
        listener:close()
        client:settimeout(0)
        while loop.readable(client, 20) do
            local line = client:receive()
            if not line then break end
            lines[#lines + 1] = line
        end
        client:close()
    end, function()
        local client = socket.tcp()
        client:settimeout(0)
        client:connect("127.0.0.1", (select(2, listener:getsockname())))
        assert(loop.writable(client, 20))
        client:send("one\ntwo\nthree\n")
        loop.sleep(0.001)
        client:send("four\n")
        client:close()
    end)
    equal(table.concat(lines, " "), "one two three four")
end

function T.test_output_of_a_child_is_read_while_others_run()
    local fifo = things.path()
    os.execute("mkfifo " .. fifo)
    local file = io.popen("cat " .. fifo)
    local turns, line = 0, nil
    run(function()
        assert(loop.readable(file, 60))
        line = file:read()
        loop.close(file)
    end, function()
        for _ = 1, 3 do
            loop.sleep(0.001)
            turns = turns + 1
        end
        local input = assert(io.open(fifo, "w"))
        input:write("hello\n")
        input:close()
    end)
    os.remove(fifo)
    equal(line, "hello")
    equal(turns, 3)
end

return T
