-- SPDX-License-Identifier: MIT
--
-- The select() and sleep() of readyq.socket in coroutines: members that cannot be watched, several
-- coroutines for one object, and what ends a call.
local loop = require "readyq.loop"
local readyq = require "readyq"
local things = require "things"
local luasocket = things.need("socket", "lua-socket")
local socket = require "readyq.socket"
local equal = things.equal

local T = {}

local function run(...) things.run_to_their_ends(loop, ...) end

local function pair()
    local listener = assert(socket.bind("127.0.0.1", 0))
    local peer = assert(luasocket.connect("127.0.0.1", (select(2, listener:getsockname()))))
    local object = listener:accept()
    listener:close()
    return object, peer
end

-- How long f() waits, while others run, and what it returns.
local function measure(f)
    local start, turns, is_over = loop.queue:now(), 0, false
    local results
    run(function()
        results = {f()}
        is_over = true
    end, function()
        while not is_over do
            loop.sleep(0.002)
            turns = turns + 1
        end
    end)
    assert(turns >= 1, "the others did not run")
    return loop.queue:now() - start, results
end

function T.test_a_member_without_a_descriptor_does_not_end_the_wait()
    local closed, object, peer = socket.tcp4(), pair()
    closed:close()
    local number = {getfd = function() return -1 end}
    for _, list in ipairs {{closed}, {socket.tcp()}, {closed, object}, {{}}, {"abc"}, {number}} do
        for _, lists in ipairs {{list}, {nil, {closed}}, {list, {closed}}} do
            local time, results = measure(function()
                return socket.select(lists[1], lists[2], 0.03)
            end)
            assert(time >= 0.03, time)
            equal(#results[1] + #results[2], 0)
            equal(results[3], "timeout")
        end
    end
    peer:send("x")
    run(function() equal(socket.select({closed, object})[1], object) end)
    object:close()
    peer:close()
end

function T.test_without_a_timeout_it_waits_even_if_nothing_can_come()
    local closed = socket.tcp4()
    closed:close()
    local waiter = loop.spawn(function() socket.select({closed}) end)
    run(function()
        equal(select(2, loop.join(waiter, 0.02)), "timeout")
        loop.cancel(waiter)
    end)
end

function T.test_several_coroutines_select_one_object()
    local listener = assert(socket.bind("127.0.0.1", 0))
    local _, port = listener:getsockname()
    local found, jobs = 0, {}
    for i = 1, 4 do
        jobs[i] = function()
            equal(select(3, socket.select({listener}, nil, 0.01)), "timeout")
            if socket.select({listener})[listener] then found = found + 1 end
        end
    end
    jobs[5] = function() listener:accept():close() end
    jobs[6] = function()
        loop.sleep(0.05)
        luasocket.connect("127.0.0.1", port):close()
        loop.sleep(0.01)
        luasocket.connect("127.0.0.1", port):close()
    end
    run((table.unpack or unpack)(jobs))
    equal(found, 4)
    listener:close()
end

function T.test_a_receive_and_a_select_wait_for_the_same_object()
    local object, peer = pair()
    local line, readable
    run(function() line = object:receive() end,
        function() readable = socket.select({object}, nil, 60) end,
        function()
            loop.sleep(0.01)
            peer:send("line\n")
        end)
    equal(line, "line")
    equal(readable[1], object)
    object:close()
    peer:close()
end

function T.test_it_ends_when_a_member_is_closed_or_the_coroutine_is_cancelled()
    for _, close in ipairs {function(object) object:close() end, loop.close} do
        local object, peer = pair()
        local other, writer = pair()
        local results
        local cancelled = loop.spawn(function() socket.select({object}, {}) end)
        run(function() results = {socket.select({other, object})} end, function()
            loop.sleep(0.005)
            loop.cancel(cancelled)
            close(object)
        end)
        equal(coroutine.status(cancelled), "dead")
        equal(#results[1] + #results[2], 0)
        equal(results[3], "timeout")
        for _, s in ipairs {peer, other, writer} do s:close() end
    end
end

function T.test_queues_of_calls_that_are_over_are_used_again()
    local object, peer = pair()
    local new, made = readyq.new, 0
    function readyq.new(...) -- luacheck: ignore 122
        made = made + 1
        return new(...)
    end
    local function wait() for _ = 1, 5 do socket.select({object}, nil, 0.001) end end
    run(wait, wait)
    readyq.new = new -- luacheck: ignore 122
    equal(made, 2)
    object:close()
    peer:close()
end

-- The loop cannot watch the queue of the call.
function T.test_a_wait_that_the_kernel_refuses_is_an_error()
    local object, peer = pair()
    local methods = getmetatable(loop.queue).__index
    local add = methods.add
    function methods.add(q, ...)
        if q == loop.queue then return nil, "no space", 28 end
        return add(q, ...)
    end
    run(function()
        local _, message = loop.join(loop.spawn(function() socket.select({object}, nil, 1) end))
        assert(message:find("test_socket_select.lua:%d+: select failed: no space"), message)
    end)
    methods.add = add
    object:close()
    peer:close()
end

-- What each call raises, in a coroutine and in the main program.
local WRONG = {
    {function() socket.select(1) end, "bad argument #1 to 'select' %(table expected, got number"},
    {function() socket.select(nil, 1) end, "bad argument #2 to 'select' %(table expected"},
    {function() socket.select(nil, nil, "x") end, "#3 to 'select' %(number expected, got string"},
    {function() socket.sleep() end, "bad argument #1 to 'sleep' %(number expected, got nil%)"},
    {function() socket.sleep("x") end, "bad argument #1 to 'sleep' %(number expected, got string"},
    {function() socket.connect("127.0.0.1", 1, nil, nil, "bogus") end,
        "bad argument #5 to 'connect' %(invalid option 'bogus'%)"},
}

function T.test_wrong_arguments_are_errors_of_the_program()
    for _, case in ipairs(WRONG) do
        local f, expected = case[1], "test_socket_select.lua:%d+: .*" .. case[2]
        things.raises(expected, f)
        run(function()
            local _, message = loop.join(loop.spawn(f))
            assert(message:find(expected), message)
        end)
    end
end

function T.test_a_member_that_is_no_object_is_an_error_of_the_program()
    run(function()
        local _, message = loop.join(loop.spawn(function() socket.select({5}, nil, 1) end))
        assert(message:find("test_socket_select.lua:%d+: attempt to index .*select expects lists"))
    end)
end

function T.test_numbers_may_be_strings()
    local object, peer = pair()
    local function wait()
        equal(select(3, socket.select({object}, nil, "0.01")), "timeout")
        socket.sleep("0.01")
        socket.sleep(-1)
    end
    wait()
    assert(measure(wait) >= 0.02)
    object:close()
    peer:close()
end

local METHODS = "accept connect receive send close settimeout gettimeout getfd dirty"

function T.test_a_method_that_is_called_without_its_object_is_an_error_of_the_program()
    local object, peer = pair()
    for name in METHODS:gmatch("%w+") do
        local is_checked = name ~= "send" and name ~= "receive" -- whether it is a number
        for _, self in ipairs {false, "*l", {}, is_checked and 5 or nil} do
            things.raises("test_socket_select.lua:%d+: calling '" .. name .. "' on bad self "
                .. "%(object of readyq.socket expected, got ", function()
                    local result = object[name](self or nil)
                    return result
                end)
        end
    end
    object:close()
    peer:close()
end

return T
