-- SPDX-License-Identifier: MIT
--
-- A chat server on readyq.loop: `chat.lua [port]`. Each client is a coroutine that reads lines and
-- sends them to all others; the listener is a coroutine, too. Ctrl-C ends it. Try it with `nc
-- 127.0.0.1 PORT`.
local loop = require "readyq.loop"
local socket = require "socket"

local names = {} -- of the connected clients

local function tell(sender, line)
    for client in pairs(names) do
        if client ~= sender then client:send(line .. "\n") end
    end
end

local function receive(client)
    local line, message, part
    repeat
        if not loop.readable(client) then return nil end
        line, message, part = client:receive("*l", part)
    until line or message ~= "timeout"
    return line
end

local function serve(client)
    client:settimeout(0)
    client:send("who are you?\n")
    local name = receive(client)
    if name then
        names[client] = name
        tell(client, name .. " came")
        local line = receive(client)
        while line do
            tell(client, name .. ": " .. line)
            line = receive(client)
        end
        names[client] = nil
        tell(client, name .. " left")
    end
    loop.close(client)
end

local listener = assert(socket.bind("127.0.0.1", tonumber(arg[1]) or 0))
listener:settimeout(0)
local _, port = listener:getsockname()
print("listening on " .. port)
io.stdout:flush()

loop.spawn(function()
    while loop.readable(listener) do
        local client = listener:accept()
        if client then loop.spawn(serve, client) end
    end
end)
loop.queue:add_signal("INT", loop.stop)
loop.run()
