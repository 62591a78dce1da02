-- SPDX-License-Identifier: MIT
--
-- LuaSec: TLS over LuaSocket, on readyq.loop and readyq.socket, through readyq.select, in a queue.
local loop = require "readyq.loop"
local readyq = require "readyq"
local readyq_select = require "readyq.select".select
local things = require "things"
local socket = things.need("socket", "lua-socket")
local waiting = require "readyq.socket"
local ssl = things.need("ssl", "lua-sec")
local equal = things.equal

local T = {}

local REQUEST = "openssl req -x509 -nodes -days 2 -subj /CN=localhost -newkey ec "
    .. "-pkeyopt ec_paramgen_curve:prime256v1 -keyout %s -out %s 2>&1"

-- The contexts of a server, with a certificate made for it, and of a client.
local function contexts()
    local key, certificate = things.path(), things.path()
    local openssl = io.popen(REQUEST:format(key, certificate))
    local words = openssl:read("*a")
    openssl:close()
    if words:find("not found") then
        error({skip = "needs the program openssl: apt-get install openssl"})
    end
    local server, message = ssl.newcontext {
        mode = "server", protocol = "any", key = key, certificate = certificate,
    }
    os.remove(key)
    os.remove(certificate)
    assert(server, message)
    return server, assert(ssl.newcontext {mode = "client", protocol = "any", verify = "none"})
end

-- Two ends of a TCP connection that do not block.
local function pair()
    local listener = assert(socket.bind("127.0.0.1", 0))
    local _, port = listener:getsockname()
    local client = assert(socket.connect("127.0.0.1", port))
    local server = assert(listener:accept())
    listener:close()
    client:settimeout(0)
    server:settimeout(0)
    return server, client
end

-- Waits as the failed call requires; "closed" and other results are errors.
local function wait(s, why)
    if why == "wantread" or why == "timeout" then return assert(loop.readable(s, 60)) end
    if why == "wantwrite" then return assert(loop.writable(s, 60)) end
    error(why)
end

local function wrap(s, context)
    local secure = assert(ssl.wrap(s, context))
    secure:settimeout(0)
    local done, why = secure:dohandshake()
    while not done do
        wait(secure, why)
        done, why = secure:dohandshake()
    end
    return secure
end

local function read(s, pattern)
    local line, why, part = s:receive(pattern)
    while not line do
        wait(s, why)
        line, why, part = s:receive(pattern, part)
    end
    return line
end

local function write(s, text)
    local last, why, sent = s:send(text)
    while not last do
        wait(s, why)
        last, why, sent = s:send(text, sent + 1)
    end
end

-- Runs both functions as coroutines, each with its end and its context.
local function run(serve, call)
    local server, client = pair()
    local of_server, of_client = contexts()
    loop.spawn(serve, server, of_server)
    loop.spawn(call, client, of_client)
    loop.run()
end

