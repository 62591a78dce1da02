-- SPDX-License-Identifier: MIT
--
-- For select.lua and selection.lua: a queue that watches what two lists of objects ask for. A
-- *context* is the queue with its two *sides*, for reading and for writing. Every change of a
-- side touches a descriptor; settle() then corrects the watches of all touched descriptors, and
-- asks the kernel whether each number still belongs to the same file. No object is kept alive.
local misuse = require "readyq.misuse"
local readyq = require "readyq"

local floor, tonumber = math.floor, tonumber
local READ, WRITE = readyq.READ, readyq.WRITE

local lists = {}

local modes = {k = {__mode = "k"}, v = {__mode = "v"}}

function lists.weak(mode) return setmetatable({}, modes[mode]) end

-- ---------------------------------------------------------------- objects

function lists.descriptor_of(object)
    local getfd = object.getfd
    if getfd == nil then return nil end
    local fd = tonumber((getfd(object)))
    return fd and fd >= 0 and floor(fd) or nil
end

local function is_dirty(object)
    local dirty = object.dirty
    return dirty ~= nil and dirty(object)
end

-- ---------------------------------------------------------------- a queue and its two lists

local function new_side(asks_dirty)
    return {
        asks_dirty = asks_dirty,
        object_of = lists.weak "v", -- by descriptor; if several objects have it, the last one
        round_of = {}, -- by descriptor in object_of: the round in which it was entered
        dirty = {}, -- the objects that are dirty in this call
        returned = lists.weak "v", -- the objects that the previous call returned, from 1 to count
        count = 0,
        tracker = nil, -- of the set that was the list in the previous call
    }
end

function lists.new_context()
    local queue, message = readyq.new()
    if not queue then misuse.raise("select %s", (message:gsub("^new%(%) ", ""))) end
    return {
        queue = queue,
        read = new_side(true),
        write = new_side(false),
        watches = {}, -- by descriptor
        touched = {}, -- a list of descriptors whose watch may not be what the two sides ask for
        touched_in = {}, -- by descriptor: the round in which it was last touched
        round = 1, -- each call begins one, and another one when all watches are up to date
    }
end

