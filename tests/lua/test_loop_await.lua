-- SPDX-License-Identifier: MIT
--
-- readyq.loop: the second and each later wait of a coroutine for reading the same object, which is
-- noted in the watch alone (await.lua), and whatever can concern it besides its event.
local loop = require "readyq.loop"
local readyq = require "readyq"
local things = require "things"
local unix = require "unix"
local coroutines = require "readyq.core".coroutines
local equal, raises = things.equal, things.raises

local T = {}

local function run(...) things.run_to_their_ends(loop, ...) end

-- An io file of a new pipe, and a function that makes it readable.
local function pipe_file()
    local r, w = things.pipe()
    local file = assert(io.open("/dev/fd/" .. r, "r+"))
    file:setvbuf("no")
    return file, function() unix.write(w, "x") end
end

-- Waits for the file once in the general form; the next wait is a simple one.
local function wait_once(file, feed)
    feed()
    assert(loop.readable(file))
    equal(file:read(1), "x")
end

-- Before Lua 5.3 all waits have the general form.
local HAS_THEM = _VERSION > "Lua 5.2"

local function is_simple(number)
    equal(coroutines.count(loop.queue), HAS_THEM and number or 0)
end

function T.test_a_coroutine_reads_again_and_again()
    local file, feed = pipe_file()
    local got = 0
    run(function()
        for _ = 1, 100 do
            assert(loop.readable(file))
            got = got + #file:read(1)
        end
    end, function()
        for _ = 1, 50 do
            feed()
            loop.sleep(0)
        end
        for _ = 1, 50 do feed() end
    end)
    equal(got, 100)
    loop.close(file)
end

function T.test_the_second_wait_is_noted_in_the_watch_alone()
    local file, feed = pipe_file()
    local co = loop.spawn(function()
        wait_once(file, feed)
        equal(loop.readable(file), true)
    end)
    loop.step(1)
    loop.step(0)
    is_simple(1)
    equal(loop.is_waiting(co), true)
    is_simple(0) -- it has the general form from now on
    feed()
    loop.run()
    equal(coroutine.status(co), "dead")
    loop.close(file)
end

function T.test_the_loop_runs_as_long_as_a_simple_wait_is_left()
    local file, feed = pipe_file()
    local log = {}
    loop.spawn(function()
        wait_once(file, feed)
        loop.queue:add_timer(0.02, feed)
        loop.readable(file)
        log[1] = "ready"
    end)
    loop.run()
    equal(log[1], "ready")
    equal(loop.step(0), false)
    loop.close(file)
end

-- if jit or _VERSION > "Lua 5.1"
function T.test_a_simple_wait_can_be_cancelled()
    local file, feed = pipe_file()
    local caught, after
    local co = loop.spawn(function()
        wait_once(file, feed)
        local ok, message = pcall(loop.readable, file)
        caught = not ok and message
        after = loop.readable(file)
    end)
    run(function()
        loop.sleep(0.01)
        is_simple(1)
        loop.cancel(co)
        is_simple(0)
        loop.sleep(0.01)
        feed()
        loop.join(co)
    end)
    equal(caught, loop.CANCELLED)
    equal(after, true)
    loop.close(file)
end

-- if jit or _VERSION > "Lua 5.1"
function T.test_a_coroutine_that_is_cancelled_while_it_runs_begins_no_simple_wait()
    local file, feed = pipe_file()
    local caught
    run(function()
        wait_once(file, feed)
        feed()
        assert(loop.readable(file))
        loop.cancel(coroutine.running())
        local ok, message = pcall(loop.readable, file)
        caught = not ok and message
        equal(file:read(1), "x")
    end)
    equal(caught, loop.CANCELLED)
    loop.close(file)
end

function T.test_a_simple_wait_for_an_object_that_is_closed_ends()
    local file, feed = pipe_file()
    local result, why
    run(function()
        wait_once(file, feed)
        result, why = loop.readable(file)
    end, function()
        loop.sleep(0.01)
        is_simple(1)
        loop.close(file)
        is_simple(0)
    end)
    equal(result, nil)
    equal(why, "closed")
