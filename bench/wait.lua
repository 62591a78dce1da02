-- SPDX-License-Identifier: MIT
--
-- Contenders of run.py in Lua, like wait.c: `wait.lua readyq|cqueues|luv|luaevent WAITS
-- DESCRIPTOR...`.

local waits, total = tonumber(arg[2]), #arg - 2
local contenders, seen = {}, 0

function contenders.readyq()
    local queue = require "readyq".new()
    for i = 3, #arg do queue:add(tonumber(arg[i]), "r", 1) end
    return function()
        local count = 0
        for _ = 1, waits do
            for _, _, data in queue:wait() do
                count = count + data
            end
        end
        assert(count == waits * total)
    end
end

function contenders.cqueues()
    local cqueues = require "cqueues"
    local controller = cqueues.new()
    for i = 3, #arg do
        local object = {pollfd = tonumber(arg[i]), events = "r"}
        controller:wrap(function()
            while true do
                cqueues.poll(object)
                seen = seen + 1
            end
        end)
    end
    return function()
        local goal = seen + waits * total
        while seen < goal do assert(controller:step()) end
    end
end

function contenders.luv()
    local uv = require "luv"
    for i = 3, #arg do
        uv.new_poll(tonumber(arg[i])):start("r", function() seen = seen + 1 end)
    end
    return function()
        local goal = seen + waits * total
        while seen < goal do uv.run("nowait") end
    end
end

function contenders.luaevent()
    local luaevent = require "luaevent.core"
    local base, goal = luaevent.new(), 0
    local function callback()
        seen = seen + 1
        if seen == goal then base:loopexit(0) end
    end
    local events = {} -- an event that is collected does not fire
    for i = 3, #arg do
        events[i - 2] = base:addevent(tonumber(arg[i]), luaevent.EV_READ, callback)
    end
    return function()
        goal = seen + waits * total
        base:loop()
        assert(seen >= goal and #events == total)
    end
end

local run_round = contenders[arg[1]]()
for _ in io.lines() do
    local before = os.clock()
    run_round()
    print(("%.0f"):format((os.clock() - before) * 1e9))
    io.flush()
end
