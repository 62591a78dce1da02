-- SPDX-License-Identifier: MIT
--
-- One of several echo servers that share a port, like c/worker.c: `worker.lua exclusive|plain FD`.
local readyq = require "readyq"
local socket = require "socket"

local queue = readyq.new()
local accepted = 0

-- LuaSocket accepts connections only on a socket that it has made listen itself.
local function adopt(fd)
    local listener = assert(socket.bind("127.0.0.1", 0))
    listener:setfd(fd)
    listener:settimeout(0)
    return listener
end

local listener = adopt(tonumber(arg[2]))
local extra = arg[1] == "exclusive" and readyq.EXCLUSIVE or 0
local accepting = queue:add(listener, readyq.READ + extra)
local input = queue:add(0, "r")

local function accept()
    local client = listener:accept()
    if not client then return end -- another worker was faster
    accepted = accepted + 1
    client:settimeout(0)
    queue:add(client, "r", client)
end

local function answer(w, client)
    local data, why, part = client:receive(16384)
    data = data or part
    if data ~= "" then
        client:send(data)
    elseif why == "closed" then
        w:remove()
        client:close()
    end
end

local function report()
    if not io.read() then os.exit(0) end
    print(accepted)
    io.flush()
end

while true do
    for w, _, client in queue:wait() do
        if w == accepting then
            accept()
        elseif w == input then
            report()
        else
            answer(w, client)
        end
    end
end
