-- SPDX-License-Identifier: MIT
--
-- Waiting for descriptors, for readyq.loop.
--
-- A Descriptor is what the loop knows about one descriptor: its watch, and under each of READ,
-- WRITE and PRIORITY the task (task.lua) that waits for that; false if none waits, but the watch
-- asks for it; nil if the watch does not ask for it. All objects with the same descriptor share
-- one, as a socket and the TLS object that wraps it do; the latest object owns it.
--
-- The watch of an object is kept in the queue between two waits, so that waiting again makes no
-- system call. If an event comes and no task waits for it, the watch stops asking for it. An
-- object is asked for its number each time, because it may have been closed. A number or a table
-- may mean another file by the next wait, so their watch is not kept. No watch keeps its object
-- alive.
local readyq = require "readyq"
local await = require "readyq.await"
local misuse = require "readyq.misuse"
local scheduler = require "readyq.scheduler"

local queue = scheduler.queue
local suspend, end_now = scheduler.suspend, scheduler.end_now
local take_over = await.take_over
local yield = coroutine.yield
local READ, WRITE, PRIORITY = readyq.READ, readyq.WRITE, readyq.PRIORITY
local DIRECTIONS = {READ, WRITE, PRIORITY}
local NAMES = {"getfd", "fileno", "pollfd"} -- methods or fields that give a number
local EBADF, EEXIST = 9, 17 -- on all platforms

local watches = setmetatable({}, {__mode = "k"}) -- by object or number; their data are Descriptors
local owners = setmetatable({}, {__mode = "kv"}) -- by Descriptor: the object, as long as it lives

local Descriptor = {
    turns = false, -- of the object, if it is one of readyq.socket (turns.lua)
}
Descriptor.__index = Descriptor

-- ---------------------------------------------------------------- the watch

local function bits_of(self)
    return (self[READ] ~= nil and READ or 0) + (self[WRITE] ~= nil and WRITE or 0)
        + (self[PRIORITY] ~= nil and PRIORITY or 0)
end

-- Makes the watch ask for what is waited for and nothing else, or removes it.
function Descriptor:update()
    take_over(self)
    self[READ], self[WRITE], self[PRIORITY] =
        self[READ] or nil, self[WRITE] or nil, self[PRIORITY] or nil
    local bits = bits_of(self)
    if bits == 0 then
        self:forget()
    elseif self.watch then
        self.watch:modify(bits)
    end
end

function Descriptor:forget()
    local object = owners[self]
    if object ~= nil and watches[object] == self.watch then watches[object] = nil end
    if self.watch then self.watch:remove() end
    self.watch = false
end

-- Makes the watch ask for this direction, too. Returns true; or nil, message, errno if the
-- descriptor was closed: its number may belong to another file by now.
function Descriptor:ask_for(bit)
    if self[bit] ~= nil then return true end
    if not self.watch then return nil end
    local ok, message, errno = self.watch:modify(bits_of(self) + bit)
    if ok then self[bit] = false end
    return ok, message, errno
end

-- The wait of the task is over.
function Descriptor:detach(task)
    for _, bit in ipairs(DIRECTIONS) do
        if self[bit] == task then self[bit] = false end
    end
    if not self.is_kept then self:update() end
end

-- Ends the wait for a direction that is ready. Returns true if no task waits for it. A wait that
-- began after the queue reported the event continues: if it is still ready, the queue reports it
-- again, as the watch is level-triggered.
local function end_wait(self, bit, turn)
    local task = self[bit]
    if not task then return true end
    if task.turn >= turn then return false end
    self[bit] = false
    if not self.is_kept then self:update() end
    end_now(task, self, bit)
    return false
end

local function is_in(bit, bits) return bits % (2 * bit) >= bit end

function Descriptor:on_event(watch, ready, turn)
    local is_unwanted = false
    take_over(self)
    for _, bit in ipairs(DIRECTIONS) do
        if is_in(bit, ready) and self.watch == watch and end_wait(self, bit, turn) then
            is_unwanted = true
        end
    end
    if is_unwanted and self.watch == watch then self:update() end
end

