-- SPDX-License-Identifier: MIT
--
-- Several coroutines that use the same object of readyq.socket.
--
-- At any time at most one of them is in a call that reads the object, and at most one in a call
-- that writes it. The others have their turns after it, in order. A Turns is what they wait for: a
-- source, as scheduler.lua describes it. Its array has the tasks that wait for their turns.
local await = require "readyq.await"
local READ = require "readyq".READ
local scheduler = require "readyq.scheduler"
local Descriptor = require "readyq.descriptor"

local current_task, suspend = scheduler.current_task, scheduler.suspend

local SIMPLE = {} -- the call has a simple wait (await.lua)

local Turns = {}
Turns.__index = Turns

function Turns.new()
    return setmetatable({
        current = false, -- the task whose call it is, if it has waited; or SIMPLE
        descriptor = false, -- what that one waits for
    }, Turns)
end

-- Whether the program has closed the coroutine.
local function is_dead(task) return coroutine.status(task.co) == "dead" end

-- The current call is over: the next one is resumed.
function Turns:pass_on()
    self.current = false
    while self[1] and not self.current do
        local task = table.remove(self, 1)
        if is_dead(task) then
            task:abandon()
        else
            self.current = task
            scheduler.end_soon(task, scheduler.READY, self)
        end
    end
end

-- A wait has ended. If it was not ended by a source, but by a timeout or a cancellation, the call
-- is over.
function Turns:detach(task, source)
    if self.current == task then
        if source and not is_dead(task) then return end
        self.descriptor:detach(task)
        return self:pass_on()
    end
    for i, other in ipairs(self) do
        if other == task then return table.remove(self, i) end
    end
end

-- Waits for its turn. Returns true; or nil and why not.
function Turns:enter(call, seconds)
    local task, co = current_task(call)
    if self.current == SIMPLE then await.take_over(self.descriptor) end
    if self.current == SIMPLE then self.current = false end -- an error has ended that wait
    local current = self.current
    if current and is_dead(current) then current:abandon() end
    if not self.current then return true end
    table.insert(self, task)
    return suspend(call, task, co, self, seconds)
end

-- The simple wait of the current call, if it has one, becomes a general one. Returns its source.
function Turns:take_over(task)
    if self.current ~= SIMPLE then return nil end
    self.current = task
    return self
end

local read = Descriptor.reader("receive", nil)

-- Waits until the object can be read, if that can be a simple wait and no other call is current.
-- Returns true; nil and why not, and the call is over; or nothing if it cannot be a simple wait.
function Turns:await(raw)
    if not read or not self.descriptor then return end
    self.current = SIMPLE
    local ok, why = read(raw)
    if self.current == SIMPLE then
        self.current = false
    elseif not ok then
        self:pass_on()
    end
    return ok, why
end

local function attach(call, raw, bit)
    local task, co = current_task(call)
    return task, co, Descriptor.claim(call, task, raw, bit)
end

-- Waits until the object, which has said that it would block, is ready. If no coroutine has its
-- turn, that of this one begins here. Returns true; or nil and why not.
function Turns:wait(call, raw, bit, seconds)
    local is_ok, task, co, descriptor, result, message
    if not self.current then
        task, co, descriptor, result, message = attach(call, raw, bit)
    else
        is_ok, task, co, descriptor, result, message = pcall(attach, call, raw, bit)
        if not is_ok then
            self:pass_on()
            error(task, 0)
        end
    end
    if not descriptor then return result, message end
    self.current, self.descriptor = task, descriptor
    local ok, why, errno = suspend(call, task, co, self, seconds)
    if ok and bit == READ and not seconds then
        descriptor.turns = self
        descriptor:allow_await()
    end
    return ok, why, errno
end

function Turns:close()
    for i = 1, #self do
        scheduler.end_soon(self[i], "closed", self)
        self[i] = nil
    end
end

return Turns
