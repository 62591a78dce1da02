-- SPDX-License-Identifier: MIT
--
-- LuaSocket's socket.select on a queue: the same arguments, results and errors, without its limit
-- of 1024 descriptors. Here is how a list of sockets is followed from call to call; waiting is the
-- queue's.
--
-- A call asks every object of its lists for its number and whether it is dirty, and tells the
-- queue what changed. Two kinds of lists are spared that. Of a set that has methods insert and
-- remove, as copas has, only what these changed and what was ready before is asked. Of a long
-- plain array, while its end, a window that moves on and what was ready before look the same, only
-- what is ready is looked at; no call sleeps, or finds nothing, before it has asked every object.
-- Objects that are tables are added anew in each call: their number may be another file's by now.
local readyq = require "readyq"

local floor, min, type, tonumber = math.floor, math.min, type, tonumber
local READ, WRITE = readyq.READ, readyq.WRITE
local LONG, WINDOW = 64, 32

local Select = {}

local function weak(mode) return setmetatable({}, {__mode = mode}) end

-- ---------------------------------------------------------------- what is remembered

-- One list as it was in the call before. Nothing here keeps an object alive.
local function new_side(asks_dirty)
    return {
        asks_dirty = asks_dirty,
        given = weak("v"), -- [1]: the list
        list = weak("v"), -- what it held, by place
        length = 0,
        by_fd = weak("v"), -- the object of a descriptor
        fd_of = weak("k"),
        place = {}, -- of a descriptor's object in the list
        round = {}, -- in which a descriptor was seen last
        dirty = {}, -- objects
        reported = weak("v"), -- what the call before returned: a list, and how long it was
        reports = 0,
        cursor = 0,
    }
end

local function new_context()
    return {
        queue = assert(readyq.new()),
        read = new_side(true),
        write = new_side(false),
        owner = weak("v"), -- the object that a descriptor was added for
        watches = {},
        touched = {}, -- a list of descriptors whose interest may have changed
        round = 0,
    }
end

local shared -- the context of lists that do not come again, and of short ones
local contexts, seen = weak("k"), weak("k")
local followed, wrapped = weak("k"), weak("k") -- a set's side; the methods that tell it

local function methods_of(t)
    local metatable = getmetatable(t)
    local methods = type(metatable) == "table" and metatable.__index
    local is_set = type(methods) == "table" and type(methods.insert) == "function"
        and type(methods.remove) == "function"
    return is_set and methods
end

