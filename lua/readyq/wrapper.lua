-- SPDX-License-Identifier: MIT
--
-- The objects of readyq.socket, which wait in readyq.loop where LuaSocket's and LuaSec's block.
--
-- An object here is a table with the LuaSocket or LuaSec object in it, `raw`. A method calls
-- that of the raw object with a timeout of 0. If that would block, the coroutine waits until the
-- descriptor is ready, and calls it again. Outside of coroutines the raw object is called with the
-- timeouts of the program, and blocks.
local readyq = require "readyq"
local loop = require "readyq.loop"
local misuse = require "readyq.misuse"
local selection = require "readyq.selection"
local Turns = require "readyq.turns"

local luasocket = require "socket"
luasocket = luasocket.original or luasocket -- it is readyq.socket after install()

local running, type, insert = coroutine.running, type, table.insert
local READ, WRITE = readyq.READ, readyq.WRITE
local queue = loop.queue

-- ---------------------------------------------------------------- calling the raw object

local BITS = {wantread = READ, wantwrite = WRITE} -- LuaSec's words

-- In the main program, and in callbacks of watches.
local function is_outside()
    local co, is_main = running()
    return is_main or not co
end

-- What a call through pcall() returned. An error is raised at the line of the program, and counts
-- the arguments as Lua does for methods.
local function pass(name, turns, ok, ...)
    if ok then return ... end
    if turns and turns.current then turns:pass_on() end
    local number, reason = tostring((...)):match("bad argument #(%d+) to '.-' (%(.*%))$")
    if not number then misuse.raise("%s: %s", name, tostring((...))) end
    if number == "1" then misuse.raise("calling '%s' on bad self %s", name, reason) end
    misuse.raise("bad argument #%d to '%s' %s", number - 1, name, reason)
end

-- A call such as s.receive() instead of s:receive(). For send() and receive(), a number is not
-- noticed here but raises Lua's own error: type() would cost 5 % of an echo (callgrind, Lua 5.4).
local function refuse_self(name, self)
    misuse.raise("calling '%s' on bad self (object of readyq.socket expected, got %s)", name,
        type(self))
end

local function is_wrapped(object) return type(object) == "table" and object.raw_block ~= nil end

local function check_self(name, self)
    if not is_wrapped(self) then refuse_self(name, self) end
end

-- Sets how long the raw object itself blocks.
local function let_block(self, seconds)
    if self.raw_block == seconds then return end
    self.raw:settimeout(seconds)
    self.raw_block, self.is_fast = seconds, false
end

local function call_blocking(self, name, ...)
    let_block(self, self.block)
    return pass(name, nil, pcall(self.raw[name], self.raw, ...))
end

-- The first attempt of a call, where LuaSocket checks its arguments.
local function attempt(self, name, turns, ...)
    if self.raw_block ~= 0 then let_block(self, 0) end
    return pass(name, turns, pcall(self.raw[name], self.raw, ...))
end

-- When a call begins; nil if it has no limit.
local function now(self) return (self.block > 0 or self.total >= 0) and queue:now() or nil end

-- How long a call that began at `start` may still wait. LuaSocket counts either limit from the
-- beginning of the call; if both are set, "b" limits each wait.
local function left(self, start)
    local block, total = self.block, self.total
    if block == 0 then return 0 end
    if not start then return nil end
    local passed = queue:now() - start
    if total < 0 then return math.max(0, block - passed) end
    total = math.max(0, total - passed)
    return block < 0 and total or math.min(block, total)
end

-- An attempt has failed, for the reason `why`. Waits if it would have blocked. Returns nil if the
-- next attempt can be made, or else why the call fails.
local function wait(self, name, turns, bit, why, start)
    bit = BITS[why] or why == "timeout" and bit
    local seconds = bit and left(self, start)
    if bit and seconds ~= 0 then
        local ok, reason = turns:wait(name, self.raw, bit, seconds)
        if ok then return nil end
        if reason ~= "timeout" then why = reason end
    end
    if turns.current then turns:pass_on() end
    return why
end

-- ---------------------------------------------------------------- methods

local wrap -- below

-- Returns the results of an attempt, or of the first one that does not say that it would block.
local function go_on(self, name, turns, bit, start, a, b, c, result, ...)
    if result then
        if turns.current then turns:pass_on() end
        return result, ...
    end
    local reason = wait(self, name, turns, bit, (...), start)
    if reason then return result, reason end
    return go_on(self, name, turns, bit, start, a, b, c, self.raw[name](self.raw, a, b, c))
end

