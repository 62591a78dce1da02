-- SPDX-License-Identifier: MIT
--
-- Misuse of readyq.loop: waits that are impossible, coroutines that other code resumes or closes,
-- data that cannot be called. None of this affects the waits of other coroutines.
local loop = require "readyq.loop"
local readyq = require "readyq"
local things = require "things"
local unix = require "unix"
local equal, raises = things.equal, things.raises

local T = {}

-- Runs the functions as coroutines beside one that sleeps, whose sleep must not be affected.
local function run(...)
    local slept
    local start = loop.queue:now()
    loop.spawn(function()
        loop.sleep(0.03)
        slept = loop.queue:now() - start
    end)
    for i = 1, select("#", ...) do loop.spawn((select(i, ...))) end
    loop.run()
    assert(slept and slept >= 0.03, "a sleeper was left behind")
    equal(#loop.queue, 0)
end

-- Runs it and returns what on_error was called with.
local function run_with_errors(...)
    local told = {}
    loop.on_error = function(message, source) told[#told + 1] = {tostring(message), source} end
    run(...)
    loop.on_error = nil
    return told
end

-- Closes a pipe and opens another under its number, with a byte in it. Returns where to write.
local function replace(r, w)
    unix.close(r)
    unix.close(w)
    local reader, writer = unix.pipe()
    equal(reader, r)
    unix.write(writer, "x")
    return writer
end

-- Calls f where a yield is impossible.
local function call_from_c(f)
    return pcall(string.gsub, "x", ".", f)
end

function T.test_a_wait_inside_of_a_c_function_is_an_error_and_leaves_nothing()
    local r, w = things.pipe()
    for _, wait in ipairs {
        function() loop.sleep(0.001) end,
        function() loop.readable(r) end,
        function() loop.readable(r, 0.001) end,
        function() loop.wait_process(unix.getpid(), 0.001) end,
    } do
        run(function()
            local ok, message = call_from_c(wait)
            equal(ok, false)
            assert(message:find("cannot wait inside") or message:find("attempt to yield"))
        end, function()
            call_from_c(wait)
            local start = loop.queue:now()
            loop.sleep(0.02)
            assert(loop.queue:now() - start >= 0.02)
        end)
    end
    run(function()
        call_from_c(function() loop.readable(r) end)
        unix.write(w, "x")
        equal(loop.readable(r, 5), true)
    end)
end

function T.test_a_bad_timeout_leaves_nothing_behind()
    local r = things.pipe()
    run(function()
        for _, timeout in ipairs {-1, "soon", 0 / 0} do
            raises("the timeout must be a number", loop.sleep, timeout)
            raises("the timeout must be a number", loop.readable, r, timeout)
            raises("the timeout must be a number", loop.wait_process, unix.getpid(), timeout)
        end
        raises("misuse.lua:%d+: sleep: the timeout", function() loop.sleep(-1) end)
        raises("wait_process: number expected", loop.wait_process, "rubbish", 60)
    end)
end

function T.test_a_process_that_ended_is_no_timeout()
    run(function()
        for _ = 1, 5 do
            local pid = unix.fork()
            if pid == 0 then unix.exit(0) end
            equal(loop.wait_process(pid), 0)
            equal(loop.wait_process(pid, 0), 0)
            unix.waitpid(pid)
        end
    end)
end

function T.test_a_coroutine_as_data_is_resumed_and_counts_as_no_wait()
    local log = {}
    local co = coroutine.create(function(watch, ready)
        repeat
            log[#log + 1] = watch.count
            equal(ready, readyq.FIRED)
            watch, ready = coroutine.yield()
        until #log == 3
        watch:remove()
    end)
    loop.queue:add_timer(0.001, co, 0.001)
    run()
    equal(#log, 3)
    equal(coroutine.status(co), "dead")
end

function T.test_data_that_cannot_be_called_is_an_error_with_its_watch()
    local dead = coroutine.create(function() end)
    coroutine.resume(dead)
    for _, data in ipairs {"text", dead, 7, {}} do
        local watch = loop.queue:add_timer(0, data)
        local told = run_with_errors()
        equal(#told, 1)
        assert(told[1][1]:find("^readyq.watch.*: its data, .*, is neither a function"))
        equal(told[1][2], watch)
    end
    loop.queue:add_timer(0)
    raises("its data, nil, is neither a function", loop.step, 0)
    local told = run_with_errors(function()
        loop.queue:add_timer(0, (coroutine.running()))
        loop.sleep(0.01)
    end)
    equal(#told, 1)
    assert(told[1][1]:find("its data, thread: .*, is a coroutine that waits for something else"))
end

function T.test_on_error_takes_errors_of_whatever_is_called()
    local callable = setmetatable({}, {__call = function() error("callable broke") end})
    local thread = coroutine.create(function() error("thread broke") end)
    for _, data in ipairs {callable, thread} do
        local watch = loop.queue:add_timer(0, data)
        local told = run_with_errors()
        equal(#told, 1)
        assert(told[1][1]:find("broke\nstack traceback"))
        equal(told[1][2], data == thread and thread or watch)
    end
end

function T.test_another_file_under_the_number_of_a_table_is_waited_for()
    local r, w = unix.pipe()
    local holds = true
    local object = {getfd = function() return r end, dirty = function() return holds end}
    run(function()
        equal(loop.readable(object, 5), true)
        holds = false
        unix.write(w, "x")
        equal(loop.readable(object, 5), true)
        w = replace(r, w)
        equal(loop.readable(object, 5), true)
        unix.close(r)
        unix.close(w)
    end)
end

function T.test_a_coroutine_that_something_else_resumes_gets_an_error_that_says_so()
    local r = things.pipe()
    for name, wait in pairs {
        sleep = function() loop.sleep(0.01) end,
        readable = function() loop.readable(r) end,
    } do
        for _, value in ipairs {"rubbish", "timeout", "closed"} do
            run(function()
                local inner = loop.spawn(wait)
                loop.sleep(0.001)
                local ok, message = coroutine.resume(inner, value)
                equal(ok, false)
                local pattern = name .. ": a waiting coroutine was resumed by something other"
                assert(message:find(pattern))
            end)
        end
    end
end

function T.test_a_spawned_coroutine_that_the_program_begins_counts_once()
    local r, w = things.pipe()
    local got
    unix.write(w, "x")
    local co = loop.spawn(function(word) got = {word, loop.readable(r, 5)} end, "the loop's")
    coroutine.resume(co, "the program's")
    run()
    equal(got[1], "the program's")
    equal(got[2], true)
end

function T.test_a_coroutine_may_yield_by_itself_and_be_resumed_by_another()
    local co, told
    run(function()
        co = coroutine.running()
        told = coroutine.yield()
        loop.sleep(0.001)
        told = told .. " and slept"
    end, function()
        loop.sleep(0.001)
        equal(loop.is_waiting(co), false)
        coroutine.resume(co, "resumed")
        equal(loop.is_waiting(co), true)
    end)
    equal(told, "resumed and slept")
    equal(loop.is_waiting(co), false)
end

-- if coroutine.close
function T.test_a_closed_coroutine_leaves_its_place_to_others()
    local r, w = things.pipe()
    run(function()
        local co = loop.spawn(function() loop.readable(r) end)
        loop.sleep(0.001)
        coroutine.close(co)
        unix.write(w, "x")
        equal(loop.readable(r, 5), true)
        local sleeper = loop.spawn(loop.sleep, 60)
        loop.sleep(0.001)
        coroutine.close(sleeper)
        loop.cancel(sleeper) -- removes its timer
    end)
    run(function()
        local first, writer = unix.pipe()
        local co = loop.spawn(function() loop.readable(first, 60) end)
        loop.sleep(0.001)
        coroutine.close(co)
        unix.write(writer, "x")
        loop.sleep(0.001) -- its event finds the coroutine closed
        writer = replace(first, writer)
        equal(loop.readable(first, 5), true)
        unix.close(first)
        unix.close(writer)
    end)
end

function T.test_a_cancelled_coroutine_that_waits_no_more_is_collected()
    local kept = setmetatable({}, {__mode = "k"})
    run(function()
        for _ = 1, 5 do
            local co = loop.spawn(function() end)
            kept[co] = true
            loop.cancel(co)
        end
    end)
    collectgarbage()
    collectgarbage()
    equal(next(kept), nil)
end

function T.test_a_coroutine_that_was_cancelled_twice_may_wait_again()
    local r, w = things.pipe()
    local first, writer = things.pipe()
    local log = {}
    run(function()
        local co = coroutine.running()
        loop.spawn(function()
            loop.readable(first)
            loop.cancel(co)
            loop.cancel(co)
        end)
        loop.spawn(function()
            unix.write(writer, "x")
            unix.write(w, "x")
        end)
        log[1] = tostring(loop.readable(r)) -- in one batch with the other
        unix.read(r)
        if not coroutine.isyieldable then loop.readable(r) end -- no wait inside of pcall: it ends
        log[2] = tostring(select(2, pcall(loop.readable, r)))
        log[3] = tostring(select(2, loop.readable(r, 0.01)))
    end)
    equal(table.concat(log, " "), coroutine.isyieldable and "true cancelled timeout" or "true")
end

-- if coroutine.close
function T.test_errors_of_closing_a_cancelled_coroutine_are_reported()
    local load = loadstring or load
    local sleep_with = assert(load([[
        local loop, object = ...
        local guard <close> = object
        loop.sleep(60)
    ]]))
    local guard = setmetatable({}, {__close = function() error("cleanup failed") end})
    local told = run_with_errors(function()
        local co = loop.spawn(sleep_with, loop, guard)
        loop.sleep(0.001)
        loop.cancel(co)
    end)
    equal(#told, 1)
    assert(told[1][1]:find("cleanup failed"))
end

function T.test_an_error_that_reads_like_that_of_a_dead_coroutine_is_reported()
    local dead = coroutine.create(function() end)
    coroutine.resume(dead)
    local told = run_with_errors(function()
        local _, message = coroutine.resume(dead)
        error(message, 0)
    end)
    equal(#told, 1)
    assert(told[1][1]:find("^cannot resume dead coroutine\nstack traceback"))
end

function T.test_a_host_is_notified_of_a_spawn_after_a_run_that_failed()
    loop.spawn(function() error("it broke") end)
    raises("it broke", loop.run)
    local done
    loop.spawn(function() done = true end)
    local host = readyq.new()
    host:add(loop.queue, "r")
    things.event(host)
    loop.step(0)
    host:close()
    assert(done)
end

function T.test_an_error_that_leaves_run_has_one_traceback()
    loop.spawn(function() error("it broke") end)
    loop.spawn(function() end)
    local _, message = pcall(loop.run)
    equal(select(2, message:gsub("stack traceback:", "")), 1)
    loop.queue:add_timer(0, function() error("callback broke") end)
    _, message = pcall(function()
        loop.spawn(loop.sleep, 0.01)
        loop.run()
    end)
    equal(select(2, message:gsub("stack traceback:", "")), 1)
    loop.run()
end

function T.test_no_watch_keeps_its_object_alive()
    local kept = setmetatable({}, {__mode = "k"})
    local function wait_for_some()
        for _ = 1, 5 do
            local r, w = things.pipe()
            local file = assert(io.open("/dev/fd/" .. r))
            file:setvbuf("no")
            unix.write(w, "x")
            assert(loop.readable(file, 60))
            equal(file:read(1), "x")
            local object = {}
            function object.getfd() return object and r end
            loop.readable(object, 0)
            kept[file], kept[object] = "a file", "an object"
        end
    end
    -- The stack of a living coroutine may hold what its functions have dropped, and so may
    -- compiled code. A full collection runs the finalizer of a file; the next one takes the file
    -- from the weak table. Then nothing but the loop can hold them.
    --
    -- The watches of the files are left at the end because their pipes are empty and open. An
    -- event that no coroutine waits for, such as the end of a file, makes the loop drop the watch.
    local waiter = loop.spawn(wait_for_some)
    run(function()
        loop.join(waiter)
        if jit then jit.flush() end
        collectgarbage()
        collectgarbage()
        equal(select(2, next(kept)), nil)
        local watched = 0
        for watch in loop.queue:watches() do
            if watch.kind == "fd" and watch:remove() then watched = watched + 1 end
        end
        assert(watched > 0)
    end)
end

-- What each call raises; in 5.1 a coroutine cannot be made of a function in C.
local WRONG = {
    {function() loop.close() end, "close: object or descriptor number expected, got nil"},
    {function() loop.close(true) end, "close: .* expected, got boolean"},
    {function() loop.close("x") end, "close: .* expected, got string"},
    {function() loop.event().wait(5) end, "calling 'wait' on bad self %(event .* got number%)"},
    {function() loop.event().set() end, "calling 'set' on bad self %(event .* got nil%)"},
    {function() loop.event().clear() end, "calling 'clear' on bad self"},
    {function() return {loop.event().is_set()} end, "calling 'is_set' on bad self"},
    {function() return {loop.deadline(1).left()} end, "calling 'left' on bad self %(deadline"},
}

function T.test_wrong_calls_are_errors_of_the_program()
    for _, case in ipairs(WRONG) do raises("test_loop_misuse.lua:%d+: " .. case[2], case[1]) end
    if not pcall(coroutine.create, print) then
        raises("test_loop_misuse.lua:%d+: wrap: Lua function expected",
            function() local f = loop.wrap(print) return f end)
    end
end

function T.test_a_closed_queue_of_the_loop_is_named()
    loop.spawn(function()
        loop.sleep(0.001)
        loop.queue:close()
    end)
    for _ = 1, 2 do raises("^the queue of the loop was closed: loop.queue must", loop.run) end
    loop.spawn(function() end)
    raises("^the queue of the loop was closed", loop.step)
    package.loaded["readyq.loop"] = nil
end

-- if coroutine.close
function T.test_a_wait_in_a_close_after_an_error_names_its_place()
    local load = loadstring or load
    local code = "local guard <close> = ... error('it broke')"
    local guard = setmetatable({}, {__close = function() loop.sleep(0.01) end})
    local told = run_with_errors(function() assert(load(code))(guard) end)
    assert(told[1][1]:find("cannot wait inside a call to a C function .*, or in a __close after"))
end

return T
