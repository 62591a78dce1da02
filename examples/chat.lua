-- SPDX-License-Identifier: MIT
--
-- A chat server on readyq.loop: `chat.lua [port]`. The same chat as chat.py; it adds names to the
-- last step of the tutorial. Try it with `nc 127.0.0.1 PORT`. Each client has two coroutines: one
-- reads its lines, the other sends what waits for it. Nothing is lost: when more than FULL bytes
-- wait for a client, the server reads from no client until that one has taken them, or until STALL
-- seconds have passed and its connection is closed. Ctrl-C and SIGTERM end the server.
local loop = require "readyq.loop"
local socket = require "socket"

local NAME_TIME = 60 -- seconds for a new client to give its name
local IDLE = tonumber(os.getenv("CHAT_IDLE")) or 3600 -- seconds without a line
local STALL = tonumber(os.getenv("CHAT_STALL")) or 10 -- seconds for a client to take a part
local GOODBYE = 2 -- seconds for a leaving client to take the rest
local LONGEST = 4096 -- bytes in a line
local FULL = 65536 -- bytes that may wait for a client before the server stops reading
local PAUSE = 0.1 -- seconds after which accept is tried again if no descriptor was free

local clients, full = {}, {} -- sets
local room = loop.event() -- set while no buffer is full
room:set()

local Client = {}
Client.__index = Client

-- ---------------------------------------------------------------- sending

-- Keeps the line until the coroutine that writes sends it.
function Client:say(line)
    if self.leaving then return end
    table.insert(self.lines, line .. "\n")
    self.size = self.size + #line + 1
    self.news:set()
    if self.size > FULL then
        full[self] = true
        room:clear()
    end
end

function Client:say_to_others(line)
    for client in pairs(clients) do
        if client ~= self and client.name then client:say(line) end
    end
end

function Client:has_room()
    full[self] = nil
    if not next(full) then room:set() end
end

-- send() may take only part of the text. Returns whether all was sent.
function Client:send(text)
    local limit, sent = loop.deadline(STALL), 0
    while sent < #text do
        local last, message, last_of_part = self.socket:send(text, sent + 1)
        sent = last or last_of_part
        if not last and (message ~= "timeout" or not loop.writable(self.socket, limit)) then
            return false
        end
    end
    return true
end

function Client:write()
    repeat
        self.news:wait()
        self.news:clear()
        local text = table.concat(self.lines)
        self.lines = {}
        local ok = self:send(text)
        self.size = self.size - #text
        if self.size <= FULL then self:has_room() end
    until not ok or self.leaving and self.size == 0
    clients[self] = nil
    self:is_gone()
    loop.close(self.socket) -- ends the wait of the coroutine that reads
end

-- ---------------------------------------------------------------- leaving

-- No client waits for it any more, and the others are told once.
function Client:is_gone()
    self:has_room()
    local name = self.name
    self.name = nil
    if name then self:say_to_others(name .. " left") end
end

-- Sends what is waiting and the reason, and then closes the connection.
function Client:leave(reason)
    if self.leaving then return end
    if reason then self:say(reason) end
    self.leaving = true
    self.news:set()
    self:is_gone()
    loop.queue:add_timer(GOODBYE, function() loop.close(self.socket) end)
end

-- ---------------------------------------------------------------- receiving

function Client:take(line)
    line = line:gsub("\r$", "")
    if self.name then
        self:say_to_others(self.name .. ": " .. line)
    else
        self.name = line
        self:say_to_others(line .. " joined")
    end
end

-- Takes the complete lines of the text. Returns the rest; or nil if a line is too long.
function Client:split(text)
    local first = 1
    for last in text:gmatch "()\n" do
        if last - first > LONGEST then return nil end
        self:take(text:sub(first, last - 1))
        first = last + 1
    end
    local rest = text:sub(first)
    return #rest <= LONGEST and rest or nil
end

function Client:read()
    self:say("who are you?")
    local rest, limit = "", loop.deadline(math.min(NAME_TIME, IDLE))
    repeat
        local ready, why = loop.readable(self.socket, limit)
        while not room:is_set() do -- a client reads too slowly: those that send have to wait
            room:wait()
            limit = loop.deadline(IDLE)
        end
        if self.leaving then return end
        if not ready then
            return self:leave(why == "timeout" and "you were silent for too long" or nil)
        end
        local text, message, part = self.socket:receive(8192)
        text = text or part
        if text:find "\n" then limit = loop.deadline(IDLE) end
        rest = self:split(rest .. text)
        if not rest then return self:leave("your line is too long") end
    until message == "closed"
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
            connection:settimeout(0)
            local client = {socket = connection, lines = {}, size = 0, news = loop.event()}
            clients[setmetatable(client, Client)] = true
            loop.spawn(client.write, client)
            loop.spawn(client.read, client)
        elseif message ~= "timeout" then
            loop.sleep(PAUSE) -- no descriptor is free
        end
    end
end)

local signals = {}
local function finish()
    for _, watch in ipairs(signals) do watch:remove() end
    loop.close(listener)
    for client in pairs(clients) do client.name = nil end -- no message says who leaves
    for client in pairs(clients) do client:leave("the server is shutting down") end
end
for i, name in ipairs {"INT", "TERM"} do
    signals[i] = assert(loop.queue:add_signal(name, finish))
end
loop.run()