-- A method that is called with the same arguments until it succeeds.
local function repeating(name, side, bit)
    return function(self, ...)
        check_self(name, self)
        if is_outside() then return call_blocking(self, name, ...) end
        local turns, start = self[side], now(self)
        if turns.current then
            local ok, why = turns:enter(name, left(self, start))
            if not ok then return nil, why end
        end
        local a, b, c = ...
        return go_on(self, name, turns, bit, start, a, b, c, attempt(self, name, turns, ...))
    end
end

local function wrap_first(first, ...)
    if first then return wrap(first), ... end
    return first, ...
end

local accept = repeating("accept", "reading", READ)
local connect = repeating("connect", "writing", WRITE)

local common = {} -- methods of all objects
local streams = {} -- methods of those that are not datagram sockets
local datagrams = {
    receive = repeating("receive", "reading", READ),
    receivefrom = repeating("receivefrom", "reading", READ),
    send = repeating("send", "writing", WRITE),
    sendto = repeating("sendto", "writing", WRITE),
}

streams.dohandshake = repeating("dohandshake", "writing", WRITE)

function streams:accept() return wrap_first(accept(self)) end

-- The addresses of a host that an object can connect to.
local function addresses_of(raw, host)
    local family, list = raw:getfamily(), {}
    for _, one in ipairs(luasocket.dns.getaddrinfo(host) or {}) do
        if family == "unspec" or family == one.family then insert(list, one) end
    end
    return list
end

-- With a timeout of 0 LuaSocket tries only the first address of a host.
function streams:connect(...)
    check_self("connect", self)
    if is_outside() then return call_blocking(self, "connect", ...) end
    local host = ...
    local list = type(host) == "string" and self.raw.getfamily and addresses_of(self.raw, host)
    if not list or #list == 0 then return connect(self, ...) end
    local done, why
    for _, one in ipairs(list) do
        local family = self.raw:getfamily()
        if family ~= "unspec" and family ~= one.family then
            loop.close(self.raw)
            self.raw, self.raw_block = luasocket.tcp(), false
        end
        done, why = connect(self, one.addr, select(2, ...))
        if done or self.block == 0 or why == "closed" then break end
    end
    if done then return done end
    return done, why
end

-- Continues a send() whose first attempt has returned these three values.
local function send_rest(self, data, last, done, why, sent)
    local turns, start = self.writing, nil
    while not done do
        start = start or now(self)
        local reason = wait(self, "send", turns, WRITE, why, start)
        if reason then return nil, reason, sent end
        done, why, sent = self.raw:send(data, sent + 1, last)
    end
    if turns.current then turns:pass_on() end
    return done, why, sent
end

-- A send() that has to wait for its turn, or whose arguments are to be checked by LuaSocket.
local function send(self, data, first, last)
    local turns = self.writing
    if data == nil then return attempt(self, "send", nil) end -- raises
    if turns.current then
        local ok, why = turns:enter("send", left(self, now(self)))
        if not ok then return nil, why, (first or 1) - 1 end
    end
    local done, why, sent = attempt(self, "send", turns, data, first, last)
    self.is_fast = true
    return send_rest(self, data, last, done, why, sent)
end

-- Usually the kernel takes all in one call, so that nothing waits, in a coroutine or outside.
function streams:send(data, first, last)
    local turns = self and self.writing or refuse_self("send", self)
    if first or last or not self.is_fast or turns.current
        or type(data) ~= "string" then
        if is_outside() and data ~= nil then
            return call_blocking(self, "send", data, first, last)
        end
        return send(self, data, first, last)
    end
    local done, why, sent = self.raw:send(data)
    if done then return done, nil, nil end
    if is_outside() then return call_blocking(self, "send", data, sent + 1) end
    return send_rest(self, data, nil, done, why, sent)
end

-- Whether a pattern asks for all bytes. Like LuaSocket, it looks at the letter after a "*".
local function is_for_all(pattern) return tostring(pattern):find("^%*?a") ~= nil end

-- Continues a receive() that got `part` so far, including a prefix of `before` bytes. The parts
-- are joined at the end: each would be copied again and again if it were passed as a prefix.
local function receive_rest(self, pattern, turns, start, before, why, part)
    local size, wanted = #part, pattern ~= "*l" and tonumber(pattern)
    local parts = size > 0 and {part} or nil
    local whole
    while true do
        local reason = wait(self, "receive", turns, READ, why, start)
        local is_all = why == "closed" and size > before and is_for_all(pattern)
        if is_all then return table.concat(parts), nil, nil end
        if reason then return nil, reason, parts and table.concat(parts) or "" end
        whole, why, part = self.raw:receive(wanted and math.floor(wanted) - size or pattern)
        if whole then
            self.has_received_line = pattern == "*l"
            if turns.current then turns:pass_on() end
            if not parts then return whole, nil, nil end
            insert(parts, whole)
            return table.concat(parts), nil, nil
        end
        if part ~= "" then
            parts = parts or {}
            insert(parts, part)
            size = size + #part
        end
    end