local function context_of(recvt, sendt)
    local key = recvt or sendt
    if key and contexts[key] then return contexts[key] end
    if key and seen[key] and (methods_of(key) or not getmetatable(key) and #key > LONG) then
        contexts[key] = new_context()
        return contexts[key]
    end
    if key then seen[key] = true end
    shared = shared or new_context()
    return shared
end

-- ---------------------------------------------------------------- what the lists ask for

local function descriptor_of(object)
    local getfd = object.getfd
    if getfd == nil then return nil end
    local fd = tonumber((getfd(object)))
    return fd and fd >= 0 and floor(fd) or nil
end

local function is_dirty(object)
    local dirty = object.dirty
    return dirty ~= nil and dirty(object)
end

local function touch(c, fd) c.touched[#c.touched + 1] = fd end

local function leave(c, side, fd)
    side.round[fd], side.by_fd[fd], side.place[fd] = nil, nil, nil
    touch(c, fd)
end

local function enter(c, side, object, place)
    local fd = descriptor_of(object)
    if not fd then return end
    local is_table = type(object) == "table"
    if side.by_fd[fd] ~= object or is_table then
        touch(c, fd)
        side.by_fd[fd], side.fd_of[object] = object, fd
        side.has_tables = side.has_tables or is_table
    end
    if c.owner[fd] ~= object or is_table then
        c.owner[fd] = object
        if c.watches[fd] then c.watches[fd]:remove() end
        c.watches[fd] = nil
        touch(c, fd)
    end
    side.round[fd], side.place[fd] = c.round, place
    if side.asks_dirty and is_dirty(object) then side.dirty[#side.dirty + 1] = object end
end

local function walk(c, side, t)
    local list, length = side.list, 0
    side.has_tables = false
    local object = t and t[1]
    while object ~= nil do
        length = length + 1
        list[length] = object
        enter(c, side, object, length)
        object = t[length + 1]
    end
    for i = length + 1, side.length do list[i] = nil end
    side.length, side.given[1] = length, t
    for fd, round in pairs(side.round) do
        if round ~= c.round then leave(c, side, fd) end
    end
end

-- ---------------------------------------------------------------- sets that tell of changes

local function note(set, value, is_member)
    local side = followed[set]
    if not side or value == nil then return end
    if is_member ~= (side.members[value] or false) then
        side.members[value] = is_member or nil
        side.size = side.size + (is_member and 1 or -1)
    end
    side.changed[#side.changed + 1] = value
end

local function wrap(methods)
    if wrapped[methods] then return end
    wrapped[methods] = true
    local insert, remove = methods.insert, methods.remove
    function methods.insert(set, value)
        note(set, value, true)
        return insert(set, value)
    end
    function methods.remove(set, value)
        note(set, value, false)
        return remove(set, value)
    end
end

local function follow(side, t)
    local methods = methods_of(t)
    if not methods or followed[t] and followed[t] ~= side then return end
    followed[t] = side
    side.members, side.changed, side.size = weak("k"), {}, side.length
    for i = 1, side.length do side.members[side.list[i]] = true end
    wrap(methods)
end

-- Dirty sockets come in the order of their list.
local function sort_dirty(side, t)
    local is_in = {}
    for _, object in ipairs(side.dirty) do is_in[object] = true end
    side.dirty = {}
    for _, object in ipairs(t) do
        if is_in[object] then side.dirty[#side.dirty + 1] = object end
    end
end

-- Asks a member once in a round.
local function ask(c, side, object)
    local fd = side.fd_of[object]
    if object ~= nil and side.members[object] and side.round[fd or -1] ~= c.round then
        enter(c, side, object)
    end
end

local function apply_changes(c, side, t)
    local changed, members, fd_of = side.changed, side.members, side.fd_of
    side.changed = {}
    for _, object in ipairs(changed) do
        local fd = fd_of[object]
        local is_same = fd and members[object] and descriptor_of(object) == fd
        if fd and not is_same then
            fd_of[object] = nil
            if side.by_fd[fd] == object then leave(c, side, fd) end
        end
    end
    for _, object in ipairs(changed) do ask(c, side, object) end
    for i = 1, side.reports do ask(c, side, side.reported[i]) end
    if #side.dirty > 1 then sort_dirty(side, t) end
end

-- ---------------------------------------------------------------- one call

local function refresh_side(c, side, t)
    side.dirty = {}
    if t and followed[t] == side and side.given[1] == t and side.size == #t
        and not side.has_tables then
        return apply_changes(c, side, t)
    end
    walk(c, side, t)
    if t and c ~= shared then follow(side, t) end
end

-- Tells the queue what changed. False when a descriptor is not open.
local function settle(c)
    local watches, reads, writes = c.watches, c.read.by_fd, c.write.by_fd
    for _, fd in ipairs(c.touched) do
        local interest = (reads[fd] and READ or 0) + (writes[fd] and WRITE or 0)
        local watch = watches[fd]
        if watch and (interest == 0 or not watch:modify(interest)) then
            watch:remove()
            watch, watches[fd] = nil, nil
        end
        if interest > 0 and not watch then
            watches[fd] = c.queue:add(fd, interest, fd)
            if not watches[fd] then return false end
        end
    end
    c.touched = {}
    return true
end

-- Is it likely that this is the array of the call before, unchanged?
local function is_as_before(side, t)
    local length = side.length
    if not t then return length == 0 end
    local list = side.list
    if side.given[1] ~= t or getmetatable(t) or side.has_tables then return false end
    if #t ~= length or t[length] ~= list[length] then return false end
    for _ = 1, min(WINDOW, length) do
        side.cursor = side.cursor % length + 1
        if t[side.cursor] ~= list[side.cursor] then return false end
    end
    for i = 1, side.reports do
        local object = side.reported[i]
        if object == nil or descriptor_of(object) ~= side.fd_of[object] then return false end
        if side.asks_dirty and is_dirty(object) then return false end
    end
    return true
end

local function is_in_place(side, t, fds)
    for _, fd in ipairs(fds) do
        local object = side.by_fd[fd]
        if object == nil or t[side.place[fd]] ~= object then return false end
    end
    return true
end

-- Waits, and returns the descriptors that can be read and written, in ascending order.
local function collect(c, timeout)
    local read, write, reads, writes = c.read.by_fd, c.write.by_fd, {}, {}
    for _, ready, fd in c.queue:wait(timeout) do
        if ready % 2 >= READ and read[fd] then reads[#reads + 1] = fd end
        if ready % 8 >= WRITE and write[fd] then writes[#writes + 1] = fd end
    end
    table.sort(reads)
    table.sort(writes)
    return reads, writes
end

-- The objects of the descriptors after the dirty ones, by place and by object. Where both lists
-- have a descriptor, its object is the second one's.
local function result(c, side, fds)
    local found, reported, of_fd, is_dirty_fd = {}, side.reported, c.write.by_fd, {}
    for i = 1, side.reports do reported[i] = nil end
    for i, object in ipairs(side.dirty) do
        found[i], reported[i], found[object] = object, object, i + 0.0
        is_dirty_fd[side.fd_of[object]] = true
    end
    for _, fd in ipairs(fds) do
        local object = side.by_fd[fd]
        if not is_dirty_fd[fd] then
            reported[#found + 1] = object
            object = of_fd[fd] or object
            found[#found + 1] = object
            found[object] = #found + 0.0
        end
    end
    side.reports = #found
    return found
end

local function look(c, recvt, sendt)
    if c.read.length <= LONG and c.write.length <= LONG then return nil end
    if not is_as_before(c.read, recvt) or not is_as_before(c.write, sendt) then return nil end
    local reads, writes = collect(c, 0)
    if #reads + #writes == 0 then return nil end
    if not is_in_place(c.read, recvt, reads) or not is_in_place(c.write, sendt, writes) then
        return nil
    end
    c.read.dirty = {}
    return reads, writes
end

local function sleep(c, timeout)
    local deadline = timeout and c.queue:now() + timeout
    repeat
        local reads, writes = collect(c, timeout)
        timeout = deadline and math.max(0, deadline - c.queue:now())
        if #reads + #writes > 0 or timeout == 0 then return reads, writes end
    until false
end

local function check(value, number, expected)
    if value == nil or type(value) == expected then return value end
    local text = "bad argument #%d to 'select' (%s expected, got %s)"
    error(text:format(number, expected, type(value)), 3)
end

-- Returns the sockets of `recvt` that can be read and those of `sendt` that can be written, each
-- an array that is also a set; and "timeout" when there are none after `timeout` seconds (nil or
-- negative: as long as it takes). Raises what socket.select raises.
function Select.select(recvt, sendt, timeout)
    check(recvt, 1, "table")
    check(sendt, 2, "table")
    timeout = check(tonumber(timeout) or timeout, 3, "number")
    if timeout and timeout < 0 then timeout = nil end
    local c = context_of(recvt, sendt)
    local reads, writes = look(c, recvt, sendt)
    if not reads then
        c.round = c.round + 1
        refresh_side(c, c.read, recvt)
        refresh_side(c, c.write, sendt)
        if not settle(c) then error("select failed", 2) end
        if #c.read.dirty > 0 then timeout = 0 end
        reads, writes = sleep(c, timeout)
    end
    local readable, writable = result(c, c.read, reads), result(c, c.write, writes)
    if readable[1] == nil and writable[1] == nil then return readable, writable, "timeout" end
    return readable, writable
end

-- Puts it into LuaSocket, for copas and whatever else calls socket.select by that name from now
-- on. Returns the one that was there.
function Select.install()
    local socket = require "socket"
    local original = socket.select
    socket.select = Select.select
    return original
end

return Select
