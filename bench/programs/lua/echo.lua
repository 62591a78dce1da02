-- SPDX-License-Identifier: MIT
--
-- Echo servers of bench/echo.py in Lua: `echo.lua NAME` prints its port, and serves until it is
-- killed. Each is the program that a user of that library would write. It waits for whole lines
-- and sends them whole, however the kernel cuts them. Those with `bytes` in their names know no
-- lines and send back whatever arrives.

-- Debian installs copas, which is pure Lua, where versions 5.1 and 5.2 look for it.
package.path = package.path .. ";/usr/share/lua/5.1/?.lua"

local servers = {}

local function listen()
    local listener = assert(require "socket".bind("127.0.0.1", 0, 1024))
    listener:settimeout(0)
    return listener, select(2, listener:getsockname())
end

servers["readyq.socket"] = function()
    local loop, socket = require "readyq.loop", require "readyq.socket"
    local listener = assert(socket.bind("127.0.0.1", 0, 1024))
    local function serve(client)
        client:setoption("tcp-nodelay", true)
        while true do
            local line = client:receive()
            if not line then break end
            client:send(line .. "\n")
        end
        client:close()
    end
    loop.spawn(function()
        while true do loop.spawn(serve, assert(listener:accept())) end
    end)
    return select(2, listener:getsockname()), loop.run
end

-- With LuaSocket's own objects.
servers["readyq.loop"] = function()
    local loop = require "readyq.loop"
    local listener, port = listen()
    local function send(client, text)
        local done, why, sent = client:send(text)
        while why == "timeout" and loop.writable(client) do
            done, why, sent = client:send(text, sent + 1)
        end
        return done
    end
    local function serve(client)
        local line, why, part
        while why ~= "closed" and loop.readable(client) do
            line, why, part = client:receive(nil, part) -- nil: a line
            if line then
                send(client, line .. "\n")
                part = nil
            end
        end
        loop.close(client)
    end
    loop.spawn(function()
        while loop.readable(listener) do
            local client = listener:accept()
            if client then
                client:settimeout(0)
                client:setoption("tcp-nodelay", true)
                loop.spawn(serve, client)
            end
        end
    end)
    return port, loop.run
end

function servers.copas()
    local copas = require "copas"
    local listener, port = listen()
    copas.addserver(listener, function(client)
        client:setoption("tcp-nodelay", true)
        while true do
            local line = copas.receive(client)
            if not line then break end
            copas.send(client, line .. "\n")
        end
    end)
    return port, copas.loop
end

function servers.luaevent()
    local luaevent = require "luaevent"
    local listener, port = listen()
    luaevent.addserver(listener, function(client)
        client:setoption("tcp-nodelay", true)
        while true do
            local line = luaevent.receive(client)
            if not line then break end
            luaevent.send(client, line .. "\n")
        end
        client:close()
        return luaevent.core.LEAVE
    end)
    return port, luaevent.loop
end

function servers.cqueues()
    local cqueues, socket = require "cqueues", require "cqueues.socket"
    local controller = cqueues.new()
    local listener = socket.listen {host = "127.0.0.1", port = 0, nodelay = true}
    controller:wrap(function()
        while true do
            local client = listener:accept()
            client:setmode("bn", "bn")
            controller:wrap(function()
                local line = client:read("*L")
                while line do
                    client:write(line)
                    line = client:read("*L")
                end
                client:close()
            end)
        end
    end)
    assert(listener:listen())
    return select(3, listener:localname()), function() assert(controller:loop()) end
end

local function serve_by_luv(on_data)
    local uv = require "luv"
    local listener = uv.new_tcp()
    listener:bind("127.0.0.1", 0)
    listener:listen(1024, function()
        local client = uv.new_tcp()
        listener:accept(client)
        client:nodelay(true)
        client:read_start(on_data(client))
    end)
    return listener:getsockname().port, uv.run
end

function servers.luv()
    return serve_by_luv(function(client)
        local part = ""
        return function(_, data)
            if not data then return client:close() end
            data = part .. data
            local first, last = 1, data:find("\n", 1, true)
            while last do
                client:write(data:sub(first, last))
                first, last = last + 1, data:find("\n", last + 1, true)
            end
            part = data:sub(first)
        end
    end)
end

servers["luv bytes"] = function()
    return serve_by_luv(function(client)
        return function(_, data)
            if data then client:write(data) else client:close() end
        end
    end)
end

-- One queue and LuaSocket's objects, without coroutines.
servers["for bytes"] = function()
    local queue = require "readyq".new()
    local listener, port = listen()
    queue:add(listener, "r")
    local function serve(w, client)
        local data, why, part = client:receive(16384)
        data = data or part
        if data ~= "" then
            client:send(data)
        elseif why == "closed" then
            w:remove()
            client:close()
        end
    end
    local function accept()
        local client = listener:accept()
        if not client then return end
        client:settimeout(0)
        client:setoption("tcp-nodelay", true)
        queue:add(client, "r", client)
    end
    return port, function()
        while true do
            for w, _, client in queue:wait() do
                if client then serve(w, client) else accept() end
            end
        end
    end
end

local port, run = servers[arg[1]]()
print(port)
io.stdout:flush()
run()
