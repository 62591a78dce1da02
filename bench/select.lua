-- SPDX-License-Identifier: MIT
--
-- The cost of one select() with ten sockets ready, among a growing number of idle ones: in a plain
-- array, and in a set as copas has it. LuaSocket's own beside it, as far as it can go. `select.lua
-- [CALLS]`.
local socket = require "socket"
local readyq_select = require "readyq.select".select

local READY, CALLS, ROUNDS = 10, tonumber(arg[1]) or 200, 9

local function connections(count)
    local listener = assert(socket.bind("127.0.0.1", 0, 1024))
    local _, port = listener:getsockname()
    local ends, peers = {}, {}
    for i = 1, count do
        peers[i] = assert(socket.connect("127.0.0.1", port))
        ends[i] = listener:accept()
    end
    listener:close()
    for i = 1, READY do peers[i * math.floor(count / READY)]:send("x") end
    return ends, peers
end

local function as_set(list)
    local methods = {insert = function() end, remove = function() end}
    local set = setmetatable({}, {__index = methods})
    for i, s in ipairs(list) do set[i] = s end
    return set
end

-- The median of the rounds, in microseconds per call.
local function measure(select, list)
    local costs = {}
    for round = 1, ROUNDS do
        local before = os.clock()
        for _ = 1, CALLS do assert(#select(list, nil, 1) == READY) end
        costs[round] = (os.clock() - before) / CALLS * 1e6
    end
    table.sort(costs)
    return costs[(ROUNDS + 1) / 2]
end

print("One select with 10 ready sockets, us")
print(("  %6s %12s %12s %12s"):format("idle", "array", "set", "LuaSocket"))
for _, idle in ipairs {100, 400, 5000} do
    local ends, peers = connections(idle + READY)
    local stock = idle < 1000 and ("%12.1f"):format(measure(socket.select, ends)) or "too large"
    local array, set = measure(readyq_select, ends), measure(readyq_select, as_set(ends))
    print(("  %6d %12.1f %12.1f %12s"):format(idle, array, set, stock))
    for i = 1, #ends do
        ends[i]:close()
        peers[i]:close()
    end
end
