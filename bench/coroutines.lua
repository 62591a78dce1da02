-- SPDX-License-Identifier: MIT
--
-- Echo servers of run.py in Lua: `coroutines.lua readyq|luv|copas|cqueues|luaevent` prints its
-- port, and serves lines until it is killed; `coroutines.lua has MODULE` prints the name if it is
-- installed.

-- Debian installs copas, which is pure Lua, where versions 5.1 and 5.2 look for it.
package.path = package.path .. ";/usr/share/lua/5.1/?.lua"

local servers = {}

local function listen()
    local listener = assert(require "socket".bind("127.0.0.1", 0, 1024))
    listener:settimeout(0)
    return listener, select(2, listener:getsockname())
end

function servers.readyq()
    local loop = require "readyq.loop"
    local listener, port = listen()
    local function serve(client)
        while loop.readable(client) do
            local line = client:receive()
            if not line then break end
            client:send(line .. "\n")
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

function servers.luv()
    local uv = require "luv"
    local listener = uv.new_tcp()
    listener:bind("127.0.0.1", 0)
    listener:listen(1024, function()
        local client = uv.new_tcp()
        listener:accept(client)
        client:nodelay(true)
        client:read_start(function(_, data)
            if data then client:write(data) else client:close() end
        end)
    end)
    return listener:getsockname().port, uv.run
end

if arg[1] == "has" then
    print(require(arg[2]))
    return
end
local port, run = servers[arg[1]]()
print(port)
io.stdout:flush()
run()