end

-- Waits for its turn, and if the call `is_next`, for the next line. Returns why the call fails, if
-- it does, and when it began.
local function begin_receive(self, turns, is_next)
    local start
    if turns.current then
        start = now(self)
        local ok, why = turns:enter("receive", left(self, start))
        if not ok then return why end
    end
    if not is_next or self.block == 0 or self.raw:dirty() then return nil, start end
    start = start or now(self)
    return wait(self, "receive", turns, READ, "timeout", start), start
end

-- A client needs time to answer a line. So if a line was received and the raw object holds no
-- more, the coroutine waits before the first attempt. That saves a system call that would fail,
-- and a coroutine with a fast client lets the others have their turns. Without limits this is a
-- simple wait, which takes 9,800 of 22,400 instructions off an echo (callgrind, Lua 5.4).
function streams:receive(pattern, prefix)
    local turns = self and self.reading or refuse_self("receive", self)
    local is_line = prefix == nil and (pattern == nil or pattern == "*l") and self.is_fast
    local is_next = is_line and self.has_received_line
    local ok, why, start, whole, part
    if is_next and self.block < 0 and self.total < 0 and not turns.current then
        ok, why = turns:await(self.raw)
    end
    if not ok and not why then
        if is_outside() then return call_blocking(self, "receive", pattern, prefix) end
        why, start = begin_receive(self, turns, is_next)
    end
    if why then return nil, why, prefix or "" end
    if is_line then
        whole, why, part = self.raw:receive()
    else
        whole, why, part = attempt(self, "receive", turns, pattern, prefix)
        self.is_fast = true
    end
    self.has_received_line = whole ~= nil and is_line
    if not whole then
        local before = prefix and #tostring(prefix) or 0
        start = start or now(self)
        return receive_rest(self, pattern or "*l", turns, start, before, why, part)
    end
    if turns.current then turns:pass_on() end
    return whole, nil, nil
end

function common:settimeout(value, mode)
    check_self("settimeout", self)
    local result = pass("settimeout", nil, pcall(self.raw.settimeout, self.raw, value, mode))
    local seconds = (tonumber(value) or -1) + 0.0 -- a float, where there are two kinds of numbers
    if mode and mode:sub(1, 1) ~= "b" then
        self.total = seconds
    else
        self.block, self.raw_block, self.is_fast = seconds, seconds, false
    end
    return result
end

function common:gettimeout()
    check_self("gettimeout", self)
    return self.block, self.total
end

-- Waiting calls by other coroutines return nil and "closed".
function common:close()
    check_self("close", self)
    selection.close(self)
    self.reading:close()
    self.writing:close()
    return loop.close(self.raw)
end

-- ---------------------------------------------------------------- objects

local classes = setmetatable({}, {__mode = "k"}) -- by the table of methods of the raw objects

local function pass_to_raw(name)
    return function(self, ...)
        check_self(name, self)
        return pass(name, nil, pcall(self.raw[name], self.raw, ...))
    end
end

-- The class has the same members as that of the raw object, since libraries look into it.
local function class_of(methods)
    if classes[methods] then return classes[methods] end
    local class = {__index = {}, __tostring = function(self) return tostring(self.raw) end}
    local own = methods.receivefrom and datagrams or streams
    for name, value in pairs(methods) do
        if type(value) == "function" then
            value = own[name] or common[name] or pass_to_raw(name)
        end
        class.__index[name] = value
    end
    class.__close = class.__index.close
    classes[methods] = class
    return class
end

-- Wraps a LuaSocket or LuaSec object, which must no longer be used directly, in one whose calls
-- wait.
function wrap(raw)
    if is_wrapped(raw) then return raw end
    local kind = type(raw) == "userdata" and debug.getmetatable(raw)
    local methods = kind and kind.__index
    if type(methods) ~= "table" or not methods.settimeout or not methods.getfd then
        misuse.raise("wrap: LuaSocket or LuaSec object expected, got %s", tostring(raw))
    end
    local block, total = -1.0, -1.0 -- no limits
    if raw.gettimeout then block, total = raw:gettimeout() end
    return setmetatable({
        raw = raw,
        block = block, -- the program's limits, as settimeout() got them
        total = total,
        raw_block = block, -- how long the raw object itself blocks now
        -- The raw object does not block, and send() and receive() are methods of its class. (Those
        -- of a listener, for example, raise errors.)
        is_fast = false,
        has_received_line = false, -- by the previous call to receive()
        reading = Turns.new(),
        writing = Turns.new(),
    }, class_of(methods))
end

return {wrap = wrap, wrap_first = wrap_first, is_outside = is_outside, luasocket = luasocket}