-- The program itself asked the queue, and calls the data of its watches.
function Descriptor:__call(watch, ready) return self:on_event(watch, ready, math.huge) end

-- ---------------------------------------------------------------- objects

local function number_of_queue(q) return q:closed() and -1 or q:fileno() end

local function descriptor_of(s)
    local watch = watches[s]
    return watch and watch.data
end

-- Asks an object for its number. Returns the function for that, if it has one, and the answer.
-- An io file does not give its number, only whether it is closed.
local function ask_number(s)
    if io.type(s) then return io.type, io.type(s) end
    if type(s) ~= "table" and type(s) ~= "userdata" then return nil end
    local kind = debug.getmetatable(s)
    if kind == debug.getmetatable(queue) then return number_of_queue, number_of_queue(s) end
    if type(s) == "userdata" and not (kind and kind.__index) then return nil end
    for _, name in ipairs(NAMES) do
        local field = s[name]
        if type(field) == "function" then return field, field(s) end
        if field ~= nil then return nil, field end
    end
end

-- The queue is given the number, so that it does not keep the object alive.
local function add_watch(call, s, number, bit, descriptor)
    local source = number or s
    local watch, message, errno = misuse.check(call, queue.add, queue, source, bit, descriptor)
    if watch and io.type(s) then
        number = watch.fd
        watch:remove()
        watch, message, errno = queue:add(number, bit, descriptor)
    end
    return watch, message, errno
end

-- The Descriptor of another object with the same number, which no longer owns it.
local function take_shared(s)
    local watch = queue:get(s)
    local descriptor = watch and watch.data
    if getmetatable(descriptor) ~= Descriptor then return nil end
    if owners[descriptor] ~= nil then watches[owners[descriptor]] = nil end
    return descriptor
end

local function not_kept() return false end

-- A ninth field would double the memory of this table.
local function new(bit)
    local descriptor = {
        [bit] = false, -- no task waits yet
        watch = false,
        is_kept = false, -- the watch stays in the queue between two waits
        ask = not_kept, -- a function that says what the object's number is
        answer = nil, -- what it said
        is_awaitable = false, -- it may have a simple wait (await.lua)
        dirty = false, -- a function that says whether the object itself holds bytes
    }
    return setmetatable(descriptor, Descriptor)
end

-- Returns a Descriptor whose owner is the object; or nil, and what the wait returns.
local function open(call, s, bit)
    local ask, answer = ask_number(s)
    local number = type(answer) == "number" and answer or nil
    if answer == "closed file" or number and number < 0 then return nil, nil, "closed" end
    local descriptor = new(bit)
    local watch, message, errno = add_watch(call, s, number, bit, descriptor)
    if watch then
        descriptor.watch = watch
    else
        descriptor = errno == EEXIST and take_shared(number or s)
        if not descriptor then
            if errno == EBADF and type(s) ~= "number" then return nil, nil, "closed" end
            return nil, nil, message, errno
        end
    end
    local is_kept = type(s) == "userdata" and ask ~= nil
    local is_object = type(s) == "table" or type(s) == "userdata" and not io.type(s)
    descriptor.is_kept, descriptor.answer = is_kept, answer
    descriptor.ask = is_kept and ask or not_kept
    descriptor.dirty = is_object and s.dirty or false
    watches[s], owners[descriptor] = descriptor.watch, s
    return descriptor
end

-- ---------------------------------------------------------------- what the loop calls

-- Whether the Descriptor is still valid for the object, whose descriptor may have changed.
local function is_current(self, s)
    if self.is_kept then return self.ask(s) == self.answer end
    return self[READ] or self[WRITE] or self[PRIORITY]
end

-- Returns as open() does.
local function renew(call, s, bit)
    local old = descriptor_of(s)
    if old and is_current(old, s) and old:ask_for(bit) then return old end
    if old then old:update() end
    local self, result, message, errno = open(call, s, bit)
    if not self then return nil, result, message, errno end
    local ok
    ok, message, errno = self:ask_for(bit)
    if ok then return self end
    return nil, nil, message, errno
end

