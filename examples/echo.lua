-- SPDX-License-Identifier: MIT
--
-- An echo server on one queue: `echo.lua [port]`. The same program as echo.c and echo.py.
--
-- One thread sleeps until some client can be read or written, serves that client as far as
-- possible without blocking, and sleeps again. Ctrl-C ends it. LuaSocket reads a little more than
-- was requested: `dirty` returns whether it holds bytes that the kernel no longer reports.
-- If it does, WRITE is asked for, so that the client has its turn again after the others.

local readyq = require "readyq"
local socket = require "socket"

local ROOM = 65536 -- how many bytes a client may send ahead of what it reads back
local PAUSE = 0.1 -- seconds after which accept is tried again if no descriptor was free

local queue = assert(readyq.new())
local listener, interrupt

local function add_client(sock)
    sock:settimeout(0)
    local client = {
        sock = sock,
        ended = false, -- the client has sent its last byte
        unsent = "",
    }
    client.watch = assert(queue:add(sock, readyq.READ, client))
end

local function drop(client)
    client.watch:remove()
    client.sock:close()
end

local function accept_clients()
    local sock, message = listener.source:accept()
    while sock do
        add_client(sock)
        sock, message = listener.source:accept()
    end
    if message:find("Too many open files", 1, true) then
        listener:modify(0)
        queue:add_timer(PAUSE, listener)
    end
end

-- Reads what has arrived. A broken connection is noticed when it is written to.
local function read_from(client)
    local data, message, partial = client.sock:receive(ROOM - #client.unsent)
    client.ended = message ~= nil and message ~= "timeout"
    client.unsent = client.unsent .. (data or partial)
end

-- Writes as much as possible and keeps the rest. False when the connection is broken.
local function write_to(client)
    local last, message, partial = client.sock:send(client.unsent)
    client.unsent = client.unsent:sub((last or partial) + 1)
    return last ~= nil or message == "timeout"
end

local function serve(client)
    local alive, readable = true, client.watch.readable or client.sock:dirty()
    if readable and #client.unsent < ROOM then read_from(client) end
    if client.unsent ~= "" then alive = write_to(client) end
    if not alive or (client.ended and client.unsent == "") then
        drop(client)
        return
    end
    local interest = 0
    if not client.ended and #client.unsent < ROOM / 2 then interest = interest + readyq.READ end
    if client.unsent ~= "" or client.sock:dirty() then interest = interest + readyq.WRITE end
    if interest ~= client.watch.interest then client.watch:modify(interest) end
end

local function listen_on(port)
    local sock = assert(socket.bind("127.0.0.1", port, 4096))
    sock:settimeout(0)
    print("listening on " .. select(2, sock:getsockname()))
    io.stdout:flush()
    return sock
end

local function run()
    while true do
        for w, _, client in queue:wait() do
            if w == interrupt then
                return
            elseif w == listener then
                accept_clients()
            elseif w.kind == "timer" then
                listener:modify(readyq.READ) -- the end of its pause
            else
                serve(client)
            end
        end
    end
end

listener = assert(queue:add(listen_on(tonumber(arg[1]) or 0), readyq.READ))
interrupt = assert(queue:add_signal("INT"))
run()
queue:close()
