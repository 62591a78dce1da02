-- SPDX-License-Identifier: MIT
--
-- Invalid values, passed wherever a source is accepted, while the collector runs at every few
-- steps: each leads to a clear error, and the callee continues to work.
local loop = require "readyq.loop"
local readyq = require "readyq"
local things = require "things"
local unix = require "unix"
local equal = things.equal

local T = {}

-- Values that are no descriptors, objects that return such values, and objects that fail.
local function rubbish()
    local values = {
        -1, -0.5, 0.5, 1e300, -1e300, 1 / 0, -1 / 0, 0 / 0, 2 ^ 31, 2 ^ 53, 2 ^ 63, "x", "", "0",
        true, false, {}, print, coroutine.create(rubbish),
    }
    local list = {}
    for _, value in ipairs(values) do
        list[#list + 1] = value
        for _, name in ipairs {"getfd", "fileno", "pollfd"} do
            list[#list + 1] = {[name] = function() return value end}
            if value then list[#list + 1] = {[name] = value} end
        end
    end
    local closed_file, closed_queue = io.tmpfile(), readyq.new()
    closed_file:close()
    closed_queue:close()
    for _, object in ipairs {
        closed_file, closed_queue, readyq.new():add_timer(10),
        {getfd = function() end}, {getfd = function() error("no descriptor today") end},
        setmetatable({}, {__index = function(_, key) error("no " .. key) end}),
        setmetatable({}, {__call = function() return 0 end}),
    } do
        list[#list + 1] = object
    end
    return list
end

local function with_collector(f)
    debug.sethook(function() collectgarbage("step", 0) end, "", 7)
    local ok, message = pcall(f)
    debug.sethook()
    if not ok then error(message, 0) end
end

local function is_told(ok, result, message)
    if ok then return result == nil and type(message) == "string" end
    return type(result) == "string" and #result > 10
end

function T.test_rubbish_as_a_source_is_an_error_and_the_queue_goes_on()
    local q = readyq.new()
    local r, w = things.pipe()
    unix.write(w, "x")
    assert(q:add(r, "r", "pipe"))
    local count = 0
    with_collector(function()
        for _, source in ipairs(rubbish()) do
            assert(is_told(pcall(q.add, q, source, "r")))
            assert(is_told(pcall(q.modify, q, source, "w")))
            assert(is_told(pcall(q.remove, q, source)))
            assert(is_told(pcall(function()
                return coroutine.wrap(function() return q:add(source, "r") end)()
            end)))
            count = count + 1
        end
    end)
    assert(count > 100, count)
    equal(#q, 1)
    equal(select(3, things.event(q)), "pipe")
end

function T.test_rubbish_for_the_loop_is_an_error_of_its_coroutine()
    local told, count = 0, 0
    loop.on_error = function(message)
        assert(type(message) == "string", message)
        told = told + 1
    end
    with_collector(function()
        for _, source in ipairs(rubbish()) do
            for _, wait in ipairs {loop.readable, loop.writable} do
                loop.spawn(function()
                    local ready, message = wait(source, 0)
                    if not ready then error(message) end
                end)
                count = count + 1
            end
        end
        loop.run()
    end)
    loop.on_error = nil
    equal(told, count)
    equal(#loop.queue, 0)
end

return T