end

function T.test_a_second_reader_is_refused_and_the_first_waits_on()
    local file, feed = pipe_file()
    local result
    run(function()
        wait_once(file, feed)
        result = loop.readable(file)
    end, function()
        loop.sleep(0.01)
        is_simple(1)
        raises("already waiting for .* in the same direction", loop.readable, file)
        feed()
    end)
    equal(result, true)
    loop.close(file)
end

function T.test_another_coroutine_may_wait_for_writing_meanwhile()
    local file, feed = pipe_file()
    local log = {}
    run(function()
        wait_once(file, feed)
        assert(loop.readable(file))
        log[#log + 1] = "read"
    end, function()
        loop.sleep(0.01)
        is_simple(1)
        assert(loop.writable(file, 10))
        log[#log + 1] = "written"
        loop.sleep(0.01) -- the file is still writable, and nobody waits for that
        feed()
    end)
    equal(table.concat(log, " "), "written read")
    loop.close(file)
end

-- if jit or _VERSION > "Lua 5.1"
function T.test_a_simple_wait_that_something_else_resumes_raises()
    local file, feed = pipe_file()
    local caught
    local co = loop.spawn(function()
        wait_once(file, feed)
        local _, message = pcall(loop.readable, file)
        caught = message
    end)
    loop.step(1)
    loop.step(0)
    is_simple(1)
    coroutine.resume(co)
    is_simple(0)
    assert(tostring(caught):find("resumed by something other", 1, true), caught)
    equal(loop.step(0), false)
    loop.close(file)
end

-- if coroutine.close
function T.test_a_program_may_close_a_coroutine_in_a_simple_wait()
    for _, is_asked in ipairs {true, false} do
        local file, feed = pipe_file()
        local co = loop.spawn(function()
            wait_once(file, feed)
            loop.readable(file)
        end)
        loop.step(1)
        loop.step(0)
        coroutine.close(co)
        if is_asked then
            run(function()
                local result, why = loop.join(co)
                equal(result, nil)
                equal(why, "closed")
            end)
        else
            feed()
            loop.step(0)
        end
        is_simple(0)
        equal(loop.step(0), false)
        loop.close(file)
    end
end

function T.test_an_error_after_a_simple_wait_is_that_of_its_coroutine()
    local file, feed = pipe_file()
    local reports = {}
    local function fail()
        wait_once(file, feed)
        loop.queue:add_timer(0, feed)
        loop.readable(file)
        file:read(1)
        error("it broke")
    end
    loop.on_error = function(message, co) reports[#reports + 1] = {message, co} end
    local co = loop.spawn(fail)
    local ok, problem = pcall(loop.run)
    loop.on_error = nil
    assert(ok, problem)
    equal(#reports, 1)
    equal(reports[1][2], co)
    assert(reports[1][1]:find("it broke", 1, true) and reports[1][1]:find("stack traceback"))
    co = loop.spawn(fail)
    run(function()
        local result, message = loop.join(co)
        equal(result, nil)
        assert(message:find("it broke", 1, true))
    end)
    loop.spawn(fail)
    raises("it broke", loop.run)
    is_simple(0)
    loop.close(file)
end

-- Both events are in one batch. The coroutine that the first one resumes reads what the second one
-- announced, and waits for more.
function T.test_an_event_older_than_a_simple_wait_does_not_end_it()
    local first, feed_first = pipe_file()
    local second, feed_second = pipe_file()
    local log = {}
    local co = loop.spawn(function()
        wait_once(second, feed_second)
        loop.any {first}
        log[1] = "first"
        second:read(1)
        loop.readable(second)
        log[2] = "second"
    end)
    loop.step(1)
    loop.step(1)
    feed_first()
    feed_second()
    run(function()
        while not log[1] do loop.sleep(0.001) end
        is_simple(1)
        loop.sleep(0.01)
        equal(log[2], nil)
        feed_second()
        loop.join(co)
    end)
    equal(log[2], "second")
    loop.close(first)
    loop.close(second)
end

-- One event reports both directions. The reader waits again before the loop notices that nobody
-- waits for writing.
function T.test_a_simple_wait_that_begins_in_an_event_of_both_directions_is_kept()
    local file, feed = pipe_file()
    local got = 0
    run(function()
        wait_once(file, feed)
        for _ = 1, 2 do
            loop.readable(file)
            got = got + #file:read(1)
        end
    end, function()
        loop.sleep(0.01)
        assert(loop.writable(file, 10))
        feed()
        loop.sleep(0.01)
        equal(got, 1)
        feed()
    end)
    equal(got, 2)
    loop.close(file)
end

function T.test_a_step_inside_of_a_coroutine_that_the_queue_resumed()
    local files, log = {}, {}
    for i = 1, 3 do
        local file, feed = pipe_file()
        files[i] = feed
        loop.spawn(function()
            wait_once(file, feed)
            loop.readable(file)
            file:read(1)
            log[#log + 1] = i
            loop.step(0)
            loop.close(file)
        end)
    end
    loop.step(1)
    loop.step(1)
    is_simple(3)
    for _, feed in ipairs(files) do feed() end
    loop.run()
    table.sort(log)
    equal(table.concat(log), "123")
end

-- if pcall(require, "socket")
function T.test_bytes_in_the_object_itself_end_a_simple_wait_at_once()
    local socket = things.need("socket", "lua-socket")
    local listener = assert(socket.bind("127.0.0.1", 0))
    local _, port = listener:getsockname()
    local client = assert(socket.connect("127.0.0.1", port))
    local server = assert(listener:accept())
    server:settimeout(0)
    local lines = {}
    run(function()
        for i = 1, 3 do
            assert(loop.readable(server))
            lines[i] = server:receive()
        end
    end, function()
        client:send("a\n")
        loop.sleep(0.01)
        client:send("b\nc\n")
    end)
    equal(table.concat(lines), "abc")
    loop.close(server)
    client:close()
    listener:close()
end

function T.test_a_generator_of_the_loop_waits_besides()
    local file, feed = pipe_file()
    local items = {}
    run(function()
        wait_once(file, feed)
        local generator = loop.wrap(function()
            for i = 1, 3 do
                loop.queue:add_timer(0, feed)
                assert(loop.readable(file))
                coroutine.yield(i .. file:read(1))
            end
        end)
        for _ = 1, 3 do items[#items + 1] = generator() end
        raises("was not started by loop.spawn", coroutine.wrap(function() loop.readable(file) end))
    end)
    equal(table.concat(items, " "), "1x 2x 3x")
    loop.close(file)
end

function T.test_the_program_may_ask_the_queue_of_the_loop_itself()
    local file, feed = pipe_file()
    local log = {}
    local function begin()
        loop.spawn(function()
            wait_once(file, feed)
            loop.readable(file)
            log[#log + 1] = file:read(1)
        end)
        loop.step(1)
        loop.step(0)
        feed()
    end
    begin()
    equal(loop.queue:dispatch(0), 1)
    begin()
    for _ in loop.queue:wait(0) do end
    loop.run()
    equal(table.concat(log), "xx")
    begin()
    log = nil
    raises("attempt to", function() loop.queue:dispatch(0) end)
    loop.close(file)
end

function T.test_an_object_that_no_coroutine_waits_for_is_not_kept_alive()
    local seen = setmetatable({}, {__mode = "k"})
    local co = loop.spawn(function()
        local q = readyq.new()
        local trigger = q:add_trigger(function() end)
        for _ = 1, 3 do
            trigger:fire()
            assert(loop.readable(q))
            q:dispatch(0)
        end
        seen[q] = true
    end)
    run(function()
        loop.join(co)
        if jit then jit.flush() end
        collectgarbage()
        collectgarbage()
        equal(next(seen), nil)
        for watch in loop.queue:watches() do
            if watch.kind == "fd" then watch:remove() end
        end
    end)
end

return T
