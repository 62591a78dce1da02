-- SPDX-License-Identifier: MIT
--
-- copas on readyq.select: servers and clients of one copas loop, unmodified.
local things = require "things"
local socket = things.need("socket", "lua-socket")
local readyq_select = require "readyq.select"
local stock = readyq_select.install() -- before copas is loaded
local copas = things.need("copas", "lua-copas (for Lua 5.1 and 5.2)")
local equal, unpack = things.equal, table.unpack or unpack

local T = {}

-- copas has two sets of sockets as long as it is loaded, and they have one queue.
local function use_queue()
    copas.step(0)
    things.kept = 2
end

-- Serves on a new port, and returns that and the listener.
local function serve(handler)
    local listener = assert(socket.bind("127.0.0.1", 0, 100))
    copas.addserver(listener, handler)
    use_queue()
    return select(2, listener:getsockname()), listener
end

-- Steps copas until all functions have returned, each in a thread of its own.
local function run(...)
    local functions, left = {...}, select("#", ...)
    for _, f in ipairs(functions) do
        copas.addthread(function()
            f()
            left = left - 1
        end)
    end
    local deadline = socket.gettime() + 60
    while left > 0 do
        assert(socket.gettime() < deadline, "threads of copas wait for ever")
        copas.step(0.1)
    end
    repeat until not copas.step(0.05) -- servers see that their clients have closed
end

local function echo(client)
    local line = copas.receive(client)
    while line do
        copas.send(client, line .. "\n")
        line = copas.receive(client)
    end
end

local function client_of(port, f)
    return function()
        local client = socket.tcp()
        assert(copas.connect(client, "127.0.0.1", port))
        f(client)
        client:close()
    end
end

function T.test_copas_uses_the_queue()
    equal(socket.select, readyq_select.select)
    assert(stock ~= socket.select)
end

function T.test_a_server_of_copas_returns_lines_of_any_size()
    local port, listener = serve(echo)
    local clients, got = {}, 0
    for i = 1, 40 do
        local line = ("%d,"):format(i):rep(i % 4 == 0 and 100000 or i)
        clients[i] = client_of(port, function(client)
            for _ = 1, 5 do
                copas.send(client, line .. "\n") -- the large ones are sent in parts
                assert(copas.receive(client) == line)
                got = got + 1
            end
        end)
    end
    run(unpack(clients))
    equal(got, 40 * 5)
    listener:close()
end

function T.test_a_client_that_sends_much_and_one_that_sends_a_line_are_both_answered()
    local sink, size = 0, 4000000
    local port, listener = serve(function(client)
        local kind = copas.receive(client)
        if kind == "echo" then return echo(client) end
        sink = #copas.receive(client, size)
        copas.send(client, "taken\n")
    end)
    local log = {}
    run(client_of(port, function(client)
        copas.send(client, "sink\n" .. ("x"):rep(size))
        equal(copas.receive(client), "taken")
        log[#log + 1] = "sink"
    end), client_of(port, function(client)
        copas.send(client, "echo\nhello\n")
        equal(copas.receive(client), "hello")
        log[#log + 1] = "echo"
    end))
    table.sort(log)
    equal(table.concat(log, " "), "echo sink")
    equal(sink, size)
    listener:close()
end

function T.test_a_step_with_nothing_to_do_ends_after_its_timeout()
    local _, listener = serve(echo)
    local before = socket.gettime()
    assert(not copas.step(0.05))
    local passed = socket.gettime() - before
    assert(passed >= 0.049 and passed < 20, passed)
    listener:close()
end

function T.test_a_handler_that_raises_ends_its_connection_alone()
    local message
    local port, listener = serve(function(client)
        copas.setErrorHandler(function(m) message = m end)
        if copas.receive(client) == "raise" then error("it failed") end
        copas.send(client, "fine\n")
    end)
    run(client_of(port, function(client)
        copas.send(client, "raise\n")
        local line, why = copas.receive(client)
        equal(line, nil)
        equal(why, "closed")
    end), client_of(port, function(client)
        copas.send(client, "go on\n")
        equal(copas.receive(client), "fine")
    end))
    assert(message:find("it failed"))
    listener:close()
end

function T.test_datagrams_of_copas()
    local function udp()
        local object = assert(socket.udp())
        object:settimeout(0)
        return object
    end
    local server = udp()
    assert(server:setsockname("127.0.0.1", 0))
    local _, port = server:getsockname()
    copas.addserver(server, function(s)
        s = copas.wrap(s)
        while true do
            local text, ip, from = s:receivefrom()
            if not text then break end
            s:sendto(text:upper(), ip, from)
        end
    end)
    local function ask(word)
        return function()
            local raw = udp()
            local client = copas.wrap(raw)
            client:sendto(word, "127.0.0.1", port)
            equal((client:receivefrom()), word:upper())
            raw:close()
        end
    end
    run(ask("one"), ask("two"), ask("three"))
    use_queue()
    server:close()
end

function T.test_luasockets_http_client_requests_pages_through_copas()
    local http = require "socket.http" -- copas has replaced what it needs of LuaSocket
    local body = ("0123456789"):rep(50000)
    local port, listener = serve(function(client)
        local path = copas.receive(client):match(" /(%S*)")
        repeat until copas.receive(client) == ""
        copas.send(client, ("HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n"):format(#path + #body))
        copas.send(client, path .. body)
    end)
    local function create()
        local raw = socket.tcp()
        local object = {}
        function object.connect(_, ...) return copas.connect(raw, ...) end
        function object.send(_, ...) return copas.send(raw, ...) end
        function object.receive(_, ...) return copas.receive(raw, ...) end
        function object.settimeout() return 1 end
        function object.close() return raw:close() end
        return object
    end
    local function fetch(path)
        return function()
            local parts = {}
            local url = ("http://127.0.0.1:%d/%s"):format(port, path)
            local sink = function(part) parts[#parts + 1] = part return 1 end
            local ok, code = http.request {url = url, create = create, sink = sink}
            equal(code, 200)
            assert(ok and table.concat(parts) == path .. body)
        end
    end
    run(fetch("a"), fetch("b"), fetch("c"), fetch("d"))
    listener:close()
end

-- if pcall(require, "copas.timer")
function T.test_timers_and_timeouts_of_a_later_copas()
    local ok, timer = pcall(require, "copas.timer")
    if not ok then
        error({skip = "copas " .. copas._VERSION .. " has no timers: luarocks install copas"})
    end
    local port, listener = serve(function(client) copas.receive(client) end) -- never answers
    local fired = {}
    for _, delay in ipairs {0.06, 0.02, 0.04} do
        timer.new {delay = delay, callback = function() fired[#fired + 1] = delay end}
    end
    run(function()
        copas.sleep(0.03)
        equal(fired[1], 0.02)
        copas.sleep(0.1)
        equal(table.concat(fired, " "), "0.02 0.04 0.06")
    end, function()
        local client = copas.wrap(socket.tcp())
        assert(client:connect("127.0.0.1", port))
        client:settimeout(0.05)
        local before = socket.gettime()
        local line, why = client:receive()
        equal(line, nil)
        equal(why, "timeout")
        assert(socket.gettime() - before >= 0.045)
        client:close()
    end)
    listener:close()
end

return T
