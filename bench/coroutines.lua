-- SPDX-License-Identifier: MIT
--
-- Echo servers of coroutines.py: `coroutines.lua readyq|copas|luv` prints its port, and serves
-- lines until it is killed.

local servers = {}

function servers.readyq()
    local loop, socket = require "readyq.loop", require "socket"
    local listener = assert(socket.bind("127.0.0.1", 0, 1024))
    listener:settimeout(0)
    local function serve(client)
        while loop.readable(client) do
            local line = client:receive()
            if not line then break end
            client:send(line .. "\n")
        end
        client:close()
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
    return select(2, listener:getsockname()), loop.run
end

function servers.copas()
    local copas, socket = require "copas", require "socket"
    local listener = assert(socket.bind("127.0.0.1", 0, 1024))
    copas.addserver(listener, function(client)
        client:setoption("tcp-nodelay", true)
        while true do
            local line = copas.receive(client)
            if not line then break end
            copas.send(client, line .. "\n")
        end
    end)
    return select(2, listener:getsockname()), copas.loop
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

local port, run = servers[arg[1]]()
print(port)
io.stdout:flush()
run()