-- Calls renew() in a coroutine of its own. Its calls are the deepest that a wait makes: the stack
-- of each coroutine that waits would grow to twice the size (160 values, 2,600 bytes) for them.
local function renew_forever(call, s, bit)
    while true do
        local ok, self, result, message, errno = pcall(renew, call, s, bit)
        call, s, bit = nil, nil, nil -- luacheck: ignore 311 (it must not keep the object)
        call, s, bit = yield(ok, self, result, message, errno)
    end
end

local helper = coroutine.create(renew_forever)
misuse.helper = helper

-- Returns as open() does. The methods of a table are the program's own, and may do anything.
local function renew_aside(call, s, bit)
    if type(s) == "table" or coroutine.status(helper) ~= "suspended" then
        return renew(call, s, bit)
    end
    local _, ok, self, result, message, errno = coroutine.resume(helper, call, s, bit)
    if not ok then misuse.raise_again(self) end
    return self, result, message, errno
end

-- Detaches a task whose wait is over but was not finished: it was cancelled, or timed out, or its
-- coroutine was closed, or could not yield. Raises if the task waits.
local function make_free(call, s, task)
    if scheduler.release(task) then return end
    if coroutine.status(task.co) ~= "dead" then
        misuse.raise("%s: another coroutine is already waiting for %s in the same direction", call,
            tostring(s))
    end
    task:abandon()
end

-- Makes the task wait for a direction of an object, and returns its Descriptor; or nil, and what
-- the wait returns at once: true, or nil, message, errno.
function Descriptor.claim(call, task, s, bit)
    local self = descriptor_of(s)
    if not self or self[bit] == nil or self.ask(s) ~= self.answer then
        local result, message, errno
        self, result, message, errno = renew_aside(call, s, bit)
        if not self then return nil, result, message, errno end
    end
    if self.is_awaitable then take_over(self) end
    local other = self[bit]
    if other and other ~= task then
        make_free(call, s, other)
        return Descriptor.claim(call, task, s, bit)
    end
    self[bit] = task
    return self
end

-- The same, unless the object itself holds bytes: then there is no need to wait for READ.
function Descriptor.attach(call, task, s, bit)
    local self, result, message, errno = Descriptor.claim(call, task, s, bit)
    if not self or bit ~= READ or not self.dirty or not self.dirty(s) then
        return self, result, message, errno
    end
    self:detach(task)
    return nil, true
end

-- Makes loop.readable and the like: the function that waits for a direction.
function Descriptor.waiter(call, bit)
    local function wait(s, timeout)
        local task, co = scheduler.current_task(call)
        local seconds = timeout and misuse.check_timeout(call, timeout)
        local self, result, message, errno = Descriptor.attach(call, task, s, bit)
        if not self then return result, message, errno end
        local ok, why
        ok, why, errno = suspend(call, task, co, self, seconds)
        if ok and bit == READ and not seconds then self:allow_await() end
        return ok, why, errno
    end

    return bit == READ and Descriptor.reader(call, wait) or wait
end

-- Makes a function read(s, timeout), which waits for READ: in the form of await.lua if it can, or
-- else with wait(s, timeout). Returns nil before Lua 5.3.
function Descriptor.reader(call, wait)
    local function conclude(why, watch) return await.conclude(call, why, watch) end
    return await.reader and await.reader(queue, watches, wait, conclude)
end

-- The next waits for READ may have that form, if the watch is still the object's and asks for
-- READ, and no task waits for it.
function Descriptor:allow_await()
    if self[READ] == false and self.is_kept and self.watch then
        await.allow(self.watch, self.ask, self.dirty)
        self.is_awaitable = true
    end
end

-- The object is about to be closed: the waits for its descriptor return nil and "closed".
function Descriptor.close(s)
    local self = descriptor_of(s)
    if not self then
        local ok, found = pcall(take_shared, s) -- raises if it no longer has a number
        self = ok and found
    end
    if not self then return end
    take_over(self)
    self:forget()
    for _, bit in ipairs(DIRECTIONS) do
        local task = self[bit]
        if task then
            self[bit] = false
            scheduler.end_soon(task, "closed", self, bit)
        end
    end
end

scheduler.handlers[Descriptor] = scheduler.on_descriptor

return Descriptor
