-- SPDX-License-Identifier: MIT
--
-- luv: its handles as sources of a queue, and its loop inside the readyq loop.
local loop = require "readyq.loop"
local readyq = require "readyq"
local things = require "things"
local unix = require "unix"
local before = unix.count_open()
local uv = things.need("luv", "lua-luv")
local equal, raises = things.equal, things.raises

local T = {}

local function close(handle)
    handle:close()
    uv.run()
end

close(uv.new_tcp()) -- opens the last descriptor that luv keeps open permanently
things.kept = unix.count_open() - before

function T.test_a_pipe_of_luv_is_a_source()
    local q = readyq.new()
    local fd, other = things.pair()
    local pipe = uv.new_pipe(false)
    assert(pipe:open(unix.dup(fd)))
    local watch = assert(q:add(pipe, "r", "pipe"))
    equal(watch.fd, pipe:fileno())
    things.nothing(q)
    unix.write(other, "x")
    equal(select(3, things.event(q)), "pipe")
    equal(q:get(pipe), watch)
    close(pipe)
    raises("its fileno returns nil", q.add, q, pipe, "r")
    assert(q:remove(pipe))
end

function T.test_a_listener_of_luv_is_awaited_by_a_coroutine()
    local listener, client = uv.new_tcp(), uv.new_tcp()
    assert(listener:bind("127.0.0.1", 0))
    local accepted
    assert(listener:listen(16, function() accepted = true end))
    client:connect("127.0.0.1", listener:getsockname().port, function() end)
    loop.spawn(function()
        assert(loop.readable(listener, 60))
        equal(accepted, nil)
        uv.run("nowait")
        loop.close(client)
        loop.close(listener)
    end)
    loop.run()
    uv.run()
    equal(accepted, true)
end

function T.test_the_loop_of_luv_runs_inside_ours()
    local log = {}
    local function note(word) log[#log + 1] = word end
    local timer = uv.new_timer()
    timer:start(1, 1, function()
        note("timer")
        if #log == 3 then timer:close() end
    end)
    local backend = {fileno = function() return uv.backend_fd() end}
    loop.spawn(function()
        while uv.loop_alive() do
            uv.update_time()
            local left = uv.backend_timeout()
            loop.readable(backend, left and left >= 0 and left / 1000 or nil)
            uv.run("nowait")
        end
        note("end")
    end)
    loop.run()
    equal(table.concat(log, " "), "timer timer timer end")
end

-- libuv only notes a signal; its handler runs when the loop of luv does.
function T.test_a_signal_handler_of_luv_runs_where_its_loop_is_a_source()
    local q = readyq.new()
    local handled = 0
    local signal = uv.new_signal()
    signal:start("sigusr1", function() handled = handled + 1 end)
    uv.run("nowait") -- libuv registers its descriptors when it runs
    q:add(uv.backend_fd(), "r", function() uv.run("nowait") end)
    for turn = 1, 3 do
        uv.kill(uv.os_getpid(), "sigusr1")
        equal(q:dispatch(60), 1)
        equal(handled, turn)
    end
    things.nothing(q)
    q:close()
    close(signal)
end

return T
