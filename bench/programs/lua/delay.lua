-- SPDX-License-Identifier: MIT
--
-- Sleeps in Lua, like c/delay.h: `delay.lua WAY COUNT NS`. For each line on standard input it
-- prints by how many nanoseconds COUNT sleeps were longer than requested. The clock is that of
-- LuaSocket, which counts in microseconds.

local now = require "socket".gettime
local way, count, seconds = arg[1], tonumber(arg[2]), tonumber(arg[3]) / 1e9

-- Each calls measure(sleep) once, where sleep() may be called.
local ways = {}

function ways.wait(measure)
    local queue = require "readyq".new()
    measure(function() queue:wait(seconds) end)
end

function ways.timer(measure)
    local queue = require "readyq".new()
    measure(function()
        queue:add_timer(seconds)
        for _ in queue:wait() do end
    end)
end

function ways.loop(measure)
    local loop = require "readyq.loop"
    loop.spawn(function()
        measure(function() loop.sleep(seconds) end)
        loop.stop()
    end)
    loop.run()
end

function ways.luasocket(measure)
    local sleep = require "socket".sleep
    measure(function() sleep(seconds) end)
end

-- In whole milliseconds, rounded up.
function ways.luv(measure)
    local uv = require "luv"
    local timer, ms = uv.new_timer(), math.ceil(seconds * 1000)
    local function fired() end
    measure(function()
        uv.update_time()
        timer:start(ms, 0, fired)
        uv.run("once")
    end)
end

function ways.cqueues(measure)
    local cqueues = require "cqueues"
    local controller = cqueues.new()
    controller:wrap(function()
        measure(function() cqueues.sleep(seconds) end)
    end)
    assert(controller:loop())
end

function ways.luaevent(measure)
    local core = require "luaevent.core"
    local base = core.new()
    measure(function()
        local event = base:addevent(nil, core.EV_TIMEOUT, function()
            base:loopexit(0)
            return core.LEAVE
        end, seconds)
        base:loop()
        event:close()
    end)
end

ways[way](function(sleep)
    for _ in io.lines() do
        local excesses = {}
        for i = 1, count do
            local start = now()
            sleep()
            excesses[i] = ("%.0f"):format((now() - start - seconds) * 1e9)
        end
        print(table.concat(excesses, " "))
        io.flush()
    end
end)