function T.test_tls_begins_on_a_connection_that_was_read_before()
    local log = {}
    local function note(line) log[#log + 1] = line end
    run(function(s, context)
        note(read(s, "*l"))
        write(s, "go ahead\n")
        local secure = wrap(s, context)
        note(read(secure, "*l"))
        write(secure, "and hello to you\n")
        loop.close(secure)
    end, function(s, context)
        write(s, "may we?\n")
        note(read(s, "*l"))
        local secure = wrap(s, context)
        write(secure, "hello\n")
        note(read(secure, "*l"))
        loop.close(secure)
    end)
    equal(table.concat(log, ", "), "may we?, go ahead, hello, and hello to you")
    equal(#loop.queue, 0)
end

function T.test_what_tls_has_decrypted_is_read_without_another_event()
    local lines = 0
    run(function(s, context)
        local secure = wrap(s, context)
        for _ = 1, 100 do
            assert(loop.readable(secure, 60))
            local line = secure:receive("*l") -- one of the many bytes in a record
            if line then lines = lines + 1 end
            if line == "last" then break end
        end
        loop.close(secure)
    end, function(s, context)
        local secure = wrap(s, context)
        write(secure, ("line\n"):rep(9) .. "last\n")
        loop.readable(secure, 60) -- until the other end is closed
        loop.close(secure)
    end)
    equal(lines, 10)
end

function T.test_a_megabyte_goes_both_ways_at_once()
    local megabyte, left = ("0123456789abcdef"):rep(65536), 4
    local function talk(s, context)
        local secure = wrap(s, context)
        loop.spawn(function()
            write(secure, megabyte)
            left = left - 1
        end)
        assert(read(secure, #megabyte) == megabyte)
        left = left - 1
        while left > 0 do loop.sleep(0.001) end
        loop.close(secure)
    end
    run(talk, talk)
    equal(left, 0)
end

function T.test_select_takes_tls_objects_and_asks_them_for_what_they_hold()
    local server, client
    run(function(s, context) server = wrap(s, context) end,
        function(s, context) client = wrap(s, context) end)
    equal(select(2, readyq_select(nil, {client}, 60))[1], client)
    assert(client:send("one\ntwo\n"))
    repeat -- tickets that arrive after the handshake are readable, too
        local readable = readyq_select({server}, nil, 60)
        equal(readable[server], 1)
        local line = server:receive("*l")
    until line == "one"
    equal(server:dirty(), true)
    local readable, writable, word = readyq_select({server}, {server}, 60)
    equal(readable[server], 1)
    equal(#writable + #readable, 2)
    equal(word, nil)
    equal(server:receive("*l"), "two")
    equal(server:dirty(), false)
    equal(select(3, readyq_select({server}, nil, 0)), "timeout")
    server:close()
    client:close()
end

function T.test_a_tls_object_is_a_source_of_a_queue()
    local q, server, client = readyq.new(), nil, nil
    run(function(s, context) server = wrap(s, context) end,
        function(s, context) client = wrap(s, context) end)
    local watch = assert(q:add(server, "r", "tls"))
    equal(watch.fd, server:getfd())
    assert(client:send("hello\n"))
    equal(select(3, things.event(q)), "tls")
    equal(q:get(server), watch)
    server:close()
    client:close()
    assert(q:remove(server))
    things.raises("its getfd returns %-1", q.add, q, server, "r")
end

-- ---------------------------------------------------------------- readyq.socket

-- Runs both functions as coroutines. Each gets its end, which waits, and its context.
local function run_waiting(serve, call)
    run(function(s, context) return serve(waiting.wrap(s), context) end,
        function(s, context) return call(waiting.wrap(s), context) end)
    equal(#loop.queue, 0)
end

local function wrap_waiting(s, context)
    s:setoption("tcp-nodelay", true)
    local secure = waiting.wrap(assert(ssl.wrap(s, context)))
    equal(s:getfd(), -1)
    equal(secure:dohandshake(), true)
    return secure
end

function T.test_the_calls_of_a_tls_object_wait_and_return_what_luasecs_return()
    local text, timed_out = ("0123456789abcdef"):rep(65536), loop.event()
    run_waiting(function(s, context)
        local secure = wrap_waiting(s, context)
        equal(secure:receive(), "hello")
        equal(secure:send("more\n"), 5)
        assert(secure:receive(#text) == text)
        equal(secure:send(text, 2, 4), 4)
        secure:send("half")
        timed_out:wait()
        secure:close()
    end, function(s, context)
        local secure = wrap_waiting(s, context)
        equal(secure:send("hello\n"), 6)
        equal(secure:receive("*l", "and "), "and more")
        equal(secure:send(text), #text)
        equal(secure:receive(3), "123")
        secure:settimeout(0.01)
        local line, why, part = secure:receive()
        equal(line, nil)
        equal(why, "wantread") -- LuaSec's word for a timeout
        equal(part, "half")
        timed_out:set()
        secure:settimeout(nil)
        line, why, part = secure:receive("*l", part)
        equal(line, nil)
        equal(why, "closed")
        equal(part, "half")
        equal(secure:info("protocol"):find("^TLS") ~= nil, true)
        secure:close()
    end)
end

function T.test_a_handshake_with_a_silent_or_a_closed_end_fails_as_luasecs()
    local closed = loop.event()
    run_waiting(function(s)
        closed:wait()
        s:close()
    end, function(s, context)
        local secure = waiting.wrap(assert(ssl.wrap(s, context)))
        secure:settimeout(0.01)
        local done, why = secure:dohandshake()
        equal(done, false)
        equal(why, "wantread")
        loop.spawn(function()
            loop.close(secure)
            closed:set()
        end)
        secure:settimeout(nil)
        done, why = secure:dohandshake()
        equal(done, false)
        equal(why, "closed")
    end)
end

function T.test_luasecs_https_client_waits_in_the_loop()
    waiting.install()
    local https = require "ssl.https"
    local listener = assert(waiting.bind("127.0.0.1", 0))
    local _, port = listener:getsockname()
    local context = contexts()
    loop.spawn(function()
        for _ = 1, 2 do
            local client = assert(listener:accept())
            loop.spawn(function()
                local secure = wrap_waiting(client, context)
                local path = secure:receive():match("/%S+")
                repeat until secure:receive() == ""
                loop.sleep(0.01)
                local text = "HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n%s"
                secure:send(text:format(#path, path))
                secure:close()
            end)
        end
        listener:close()
    end)
    local bodies = {}
    for i = 1, 2 do
        loop.spawn(function()
            bodies[i] = https.request(("https://127.0.0.1:%d/page%d"):format(port, i))
        end)
    end
    loop.run()
    equal(bodies[1], "/page1")
    equal(bodies[2], "/page2")
end

return T