local function touch(c, fd)
    if c.touched_in[fd] == c.round then return end
    c.touched_in[fd] = c.round
    c.touched[#c.touched + 1] = fd
end

function lists.enter(c, side, fd, object)
    if side.object_of[fd] ~= object then side.object_of[fd] = object end
    side.round_of[fd] = c.round
    touch(c, fd)
    if side.asks_dirty and is_dirty(object) then side.dirty[#side.dirty + 1] = object end
end

function lists.leave(c, side, fd)
    side.object_of[fd], side.round_of[fd] = nil, nil
    touch(c, fd)
end

-- Asks all objects of a list. Returns its length, whether two entries have one descriptor, and the
-- descriptors by object if `fd_of` is a table for them.
function lists.walk(c, side, list, fd_of)
    side.dirty = {}
    local length, has_twins, round_of = 0, false, side.round_of
    local object = list and list[1]
    while object ~= nil do
        length = length + 1
        local fd = lists.descriptor_of(object)
        if fd then
            has_twins = has_twins or round_of[fd] == c.round
            lists.enter(c, side, fd, object)
        end
        if fd_of then fd_of[object] = fd or false end
        object = list[length + 1]
    end
    for fd, round in pairs(round_of) do
        if round ~= c.round then lists.leave(c, side, fd) end
    end
    return length, has_twins, fd_of
end

-- Makes the watches of the touched descriptors what the two sides ask for. False if one of them is
-- not open; it stays touched.
function lists.settle(c)
    if not c.touched[1] then return true end
    local watches, reads, writes, failed = c.watches, c.read.object_of, c.write.object_of, {}
    local modify -- of all watches: looking it up again takes 320 of 8,400 instructions per object
    for _, fd in ipairs(c.touched) do
        local interest = (reads[fd] ~= nil and READ or 0) + (writes[fd] ~= nil and WRITE or 0)
        local watch = watches[fd]
        modify = modify or watch and watch.modify
        if watch and (interest == 0 or not modify(watch, interest)) then
            watch:remove()
            watch, watches[fd] = nil, nil
        end
        if interest > 0 and not watch then
            local ok, added = pcall(c.queue.add, c.queue, fd, interest, fd)
            watches[fd] = ok and added or nil -- not if it is closed, or the queue's own
            if not watches[fd] then failed[#failed + 1] = fd end
        end
    end
    c.touched, c.round = failed, c.round + 1
    return failed[1] == nil
end

-- ---------------------------------------------------------------- one call

-- Whether the object of this descriptor still has it. If not, its watch is touched.
local function is_current(c, side, fd)
    local object = side.object_of[fd]
    if object ~= nil and lists.descriptor_of(object) == fd then return true end
    lists.leave(c, side, fd)
    return false
end

-- Waits, and returns the descriptors that can be read and written, in ascending order, and how
-- many watches were ready.
function lists.collect(c, timeout)
    local reads, writes = {}, {}
    local step, state, count = c.queue:wait(timeout)
    for _, ready, fd in step, state do
        if ready % (2 * READ) >= READ and is_current(c, c.read, fd) then
            reads[#reads + 1] = fd
        end
        if ready % (2 * WRITE) >= WRITE and is_current(c, c.write, fd) then
            writes[#writes + 1] = fd
        end
    end
    lists.settle(c)
    table.sort(reads)
    table.sort(writes)
    return reads, writes, count
end

-- The objects by position, and their positions by object: the dirty ones, then those of the
-- descriptors. If two objects have the same descriptor, the later one counts, and the second list
-- comes after the first.
local function result(c, side, fds)
    local found, dirty_fds, n = {}, {}, #side.dirty
    local returned, writers = lists.weak "v", c.write.object_of
    for i, object in ipairs(side.dirty) do
        found[i], returned[i], found[object] = object, object, i + 0.0
        dirty_fds[lists.descriptor_of(object) or -1] = true
    end
    for _, fd in ipairs(fds) do
        if not dirty_fds[fd] then
            local object = side.object_of[fd]
            n = n + 1
            returned[n] = object
            object = writers[fd] or object
            found[n], found[object] = object, n + 0.0
        end
    end
    side.returned, side.count = returned, n
    return found
end

local function check(value, number, expected)
    if value == nil or type(value) == expected then return value end
    local text = "bad argument #%d to 'select' (%s expected, got %s)"
    misuse.raise(text, number, expected, type(value))
end

-- Returns the timeout in seconds, or nil if there is none.
function lists.check(recvt, sendt, timeout)
    check(recvt, 1, "table")
    check(sendt, 2, "table")
    timeout = check(tonumber(timeout) or timeout, 3, "number")
    if timeout ~= timeout then return 0 end -- not a number
    return timeout and timeout >= 0 and timeout or nil
end

local function update_both(c, recvt, sendt, update)
    update(c, c.read, recvt)
    update(c, c.write, sendt)
end

-- Raises an error of update_both(). If an entry of a list is no object, a line of this file means
-- nothing to the program.
local function raise(message)
    local fault = tostring(message):match("lists%.lua:%d+: (attempt to .*)$")
    if not fault then error(message, 0) end
    misuse.raise("%s: select expects lists of objects with a method getfd", fault)
end

-- Returns what socket.select returns. update(c, side, list) brings a side up to date;
-- sleep(c, timeout) waits, and returns what collect() returns.
function lists.select(c, recvt, sendt, timeout, update, sleep)
    c.round = c.round + 1
    local ok, message = pcall(update_both, c, recvt, sendt, update)
    if not ok then raise(message) end
    if not lists.settle(c) then misuse.raise("select failed") end
    if #c.read.dirty > 0 then timeout = 0 end
    local reads, writes = sleep(c, timeout)
    local readable, writable = result(c, c.read, reads), result(c, c.write, writes)
    if readable[1] == nil and writable[1] == nil then return readable, writable, "timeout" end
    return readable, writable
end

return lists
