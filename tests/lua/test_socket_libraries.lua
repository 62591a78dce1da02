-- SPDX-License-Identifier: MIT
--
-- Libraries that use LuaSocket, unmodified on readyq.socket: LuaSocket's own http and smtp,
-- lua-redis with a real server, and pegasus. Client and server are coroutines of one loop, which a
-- call that blocks would stop.
local loop = require "readyq.loop"
local things = require "things"
local unix = require "unix"
local luasocket = things.need("socket", "lua-socket")
local socket = require "readyq.socket"
local equal = things.equal

local T = {}

equal(socket.install(), luasocket) -- before a library is loaded
equal(require "socket", socket)

local function run(...) things.run_to_their_ends(loop, ...) end

local function listen()
    local listener = assert(socket.bind("127.0.0.1", 0))
    return listener, select(2, listener:getsockname())
end

-- Gives each of `number` clients a coroutine.
local function serve(listener, number, f)
    return function()
        for _ = 1, number do
            local client = assert(listener:accept())
            loop.spawn(function()
                f(client)
                client:close()
            end)
        end
        listener:close()
    end
end

-- The lines of a message up to an empty one.
local function read_lines(client, last)
    local lines = {}
    repeat
        lines[#lines + 1] = assert(client:receive())
    until lines[#lines] == (last or "")
    return lines
end

-- ---------------------------------------------------------------- LuaSocket's own

local BODY = ("0123456789abcdef"):rep(65536)

local function answer(client)
    local path, size = read_lines(client)[1]:match(" /(%S+)"), #BODY
    if path == "posted" then
        client:send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    elseif path == "moved" then
        client:send("HTTP/1.1 302 Found\r\nLocation: /whole\r\nContent-Length: 0\r\n\r\n")
    elseif path == "chunks" then
        client:send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ = 1, 3 do
            client:send("5\r\nchunk\r\n")
            loop.sleep(0.002)
        end
        client:send("0\r\n\r\n")
    elseif path == "broken" then
        client:send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
    elseif path == "whole" then
        client:send(("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s"):format(size, BODY))
    else
        loop.sleep(0.1) -- longer than the client waits
    end
end

function T.test_luasockets_http_client_requests_several_pages_at_once()
    local http = require "socket.http"
    local listener, port = listen()
    local base = ("http://127.0.0.1:%d/"):format(port)
    local function expect(path, body, code, form)
        return function()
            local got, status = http.request(base .. path, form)
            equal(status, code)
            assert(got == body)
        end
    end
    run(serve(listener, 7, answer), expect("whole", BODY, 200), expect("moved", BODY, 200),
        expect("chunks", ("chunk"):rep(3), 200), expect("posted", "ok", 200, "a=b"),
        expect("broken", nil, "closed"),
        function()
            local client = nil
            local function create()
                client = assert(socket.tcp())
                local own = {}
                for name, method in pairs(getmetatable(client).__index) do
                    own[name] = type(method) == "function"
                        and function(_, ...) return method(client, ...) end or method
                end
                function own.settimeout() return client:settimeout(0.02) end
                return own
            end
            local got, why = http.request {url = base .. "slow", create = create}
            equal(got, nil)
            equal(why, "timeout")
            equal(client:getfd(), -1) -- what http does after an error
        end)
end

function T.test_luasockets_http_client_reports_a_refused_connection()
    local http = require "socket.http"
    local function check()
        local got, why = http.request("http://127.0.0.1:1/")
        equal(got, nil)
        equal(why, "connection refused")
    end
    check()
    run(check)
end

function T.test_luasockets_smtp_client_sends_a_mail()
    local smtp = require "socket.smtp"
    local listener, port = listen()
    local mail
    run(serve(listener, 1, function(client)
        client:send("220 ready\r\n")
        for _ = 1, 4 do
            local word = client:receive():match("^%a+")
            client:send(word == "DATA" and "354 go on\r\n" or "250 fine\r\n")
        end
        mail = table.concat(read_lines(client, "."), "\n")
        client:send("250 taken\r\n")
        client:receive()
        client:send("221 goodbye\r\n")
    end), function()
        local done, why = smtp.send {
            server = "127.0.0.1", port = port,
            from = "<ann@example.com>", rcpt = "<bob@example.com>",
            source = smtp.message {headers = {subject = "news"}, body = "It works.\r\n.so\r\n"},
        }
        equal(why, nil)
        equal(done, 1)
    end)
    assert(mail:lower():find("subject: news") and mail:find("It works.\n..so\n", 1, true))
end

-- ---------------------------------------------------------------- lua-redis

-- Starts a server, and returns its port, the file to which it writes, and its process id.
local function start_redis()
    local probe = io.popen("command -v redis-server")
    local path = probe:read()
    probe:close()
    if not path then error({skip = "needs the server Redis: apt-get install redis-server"}) end
    local listener, port = listen()
    listener:close()
    local command = "echo $$; exec redis-server --port %d --bind 127.0.0.1 "
        .. "--save '' --appendonly no 2>&1"
    local server = io.popen(command:format(port))
    local pid, line = tonumber(server:read()), nil
    repeat line = server:read() until not line or line:find("Ready to accept connections")
    assert(line, "redis-server has ended")
    return port, server, pid
end

-- if pcall(require, "redis")
function T.test_lua_redis_waits_for_a_real_server()
    local redis = things.need("redis", "lua-redis (for Lua 5.1 to 5.3)")
    local port, server, pid = start_redis()
    local log = {}
    local wrap = coroutine.wrap
    rawset(coroutine, "wrap", loop.wrap) -- since its subscriptions wait in a generator
    local ok, message = pcall(run, function()
        local client = redis.connect("127.0.0.1", port)
        equal(client:ping(), true)
        equal(client:set("key", BODY), true)
        assert(client:get("key") == BODY)
        for i = 1, 100 do equal(client:rpush("list", i), i) end
        loop.sleep(0.02)
        client:rpush("jobs", "a job")
        repeat loop.sleep(0.01) until client:publish("news", "it works") > 0 -- subscribers
        client:quit()
    end, function()
        local client = redis.connect {host = "127.0.0.1", port = port}
        log[#log + 1] = client:blpop("jobs", 30)[2]
        client:quit()
    end, function()
        local client = redis.connect("127.0.0.1", port)
        local next_message = client:pubsub {subscribe = {"news"}}
        local message, abort = next_message()
        equal(message.kind, "subscribe")
        message = next_message()
        log[#log + 1] = message.payload
        abort()
        next_message()
        client:quit()
    end)
    rawset(coroutine, "wrap", wrap)
    unix.kill(pid, 15)
    server:close()
    assert(ok, message)
    equal(table.concat(log, ", "), "a job, it works")
end

-- ---------------------------------------------------------------- pegasus

-- if pcall(require, "pegasus")
function T.test_a_pegasus_server_serves_in_the_loop()
    local ok, pegasus = pcall(require, "pegasus")
    if not ok then
        error({skip = _VERSION .. " has no module pegasus: luarocks install pegasus"})
    end
    local http = require "socket.http"
    local listener, port = listen()
    listener:close()
    local real_print = print
    _G.print = function() end -- it reports its address
    local application = loop.spawn(function()
        pegasus:new({host = "127.0.0.1", port = tostring(port)}):start(function(request, response)
            local name = request.querystring.name or request:post().name
            response:addHeader("Content-Type", "text/plain"):write("hello " .. name .. " " .. BODY)
        end)
    end)
    local left = 3
    local function ask(path, body)
        return function()
            loop.sleep(0.01)
            local got, code = http.request(("http://127.0.0.1:%d/"):format(port) .. path, body)
            equal(code, 200)
            assert(got == "hello ann " .. BODY)
            left = left - 1
            if left == 0 then loop.cancel(application) end
        end
    end
    run(ask("a?name=ann"), ask("b?name=ann"), ask("c", "name=ann"))
    _G.print = real_print
end

return T
