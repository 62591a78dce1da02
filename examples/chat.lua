-- SPDX-License-Identifier: MIT
--
-- A chat server on readyq.loop: `chat.lua [port]`. Try it with `nc 127.0.0.1 PORT`. Each client
-- has two coroutines. One reads lines. The other sends the lines that wait for the client, so that
-- a slow client gets all of them, whole and in order, and delays no other one. Ctrl-C and SIGTERM
-- end it.
local loop = require "readyq.loop"
local socket = require "socket"

local NAME_TIME = 60 -- seconds to say who one is
local IDLE_TIME = tonumber(os.getenv("CHAT_IDLE")) or 3600 -- seconds without a line
local STALL_TIME = 60 -- seconds without reading anything of what waits
local GOODBYE_TIME = 2 -- seconds to read the rest, for one who leaves
local BACKLOG = 64 * 1024 * 1024 -- bytes that may wait for a client
local LONGEST = 4096 -- bytes in a line
local TURN = 100 -- lines, after which others have their turn

local clients = {} -- a set
local Client = {}
Client.__index = Client

-- ---------------------------------------------------------------- sending

function Client:say(line)
    if self.leaving:is_set() then return end
    table.insert(self.lines, line .. "\n")
    self.waiting = self.waiting + #line + 1
    self.news:set()
    if self.waiting > BACKLOG then self:leave() end
end

local function say_to_others(sender, line)
    for client in pairs(clients) do
        if client ~= sender and client.name then client:say(line) end
    end
end

-- Waits until the client has read something. Returns false if it does not, or has gone.
function Client:wait_for_room()
    if self.leaving:is_set() then return loop.writable(self.socket, self.limit) end
    local first, ok = loop.any {{self.socket, "w"}, self.leaving, timeout = STALL_TIME}
    return first == 2 or ok
end

-- send() may take a part of the data: it returns the place up to which it did.
function Client:send(data)
    local sent = 0
    while sent < #data do
        local last, message, last_of_part = self.socket:send(data, sent + 1)
        sent = last or last_of_part
        if not last and (message ~= "timeout" or not self:wait_for_room()) then return false end
    end
    self.waiting = self.waiting - #data
    return true
end

function Client:write()
    repeat
        self.news:wait()
        self.news:clear()
        local data = table.concat(self.lines)
        self.lines = {}
        local ok = self:send(data)
    until not ok or self.leaving:is_set() and #self.lines == 0
    clients[self] = nil
    loop.close(self.socket) -- ends the wait of the coroutine that reads
end

-- What waits for the client is sent, and then its connection is closed.
function Client:leave()
    if self.leaving:is_set() then return end
    self.idle:remove()
    self.limit = loop.deadline(GOODBYE_TIME)
    self.leaving:set()
    self.news:set()
end

-- ---------------------------------------------------------------- receiving

-- The next line, or nil. LuaSocket has a buffer, so that it is asked first and the loop only if it
-- has no whole line; it returns the part that it has.
function Client:receive(limit)
    self.turn = self.turn + 1
    if self.turn % TURN == 0 then loop.sleep() end
    local line, message, part = self.socket:receive("*l", self.part)
    while not line do
        if message ~= "timeout" or #part > LONGEST then return nil end
        self.part = part
        if not loop.readable(self.socket, limit) then return nil end
        line, message, part = self.socket:receive("*l", self.part)
    end
    self.part = ""
    return line
end

function Client:talk()
    self:say("who are you?")
    self.name = self:receive(loop.deadline(NAME_TIME))
    if not self.name then return end
    say_to_others(self, self.name .. " came")
    local line = self:receive()
    while line do
        self.idle:restart(IDLE_TIME)
        say_to_others(self, self.name .. ": " .. line)
        line = self:receive()
    end
    say_to_others(self, self.name .. " left")
end

local function serve(connection)
    connection:settimeout(0)
    local self = setmetatable({
        socket = connection,
        lines = {}, waiting = 0, -- lines to send, and their bytes
        part = "", turn = 0,
        news = loop.event(), leaving = loop.event(),
    }, Client)
    self.idle = loop.queue:add_timer(IDLE_TIME, function()
        self:say("you were silent for too long")
        self:leave()
    end)
    clients[self] = true
    loop.spawn(self.write, self)
    self:talk()
    self:leave()
end

-- ---------------------------------------------------------------- the server

local listener = assert(socket.bind("127.0.0.1", tonumber(arg[1]) or 0))
listener:settimeout(0)
print("listening on " .. select(2, listener:getsockname()))
io.stdout:flush()

loop.spawn(function()
    while loop.readable(listener) do
        local connection, message = listener:accept()
        if connection then
            loop.spawn(serve, connection)
        elseif message ~= "timeout" then
            loop.sleep(0.1) -- no descriptor is free
        end
    end
end)

local signals = {}
local function finish()
    for _, watch in ipairs(signals) do watch:remove() end
    loop.close(listener)
    for client in pairs(clients) do
        client:say("the server ends")
        client:leave()
    end
end
for i, name in ipairs {"INT", "TERM"} do
    signals[i] = assert(loop.queue:add_signal(name, finish))
end
loop.run()
