-- SPDX-License-Identifier: MIT
--
-- For select.lua: a queue that watches what two lists of objects ask for. A *context* is the queue
-- with its two *sides*, for reading and for writing. Every change of a side touches a descriptor;
-- settle() then corrects the watches of all touched descriptors, and asks the kernel whether each
-- number still belongs to the same file. No object is kept alive.
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
    return {
        queue = assert(readyq.new()),
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

return lists
