-- SPDX-License-Identifier: MIT
--
-- The possible sources: integers, io files, objects with a descriptor; and the kinds of files
-- behind them: sockets, pipes, files, terminals, other queues.
local readyq = require "readyq"
local things = require "things"
local unix = require "unix"
local equal, raises, fails = things.equal, things.raises, things.fails

local T = {}

function T.test_an_integer_is_its_own_source()
    local q = readyq.new()
    local fd = things.eventfd(1)
    local watch = q:add(fd, "r")
    equal(watch.fd, fd)
    equal(watch.source, fd)
    things.event(q)
end

function T.test_a_whole_float_is_a_descriptor_too()
    local q = readyq.new()
    local watch = q:add(things.eventfd(1) + 0.0, "r")
    things.event(q)
    equal(tostring(watch.fd):find(".", 1, true), nil)
end

function T.test_getfd_fileno_and_pollfd_may_be_methods_or_fields()
    local q = readyq.new()
    for _, name in ipairs {"getfd", "fileno", "pollfd"} do
        local fd = things.eventfd(1)
        local with_method = {[name] = function(self) return self.number end, number = fd}
        local watch = assert(q:add(with_method, "r"))
        equal(watch.fd, fd)
        equal(watch.source, with_method)
        equal(q:get(with_method), watch)
        watch:remove()
        equal(q:add({[name] = fd + 0.0}, "r").fd, fd)
        q:remove(fd)
        local inherited = setmetatable({}, {__index = {[name] = function() return fd end}})
        equal(q:add(inherited, "r").fd, fd)
        q:remove(inherited)
    end
    equal(#q, 0)
end

function T.test_an_io_file_is_a_source()
    local q = readyq.new()
    local file = io.popen("echo hello; sleep 0.05; echo world")
    local watch = assert(q:add(file, "r", "child"))
    equal(watch.source, file)
    equal(select(3, things.event(q)), "child")
    equal(file:read("*l"), "hello")
    assert(things.event(q).readable)
    equal(file:read("*l"), "world")
    equal(q:remove(file), true)
    file:close()
end

function T.test_a_child_that_ends_is_read_closed()
    local q = readyq.new()
    local file = io.popen("exit 0")
    q:add(file, "r")
    local watch = things.event(q)
    assert(watch:has(readyq.READ_CLOSED))
    q:close()
    file:close()
end

function T.test_files_directories_and_null_are_always_ready()
    local q = readyq.new()
    local file = io.tmpfile()
    assert(q:add(file, "rw", "file"))
    assert(q:add(things.open("/", "r"), "r", "directory"))
    assert(q:add(things.open("/dev/null", "rw"), "rw", "null"))
    for _ = 1, 2 do
        local seen = {}
        for _, ready, data in q:wait() do seen[data] = ready end
        equal(seen.file, readyq.READ + readyq.WRITE)
        equal(seen.directory, readyq.READ)
        equal(seen.null, readyq.READ + readyq.WRITE)
    end
    q:close()
    file:close()
end

function T.test_a_terminal_is_ready_when_a_line_is_typed()
    local q = readyq.new()
    local master, slave = things.pty()
    q:add(slave, "r")
    unix.write(master, "typed")
    things.nothing(q)
    unix.write(master, "\n")
    things.event(q)
    equal(unix.read(slave), "typed\n")
end

function T.test_a_fifo_is_ready_when_written_and_when_the_writer_leaves()
    local q = readyq.new()
    local path = things.path()
    assert(unix.mkfifo(path))
    local r = things.open(path, "r")
    local w = things.open(path, "w")
    os.remove(path)
    q:add(r, "r")
    things.nothing(q)
    unix.write(w, "x")
    things.event(q)
    equal(unix.read(r), "x")
    things.nothing(q)
    things.close(w)
    assert(things.event(q):has(readyq.READ_CLOSED))
end

-- if pcall(require, "socket")
function T.test_luasocket_connects_accepts_and_reads()
    local socket = things.need("socket", "lua-socket")
    local q = readyq.new()
    local listener = assert(socket.bind("127.0.0.1", 0))
    local client = assert(socket.tcp())
    client:settimeout(0)
    q:add(listener, "r", "listener")
    client:connect("127.0.0.1", select(2, listener:getsockname()))
    q:add(client, "w", "client")
    local seen = {}
    while not (seen.listener and seen.client) do
        for _, _, data in q:wait(5) do seen[data] = true end
    end
    local server = listener:accept()
    q:add(server, "r", "server")
    q:modify(client, "r")
    client:send("hello\n")
    equal(select(3, things.event(q)), "server")
    equal(server:receive(), "hello")
    things.nothing(q)
    for _, sock in ipairs {listener, client, server} do
        equal(q:remove(sock), true)
        sock:close()
    end
end

-- if pcall(require, "socket")
function T.test_a_refused_connect_is_an_error_to_collect()
    local socket = things.need("socket", "lua-socket")
    local q = readyq.new()
    local listener = assert(socket.bind("127.0.0.1", 0))
    local port = select(2, listener:getsockname())
    listener:close()
    local client = assert(socket.tcp4())
    client:settimeout(0)
    client:connect("127.0.0.1", port)
    local watch = q:add(client, "w")
    repeat until things.event(q):has(readyq.ERROR)
    assert(watch.writable)
    q:close()
    client:close()
end

-- if pcall(require, "socket")
function T.test_a_closed_socket_is_still_found_by_itself()
    local socket = things.need("socket", "lua-socket")
    local q = readyq.new()
    local server = assert(socket.bind("127.0.0.1", 0))
    local watch = q:add(server, "r")
    server:close()
    equal(server:getfd(), -1)
    equal(q:get(server), watch)
    equal(q:remove(server), true)
    equal(q:get(server), nil)
    fails("this queue does not watch it", 2, q:remove(server))
    raises("its getfd returns %-1", q.add, q, server, "r")
end

function T.test_get_finds_a_watch_by_what_was_added_or_by_its_number()
    local q = readyq.new()
    local fd = things.eventfd(0)
    local object = {getfd = function() return fd end}
    local watch = q:add(object, "r")
    equal(q:get(object), watch)
    equal(q:get(fd), watch)
    equal(q:get(watch), watch)
    equal(q:get(things.eventfd(0)), nil)
    equal(q:get({getfd = function() return -1 end}), nil)
    equal(q:get({}), nil)
    equal(q:get(io.stdin), nil)
    raises("integer, io file", q.get, q, "x")
    raises("not a descriptor", q.get, q, -1)
end

function T.test_a_watch_that_has_left_the_queue_is_not_found()
    local q = readyq.new()
    local watch, timer = q:add(things.eventfd(0), "r"), q:add_timer(0)
    equal(q:get(timer), timer)
    equal(things.event(q), timer)
    equal(q:get(timer), nil)
    watch:remove()
    equal(q:get(watch), nil)
    equal(q:remove(watch), false)
end

function T.test_a_number_is_a_descriptor_and_never_a_signal_or_process()
    local q = readyq.new()
    local signal, process = q:add_signal(10), q:add_process(unix.getpid())
    for _, number in ipairs {10, unix.getpid()} do
        equal(q:get(number), nil)
        fails("this queue does not watch it", 2, q:remove(number))
        fails("this queue does not watch it", 2, q:modify(number, "r"))
    end
    equal(signal.active, true)
    equal(process.active, true)
end

function T.test_only_a_process_has_a_status()
    local q = readyq.new()
    q:add_trigger():fire()
    q:add_timer(0)
    q:add_signal("USR1")
    q:add(things.eventfd(1), "r")
    unix.kill(unix.getpid(), 10)
    local count = 0
    for watch in q:wait(1) do
        equal(watch.status, nil)
        count = count + 1
    end
    equal(count, 4)
end

function T.test_a_queue_can_watch_a_queue()
    local outer, inner = readyq.new(), readyq.new()
    assert(outer:add(inner, "r", "inner"))
    things.nothing(outer)
    local r, w = things.pipe()
    inner:add(r, "r")
    unix.write(w, "x")
    equal(select(3, things.event(outer)), "inner")
    unix.read(r)
    things.nothing(inner)
    things.nothing(outer)
    local trigger = inner:add_trigger()
    trigger:fire()
    things.event(outer)
    things.event(inner)
    things.nothing(outer)
    inner:add_timer(0.01)
    things.nothing(outer)
    things.event(outer, 5)
end

function T.test_a_queue_cannot_watch_itself_nor_in_a_circle()
    local one, two = readyq.new(), readyq.new()
    raises("it belongs to this queue", one.add, one, one, "r")
    assert(one:add(two, "r"))
    fails("watch each other", 40, two:add(one, "r"))
end

function T.test_a_source_that_closes_the_queue_on_being_asked_is_an_error()
    local q = readyq.new()
    local fd = things.eventfd(1)
    local source = {getfd = function()
        q:close()
        return fd
    end}
    raises("attempt to use a closed", q.add, q, source, "r")
    q = readyq.new()
    raises("attempt to use a closed", q.remove, q, source)
end

function T.test_a_watch_is_not_a_source()
    local q = readyq.new()
    local watch = q:add_timer(1)
    raises("it has no getfd, fileno or pollfd", q.add, q, watch, "r")
end

return T
