-- SPDX-License-Identifier: MIT
--
-- What coroutines of readyq.loop wait for besides descriptors: events, processes, and the first of
-- several. A source (scheduler.lua) has three methods:
--
-- attach(task)               the task waits from now on; false if there is no need to wait
-- detach(task, source, bit)  the wait is over; `source` has ended it, if any has
-- result()                   what the wait returns when the event came
local readyq = require "readyq"
local await = require "readyq.await"
local misuse = require "readyq.misuse"
local scheduler = require "readyq.scheduler"
local Descriptor = require "readyq.descriptor"

local getmetatable = getmetatable

local sources = {}

-- ---------------------------------------------------------------- the end of a coroutine

local function refuse(call, co)
    misuse.raise("%s: coroutine of loop.spawn() expected, got %s", call, tostring(co))
end

-- The task of a coroutine that a program passes.
local function task_of(call, co)
    return scheduler.tasks[co] or refuse(call, co)
end

-- Whether the coroutine has ended, perhaps because the program closed it without the loop being
-- told.
local function has_ended(task, co)
    if task.values then return true end
    await.take_over_of(co)
    if coroutine.status(co) ~= "dead" then return false end
    scheduler.finish(task, nil, "closed")
    return true
end

function sources.cancel(call, co)
    local task = task_of(call, co)
    if has_ended(task, co) or task.is_cancelled then return end
    task:set_cancelled(true)
    if task.co then scheduler.end_unless_event(task, scheduler.CANCELLED) end
end

-- The task of a coroutine that spawn() started, as a source for the running coroutine, perhaps in
-- a generator.
function sources.end_of(call, co)
    local task = task_of(call, co)
    if task.arguments == nil then refuse(call, co) end
    local running = coroutine.running()
    if co == (scheduler.roots[running] or running) then
        misuse.raise("%s: a coroutine cannot wait for its own end", call)
    end
    has_ended(task, co) -- if the program closed it, there is no need to wait
    return task
end

-- ---------------------------------------------------------------- events

-- A call such as e.set() instead of e:set().
function sources.refuse_self(kind, method, self)
    misuse.raise("calling '%s' on bad self (%s of readyq.loop expected, got %s)", method, kind,
        type(self))
end

local Event = {}
Event.__index = Event

function sources.new_event() return setmetatable({is_on = false, waits = {}}, Event) end

local function check_event(method, self)
    if getmetatable(self) ~= Event then sources.refuse_self("event", method, self) end
end

-- Ends all waits for it, including those that begin later, until clear().
function Event:set()
    check_event("set", self)
    local waits = self.waits
    self.is_on, self.waits = true, {}
    for _, task in ipairs(waits) do scheduler.end_soon(task, scheduler.READY, self) end
end

function Event:clear()
    check_event("clear", self)
    self.is_on = false
end

function Event:is_set()
    check_event("is_set", self)
    return self.is_on
end

-- Returns true, or nil and "timeout".
function Event:wait(timeout)
    check_event("wait", self)
    return scheduler.wait("event:wait", self, timeout)
end

function Event:attach(task)
    if not self.is_on then table.insert(self.waits, task) end
    return not self.is_on
end

function Event:detach(task)
    for i, other in ipairs(self.waits) do
        if other == task then return table.remove(self.waits, i) end
    end
end

function Event.result() return true end

-- ---------------------------------------------------------------- processes

local Process = {}
Process.__index = Process

function sources.new_process(call, pid)
    local process = {call = call, pid = pid, watch = nil, task = nil, message = nil, errno = nil}
    return setmetatable(process, Process)
end

function Process:attach(task)
    local queue = scheduler.queue
    self.task = task
    self.watch, self.message, self.errno =
        misuse.check(self.call, queue.add_process, queue, self.pid, self)
    return self.watch ~= nil
end

function Process:detach()
    if self.watch then self.watch:remove() end
end

function Process:on_event() scheduler.end_now(self.task, self) end
Process.__call = Process.on_event
scheduler.handlers[Process] = Process.on_event

function Process:result()
    if not self.watch then return nil, self.message, self.errno end
    return self.watch.status or -1
end

-- ---------------------------------------------------------------- descriptors, among several

local Readiness = {}
Readiness.__index = Readiness

local function new_readiness(call, s, bit)
    return setmetatable({call = call, s = s, bit = bit, descriptor = nil}, Readiness)
end

function Readiness:attach(task)
    self.descriptor, self.value, self.message, self.errno =
        Descriptor.attach(self.call, task, self.s, self.bit)
    return self.descriptor ~= nil
end

function Readiness:detach(task)
    if self.descriptor then self.descriptor:detach(task) end
end

function Readiness:result()
    if self.descriptor then return true end
    return self.value, self.message, self.errno
end

-- ---------------------------------------------------------------- the first of several

local BITS = {r = readyq.READ, w = readyq.WRITE, p = readyq.PRIORITY}

local function is_object(item)
    return type(item) ~= "table" or item.getfd or item.fileno or item.pollfd
end

-- The source that an item of loop.any{...} stands for.
local function new_source(call, item, number)
    if getmetatable(item) == Event then return item end
    if type(item) == "thread" then return sources.end_of(call, item) end
    if is_object(item) then return new_readiness(call, item, readyq.READ) end
    if item.process ~= nil then return sources.new_process(call, item.process) end
    local bit = BITS[item[2]]
    if item[1] ~= nil and bit then return new_readiness(call, item[1], bit) end
    misuse.raise("%s: item %d must be a descriptor, a pair such as {descriptor, 'r'} (or 'w', "
        .. "'p'), an event, a coroutine or {process = pid}", call, number)
end

-- Its array part holds the sources of the items, up to the first that needs no wait.
local Choice = {}
Choice.__index = Choice

-- Attaches the task to all sources until one needs no wait. Then, or if an item is invalid,
-- detaches it from all.
function Choice:attach(task)
    local ok, is_to_wait = pcall(self.attach_all, self, task)
    if not ok or not is_to_wait then self:detach(task) end
    if not ok then error(is_to_wait, 0) end
    return is_to_wait
end

function Choice:attach_all(task)
    for number, item in ipairs(self.items) do
        local source = new_source(self.call, item, number)
        self[number] = source
        if not source:attach(task) then
            self.first = number
            return false
        end
    end
    return true
end

-- A list with a hole is refused: the items after the hole would be ignored.
local function check_list(call, items)
    local last = 0
    for key in pairs(items) do
        if type(key) == "number" then last = math.max(last, key) end
    end
    for number = 1, last do
        if items[number] == nil then misuse.raise("%s: item %d is nil", call, number) end
    end
    if last == 0 and not items.timeout then
        misuse.raise("%s: there is nothing to wait for", call)
    end
end

-- Ends the wait for all sources, and notes which of them came first.
function Choice:detach(task, ender, bit)
    for number, source in ipairs(self) do
        local has_ended_it = source == ender or source.descriptor == ender and source.bit == bit
        if ender and has_ended_it then self.first = self.first or number end
        source:detach(task)
    end
end

function Choice:result() return self.first, self[self.first]:result() end

-- Returns the number of the first item and its result; or nil and why there is none.
function sources.wait_for_first(call, items)
    check_list(call, items)
    local choice = setmetatable({call = call, items = items, first = nil}, Choice)
    local task, co = scheduler.current_task(call)
    local seconds = items.timeout and misuse.check_timeout(call, items.timeout)
    if not choice:attach(task) then return choice:result() end
    local ok, why, errno = scheduler.suspend(call, task, co, choice, seconds)
    if ok then return choice:result() end
    if choice.first then return choice.first, nil, why end
    return nil, why, errno
end

return sources
