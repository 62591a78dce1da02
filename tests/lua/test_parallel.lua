-- SPDX-License-Identifier: MIT
--
-- Every function of the binding, called from several states at the same time, each in its own
-- thread. They share the process, its signals, and the triggers of a queue, which all fire.
local readyq = require "readyq"
local things = require "things"
local unix = require "unix"
local equal = things.equal

local T = {}

-- The whole life of a state, again and again; its handle belongs to another state's trigger.
local life = [[
    local handle = ...
    local readyq, unix = require "readyq", require "unix"
    for round = 1, 50 do
        local q = readyq.new {clock = round % 5 == 0 and "virtual" or "real"}
        local near, far = unix.pipe()
        local lines = 0
        q:trace(round % 2 == 0 and function() lines = lines + 1 end or nil)
        local pipe = q:add(near, "r", "pipe")
        local signal = q:add_signal("USR1", "signal")
        q:add_signal("USR2"):remove()
        q:add_process(unix.getpid()):remove()
        local trigger = q:add_trigger("trigger")
        local own = trigger:handle()
        local once = q:add_timer(0.0001, "once")
        local timer = q:add_timer(0.0001, "again", 0.0001)
        for turn = 1, 10 do
            unix.write(far, "x")
            assert(trigger:fire() and readyq.fire(own) and q:wake())
            readyq.fire(handle)
            q:modify(near, turn % 2 == 0 and "r" or readyq.READ + readyq.ONESHOT)
            for w, ready, data in q:wait(0.001, 2) do
                assert(w:has(ready) and w.data == data and w.queue == q and w.count > 0)
            end
            assert(q:get(near) == pipe and #q >= 4 and q:stats().watches == #q)
            assert(q:fileno() > 2 and q:backend() and q:now() and tostring(q) and tostring(pipe))
            for w in q:watches() do assert(w.active and w.interest) end
            assert(once:restart(0.0001) and timer:restart(0.0001) and timer.period == 0.0001)
            assert(timer.due > 0)
            if turn == 5 then unix.kill(unix.getpid(), 10) end
        end
        signal:remove()
        timer:remove()
        if round % 3 > 0 then q:close() end
        q, pipe, signal, trigger, once, timer = nil, nil, nil, nil, nil, nil
        collectgarbage()
        readyq.fire(own)
        unix.close(near)
        unix.close(far)
    end
]]

function T.test_every_call_from_every_state_at_once()
    local q = readyq.new()
    q:add_signal("USR1") -- so that a late signal does not end the process
    local trigger = q:add_trigger()
    local handle = trigger:handle()
    local threads, fired = {}, 0
    for i = 1, 4 do threads[i] = unix.start(life, handle) end
    while fired < 4 * 50 * 10 do
        local seen = 0
        for w in q:wait(20) do
            seen = seen + 1
            if w == trigger then fired = fired + w.count end
        end
        if seen == 0 then break end -- a state has failed; its error is raised below
    end
    for _, thread in ipairs(threads) do equal(unix.join(thread), nil) end
    equal(fired, 4 * 50 * 10)
    q:close()
end

return T
