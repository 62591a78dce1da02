-- SPDX-License-Identifier: MIT
--
-- The select() of readyq.socket in coroutines of readyq.loop.
--
-- Each call has a queue that watches its sockets, as those of readyq.select do (lists.lua), and
-- waits in the loop until that queue is ready. So several coroutines can wait for one socket.
local lists = require "readyq.lists"
local misuse = require "readyq.misuse"
local Descriptor = require "readyq.descriptor"
local READ = require "readyq".READ

local readable = Descriptor.waiter("select", READ)

local selection = {}

local MOST_SPARE = 10 -- a queue takes four descriptors

local spare = {} -- contexts that no call uses
local waiting = lists.weak "k" -- contexts of the calls that wait: a cancelled call leaves its own

local function fail(queue, message)
    queue:close()
    misuse.raise("select failed: %s", message)
end

local function new_context()
    local c = lists.new_context()
    local fd, message = c.queue:fileno()
    if not fd then fail(c.queue, message) end
    return c
end

-- An error leaves nothing behind.
local function update(c, side, list)
    local ok, message = pcall(lists.walk, c, side, list)
    if ok then return end
    c.queue:close()
    error(message, 0)
end

local function sleep(c, timeout)
    local queue = c.queue
    local due = timeout and queue:now() + timeout
    local reads, writes = lists.collect(c, 0)
    while #reads + #writes == 0 do
        local seconds = due and math.max(0, due - queue:now())
        if seconds == 0 then break end
        waiting[c] = true
        local ok, why = readable(queue, seconds)
        waiting[c] = nil
        if not ok and why ~= "timeout" and why ~= "closed" then fail(queue, why) end
        reads, writes = lists.collect(c, 0)
        if why == "closed" then break end
    end
    return reads, writes
end

local function finish(c, ...)
    if #spare < MOST_SPARE then table.insert(spare, c) else c.queue:close() end
    return ...
end

function selection.select(recvt, sendt, timeout)
    timeout = lists.check(recvt, sendt, timeout)
    local c = table.remove(spare) or new_context()
    return finish(c, lists.select(c, recvt, sendt, timeout, update, sleep))
end

-- The object is about to be closed: ends the calls that wait for it, with "timeout" if nothing is
-- ready.
function selection.close(object)
    if not next(waiting) then return end
    local fd = lists.descriptor_of(object)
    for c in pairs(waiting) do
        if c.read.object_of[fd] ~= nil or c.write.object_of[fd] ~= nil then
            Descriptor.close(c.queue)
        end
    end
end

return selection
