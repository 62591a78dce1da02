-- SPDX-License-Identifier: MIT
--
-- LuaSocket's socket.select on a queue: the same arguments, results and errors, without its limit
-- of 1024 descriptors.
--
-- 1. Each call first brings a queue up to date with its two lists (lists.lua), then waits. Every
--    object of a list is asked for its number and whether it is dirty (has bytes in its own
--    buffer), and its watch is modified, which fails if the number belongs to another file by now.
-- 2. That costs two to three times as much as LuaSocket's own call, and is too much for a server
--    with thousands of idle connections. So a list with methods insert and remove, as copas makes
--    them, is a *set* and is tracked: its two methods are wrapped, and a call asks only members
--    that they changed or that the previous call returned. Whatever does not look like a change of
--    one member makes the next call ask all members.
-- 3. Each set has a queue of its own; all other lists share one. Nothing here keeps a set or an
--    object alive.
local lists = require "readyq.lists"

local max, type = math.max, type

local Select = {}

local weak, descriptor_of = lists.weak, lists.descriptor_of
local enter, leave, walk = lists.enter, lists.leave, lists.walk

-- ---------------------------------------------------------------- sets

local trackers = weak "k" -- by set
local wrapped = weak "k" -- the tables whose insert and remove are wrapped

-- The table that has the methods insert and remove of a set. The functions of the library `table`
-- are not such methods: they take a position.
local function methods_of(list)
    local metatable = getmetatable(list)
    local class = type(metatable) == "table" and rawget(metatable, "__index")
    local methods = rawget(list, "insert") and list or class
    local is_set = type(methods) == "table" and methods ~= table
        and type(rawget(methods, "insert")) == "function"
        and type(rawget(methods, "remove")) == "function"
    return is_set and methods or nil
end

-- Notes what a method did to a set that had `before` entries, and returns what it returned.
local function note(set, value, is_member, before, ...)
    local tracker = trackers[set]
    if value == nil then return ... end
    local changed, length = tracker.changed, #set
    local was_member = changed[value]
    if was_member == nil then was_member = tracker.fd_of[value] ~= nil end
    local growth = was_member == is_member and 0 or is_member and 1 or -1
    if tracker.length ~= before or length - before ~= growth
        or growth == 1 and set[length] ~= value then
        tracker.ask_all = true
    end
    changed[value], tracker.length, tracker.has_changed = is_member, length, true
    return ...
end

local function wrap(methods)
    if wrapped[methods] then return end
    wrapped[methods] = true
    for name, is_member in pairs {insert = true, remove = false} do
        local method = methods[name]
        methods[name] = function(set, value, ...)
            if not trackers[set] then return method(set, value, ...) end
            return note(set, value, is_member, #set, method(set, value, ...))
        end
    end
end

local function new_tracker(side)
    return {
        side = side,
        length = nil, -- of the set, as its methods left it
        fd_of = weak "k", -- by member; false for one without a descriptor
        changed = weak "k", -- by object: whether it is now a member
        has_changed = false,
        ask_all = true, -- in the next call
    }
end

local function ask_member(c, side, tracker, object)
    local old, fd = tracker.fd_of[object], descriptor_of(object)
    if old and old ~= fd and side.object_of[old] == object then leave(c, side, old) end
    tracker.fd_of[object] = fd or false
    if not fd then return end
    local other = side.object_of[fd]
    if other ~= nil and other ~= object and descriptor_of(other) == fd then
        tracker.ask_all = true
    end
    enter(c, side, fd, object)
end

local function ask_changed(c, side, tracker)
    side.dirty = {}
    for object, is_member in pairs(tracker.changed) do
        local fd = tracker.fd_of[object]
        if not is_member then
            if fd and side.object_of[fd] == object then leave(c, side, fd) end
            tracker.fd_of[object] = nil
        end
    end
    for object, is_member in pairs(tracker.changed) do
        if is_member then ask_member(c, side, tracker, object) end
    end
    for i = 1, side.count do
        local object = side.returned[i]
        if object ~= nil and tracker.changed[object] == nil then
            ask_member(c, side, tracker, object)
        end
    end
end

local function ask_all(c, side, tracker, set)
    c.round = c.round + 1
    tracker.length, tracker.ask_all, tracker.fd_of = walk(c, side, set, weak "k")
end

-- Dirty objects are returned in the order of their list.
local function sort_dirty(side, set)
    local is_in = {}
    for _, object in ipairs(side.dirty) do is_in[object] = true end
    side.dirty = {}
    for _, object in ipairs(set) do
        if is_in[object] then side.dirty[#side.dirty + 1] = object end
    end
end

-- ---------------------------------------------------------------- one call

local contexts = weak "k" -- by set
local shared -- the context of all other lists
local current -- the context of the last call

local function context_of(recvt, sendt)
    local set = recvt and methods_of(recvt) and recvt or sendt and methods_of(sendt) and sendt
    if not set then
        shared = shared or lists.new_context()
        return shared
    end
    contexts[set] = contexts[set] or lists.new_context()
    return contexts[set]
end

local function update(c, side, list)
    local methods = list and methods_of(list)
    if methods and not trackers[list] then
        wrap(methods)
        trackers[list] = new_tracker(side)
    end
    local former, tracker = side.tracker, trackers[list or side]
    if not tracker or tracker.side ~= side then tracker = nil end
    side.tracker = tracker
    if not tracker then return walk(c, side, list) end
    local is_known = former == tracker and tracker.length == #list
    if is_known and not tracker.ask_all then ask_changed(c, side, tracker) end
    if not is_known or tracker.ask_all then ask_all(c, side, tracker, list) end
    if #side.dirty > 1 then sort_dirty(side, list) end
    if tracker.has_changed then tracker.changed, tracker.has_changed = weak "k", false end
end

-- Waits again if everything that was ready is closed by now.
local function sleep(c, timeout)
    local deadline = timeout and c.queue:now() + timeout
    while true do
        local reads, writes, count = lists.collect(c, timeout)
        if #reads + #writes > 0 or count == 0 then return reads, writes end
        timeout = deadline and max(0, deadline - c.queue:now())
    end
end

-- Returns the sockets of `recvt` that can be read and those of `sendt` that can be written, each
-- an array that is also a set; and "timeout" when there are none after `timeout` seconds (nil or
-- negative: as long as it takes). Raises what socket.select raises.
function Select.select(recvt, sendt, timeout)
    timeout = lists.check(recvt, sendt, timeout)
    current = context_of(recvt, sendt)
    return lists.select(current, recvt, sendt, timeout, update, sleep)
end

-- Ends the waiting call, with "timeout" if nothing is ready: for signal handlers in Lua.
function Select.wake()
    if current then current.queue:wake() end
end

-- Replaces LuaSocket's select, for copas and everything else that calls socket.select by that name
-- from now on. Returns the original.
function Select.install()
    local socket = require "socket"
    local original = socket.select
    socket.select = Select.select
    return original
end

return Select
