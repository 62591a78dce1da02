-- SPDX-License-Identifier: MIT
--
-- Forwards connections: `forward.lua PORT HOST TARGET_PORT`. The same program as forward.py.
--
-- Each direction of a connection has a coroutine, which receives a part and sends it before it
-- receives the next. So a slow receiver slows its sender down: back-pressure. Ctrl-C ends it.
local loop = require "readyq.loop"
local socket = require "socket"

local PART = 8192 -- bytes
local host, target_port = arg[2], tonumber(arg[3])

-- Receives what is there, PART bytes at most. Returns nil at the end.
local function receive(from)
    while loop.readable(from) do
        local data, message, part = from:receive(PART)
        data = data or part
        if #data > 0 then return data end
        if message ~= "timeout" then return nil end
    end
end

local function send(to, data)
    local sent = 0
    while sent < #data do
        local last, message, last_of_part = to:send(data, sent + 1)
        sent = last or last_of_part
        if not last and (message ~= "timeout" or not loop.writable(to)) then return false end
    end
    return true
end

-- Forwards one direction until the sender has ended.
local function forward(from, to)
    local data = receive(from)
    while data do
        if not send(to, data) then
            loop.close(from) -- ends the other direction, too
            loop.close(to)
            return
        end
        data = receive(from)
    end
    to:shutdown("send")
end

local function serve(client)
    client:settimeout(0)
    local target = socket.tcp()
    target:settimeout(0)
    target:connect(host, target_port)
    loop.writable(target)
    local answers = loop.spawn(forward, target, client)
    forward(client, target)
    loop.join(answers)
    loop.close(client)
    loop.close(target)
end

local listener = assert(socket.bind("127.0.0.1", tonumber(arg[1])))
listener:settimeout(0)
loop.spawn(function()
    while loop.readable(listener) do
        local client, message = listener:accept()
        if client then
            loop.spawn(serve, client)
        elseif message ~= "timeout" then
            loop.sleep(0.1) -- no descriptor is free
        end
    end
end)
loop.queue:add_signal("INT", loop.stop)
print("listening on " .. select(2, listener:getsockname()))
io.stdout:flush()
loop.run()
