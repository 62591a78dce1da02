-- SPDX-License-Identifier: MIT
--
-- readyq.socket beside LuaSocket: in the same situation each call returns the same. Then what only
-- a loop can do: calls by many coroutines at the same time, and what ends them.
local loop = require "readyq.loop"
local things = require "things"
local unix = require "unix"
local luasocket = things.need("socket", "lua-socket")
local socket = require "readyq.socket"
local equal, raises = things.equal, things.raises

local T = {}

local function run(...) things.run_to_their_ends(loop, ...) end

-- A connection: an object of that module, and one of LuaSocket at the other end.
local function pair(module)
    local listener = assert(luasocket.bind("127.0.0.1", 0))
    local _, port = listener:getsockname()
    local peer = assert(luasocket.connect("127.0.0.1", port))
    local object = assert(listener:accept())
    listener:close()
    return module == luasocket and object or module.wrap(object), peer
end

-- Results as text, with their number. Objects are named by their class, as LuaSocket prints it.
local function describe(...)
    local words = {select("#", ...)}
    for i = 1, select("#", ...) do
        local value = tostring((select(i, ...)))
        words[#words + 1] = #value > 99 and "#" .. #value or value:gsub(": 0x%x+$", "")
    end
    return table.concat(words, " ")
end

-- The error of a call that is wrong, without its position.
local function error_of(object, name, ...)
    local code = ("local s = (...) local result = s:%s(select(2, ...)) return result"):format(name)
    local ok, message = pcall(assert((loadstring or load)(code)), object, ...)
    equal(ok, false)
    return (message:gsub("^.-:%d+: ", ""))
end

-- ---------------------------------------------------------------- the same results

-- What each case calls, and the pieces that the other end sends. `false` is a shutdown,
-- `true` is a close.
local BIG = ("0123456789"):rep(100000)
local CASES = {
    {function(s) return s:receive() end, "a l", "ine\r", "\nmore\n"},
    {function(s) return s:receive("*l") end, "\n"},
    {function(s) return s:receive("*l", "before ") end, "a ", "line\n"},
    {function(s) return s:receive("*l", "before ") end, "a ", "line", true},
    {function(s) return s:receive(5) end, "ab", "cd", "efgh"},
    {function(s) return s:receive("5") end, "abc", "defgh"},
    {function(s) return s:receive(5.9) end, "abc", "defgh"},
    {function(s) return s:receive(5, "abc") end, "d", "efgh"},
    {function(s) return s:receive(3, "abc") end, "defgh"},
    {function(s) return s:receive(0) end, "abc"},
    {function(s) return s:receive(9) end, "abc", "def", true},
    {function(s) return s:receive(9) end, true},
    {function(s) return s:receive(5, 123) end, "d", "e"},
    {function(s) return s:receive("*a") end, "ab", "cd", true},
    {function(s) return s:receive("*a") end, "ab", "cd", false},
    {function(s) return s:receive("*all") end, "ab", "cd", true},
    {function(s) return s:receive("*all", "abc") end, "d", "e", true},
    {function(s) return s:receive("*all", "abc") end, true},
    {function(s) return s:receive("*line"), s:receive("*line") end, "a l", "ine\nb", "\n"},
    {function(s) return s:receive("*a") end, true},
    {function(s) return s:receive("*a", "abc") end, true},
    {function(s) return s:receive("*a", "abc") end, "d", "e", true},
    {function(s) return s:receive(#BIG) end, BIG},
    {function(s) return s:receive(), s:receive(2), s:receive() end, "a\nbc", "d\n"},
    {function(s) return s:receive(), s:receive() end, "a", "\nhalf", true},
    {function(s) return s:receive(1), s:dirty(), s:receive(2), s:dirty() end, "abc"},
    {function(s) s:settimeout(0) return s:receive() end},
    {function(s) s:settimeout(0.02) return s:receive() end},
    {function(s) s:settimeout(0.02, "b") return s:receive("*a", "abc") end},
    {function(s) s:settimeout(0.02, "t") return s:receive(9, "abc") end},
    {function(s) s:settimeout(0, "t") return s:receive(9) end},
    {function(s) s:settimeout(-1) s:settimeout(0.02, "r") return s:receive(9) end},
    {function(s) s:settimeout(9) s:settimeout(0.02, "t") return s:receive(9) end},
    {function(s) s:settimeout(0.02) s:settimeout(1000, "t") return s:receive(9) end},
    {function(s) return s:settimeout(1), s:settimeout(nil), s:settimeout(1, "t") end},
    {function(s) s:settimeout(1, "t") s:settimeout("2") return s:gettimeout() end},
    {function(s) s:settimeout(1, "t") s:settimeout(nil, "t") return s:gettimeout() end},
    {function(s) return s:send("abc") end},
    {function(s) return s:send("abcdef", 3) end},
    {function(s) return s:send("abcdef", 3, 4) end},
    {function(s) return s:send("abcdef", -3, -2) end},
    {function(s) return s:send("abcdef", 4, 3) end},
    {function(s) return s:send("abcdef", nil, 3) end},
    {function(s) return s:send("") end},
    {function(s) return s:send(12.5) end},
    {function(s) return s:shutdown() end},
    {function(s) return s:shutdown("receive"), s:receive() end},
    {function(s) return s:shutdown("send"), s:send("abc") end},
    {function(s) return s:shutdown("send"), s:receive() end, "li", "ne\n"},
    {function(s) return s:close(), s:close() end},
    {function(s) s:close() return s:receive() end},
    {function(s) s:close() return s:receive(4, "abc") end},
    {function(s) s:close() return s:send("abc", 2) end},
    {function(s) s:close() return s:getfd(), s:getpeername() end},
    {function(s) return s:getsockname() == "127.0.0.1", #{s:getsockname()} end},
    {function(s) return s:getpeername() == "127.0.0.1", #{s:getpeername()} end},
    {function(s) return s:setoption("tcp-nodelay", true), s:getoption("tcp-nodelay") end},
    {function(s) return s:getfamily(), s:getfd() > 2, s:dirty() end},
    {function(s) return s:receive(2), select("#", s:getstats()), (s:getstats()) end, "ab"},
    {function(s) return error_of(s, "accept") end},
    {function(s) return s end},
    {function(s) return error_of(s, "receive", "*x") end},
    {function(s) return error_of(s, "receive", -1) end},
    {function(s) return error_of(s, "receive", nil, {}) end},
    {function(s) return error_of(s, "send") end},
    {function(s) return error_of(s, "send", "abc", "d") end},
    {function(s) return error_of(s, "settimeout", 1, "x") end},
    {function(s) return error_of(s, "settimeout", "x") end},
    {function(s) return error_of(s, "setoption", "no-such-option", true) end},
    {function(_, m) return error_of(m.tcp(), "receive") end},
    {function(_, m) return error_of(m.tcp(), "accept") end},
    {function(_, m) return m.tcp():connect("127.0.0.1", 1) end},
    {function(_, m) return m.tcp4():connect("::1", 1) end},
    {function(_, m) return m.connect("127.0.0.1", 1) end},
    {function(_, m) return m.connect("localhost", 1) end},
    {function(_, m) return m.connect4("127.0.0.1", 1) end},
    {function(_, m) return m.bind("192.0.2.1", 0) end},
    {function(_, m) return error_of(m.tcp(), "connect") end},
    {function(_, m) return error_of(m.udp(), "send", "abc") end},
}

local function send_pieces(peer, pieces, pause)
    for i = 2, #pieces do
        pause()
        local piece = pieces[i]
        if piece == true then
            peer:close()
        elseif piece == false then
            peer:shutdown("send")
        else
            peer:send(piece) -- fails if the case is over by now
        end
    end
end

local function in_a_child(send)
    if unix.fork() == 0 then
        send(function() end)
        unix.exit(0)
    end
end

local function without_pauses(send) send(function() end) end

local function beside_us(send)
    loop.spawn(send, function() loop.sleep(0.002) end)
end

-- A case with that module; the other end sends all pieces before the call, if they fit, or the
-- function `schedule` gets what sends them.
local function results_of(case, module, schedule)
    local object, peer = pair(module)
    if schedule == beside_us then peer = socket.wrap(peer) end
    schedule(function(pause) send_pieces(peer, case, pause) end)
    local results = describe(case[1](object, module))
    object:close()
    peer:close()
    return results
end

local function compare(number, case)
    local expected = results_of(case, luasocket, case[2] == BIG and in_a_child or without_pauses)
    if case[2] == BIG then unix.waitpid(-1) end
    local function check(situation, results)
        if results ~= expected then
            local text = "case %d, %s: %s expected, got %s"
            error(text:format(number, situation, expected, results))
        end
    end
    check("outside of a coroutine", case[2] == BIG and expected
        or results_of(case, socket, without_pauses))
    run(function()
        check("at once", case[2] == BIG and expected or results_of(case, socket, without_pauses))
        check("piece by piece", results_of(case, socket, beside_us))
    end)
end

function T.test_each_call_returns_what_luasockets_returns()
    for number, case in ipairs(CASES) do compare(number, case) end
end


-- ---------------------------------------------------------------- limits

-- Has the other end send a byte every 0.02 s, from another process, until that one is killed.
local function trickle(peer)
    local child = unix.fork()
    if child ~= 0 then return child end
    while peer:send("x") do unix.sleep(0.02) end
    unix.exit(0)
end

local LIMITS = {
    {{0.1}},
    {{0.1, "t"}},
    {{9}, {0.1, "t"}},
    {{0.7}, {9, "t"}, size = 50}, -- then LuaSocket's limit of each wait: 50 take a second
}

-- How long a receive() takes with these limits, and why it ends.
local function time_receive(module, limits)
    local object, peer = pair(module)
    peer:send("x")
    local child = trickle(peer)
    for _, limit in ipairs(limits) do object:settimeout(limit[1], limit[2]) end
    local start = unix.now()
    local line, why, part = object:receive(limits.size or "*l")
    local seconds = unix.now() - start
    unix.kill(child, 9)
    unix.waitpid(child)
    object:close()
    peer:close()
    return line and #line or why, seconds, part and #part
end

function T.test_the_limits_of_a_call_and_of_a_wait_are_luasockets()
    for _, limits in ipairs(LIMITS) do
        local function check(module)
            local result, seconds, part = time_receive(module, limits)
            if limits.size then
                equal(result, limits.size)
            else
                equal(result, "timeout")
                assert(seconds > 0.09 and seconds < 5, seconds)
                assert(part > 0)
            end
        end
        check(luasocket)
        run(function() check(socket) end)
    end
end

function T.test_a_send_that_times_out_says_how_much_it_sent()
    local text = BIG:rep(20)
    local function check(module)
        local object, peer = pair(module)
        object:settimeout(0.05)
        local done, why, last = object:send(text, 11)
        equal(done, nil)
        equal(why, "timeout")
        assert(last > 11 and last < #text)
        object:close()
        equal(#peer:receive("*a"), last - 10)
        peer:close()
    end
    check(luasocket)
    run(function() check(socket) end)
end

function T.test_a_connection_that_is_refused_or_times_out_is_reported()
    run(function()
        local listener = assert(socket.bind("127.0.0.1", 0, 0))
        local _, port = listener:getsockname()
        local clients, result, why = {}, nil, nil
        for i = 1, 9 do -- Linux ignores those that exceed the backlog
            clients[i] = socket.tcp()
            clients[i]:settimeout(0.05)
            result, why = clients[i]:connect("127.0.0.1", port)
            if not result then break end
        end
        equal(why, "timeout")
        for _, client in ipairs(clients) do client:close() end
        listener:close()
        local client = socket.tcp()
        result, why = client:connect("127.0.0.1", port)
        equal(result, nil)
        equal(why, "connection refused")
        client:close()
        equal(describe(socket.connect("127.0.0.1", 1, "192.0.2.1")),
            "2 nil Cannot assign requested address")
    end)
end

-- ---------------------------------------------------------------- many coroutines

function T.test_a_long_send_waits_for_a_slow_reader_and_loses_nothing()
    local object, peer = pair(socket)
    local reader = socket.wrap(peer)
    local received, turns = {}, 0
    run(function()
        local last, why, sent = object:send(BIG:rep(8))
        equal(last, 8 * #BIG)
        equal(why or sent, nil)
        object:close()
    end, function()
        repeat
            loop.sleep(0.001)
            local part, _, rest = reader:receive(100000)
            received[#received + 1] = part or rest
        until not part
        reader:close()
    end, function()
        for _ = 1, 10 do
            loop.sleep(0.001)
            turns = turns + 1
        end
    end)
    assert(table.concat(received) == BIG:rep(8))
    equal(turns, 10)
end

function T.test_coroutines_that_send_to_one_object_take_turns()
    local object, peer = pair(socket)
    local reader, size = socket.wrap(peer), 2000000
    local jobs, received = {}, nil
    for i = 1, 4 do
        jobs[i] = function() assert(object:send(("%d"):format(i):rep(size))) end
    end
    jobs[5] = function()
        loop.sleep(0.01)
        received = assert(reader:receive(4 * size))
    end
    run((table.unpack or unpack)(jobs))
    equal(#received, 4 * size)
    for i = 1, 4 do equal(received:sub((i - 1) * size + 1, i * size), tostring(i):rep(size)) end
    object:close()
    reader:close()
end

function T.test_a_client_that_answers_at_once_leaves_others_their_turns()
    local fast, peer = pair(socket)
    local other, slow = pair(socket)
    local log = {}
    slow:send("other\n")
    run(function()
        for i = 1, 20 do
            peer:send(i .. "\n")
            table.insert(log, (fast:receive()))
        end
    end, function() table.insert(log, (other:receive())) end)
    for i, line in ipairs(log) do
        if line == "other" then assert(i < 20, i) end
    end
    equal(#log, 21)
    for _, object in ipairs {fast, peer, other, slow} do object:close() end
end

function T.test_coroutines_that_receive_from_one_object_get_whole_lines()
    local object, peer = pair(socket)
    local writer, lines, jobs = socket.wrap(peer), {}, {}
    for i = 1, 5 do jobs[i] = function() lines[i] = object:receive() end end
    jobs[6] = function()
        for piece in ("one\ntw,o\nthr,ee,\nfour\nf,ive\n"):gmatch("[^,]+") do
            writer:send(piece)
            loop.sleep(0.002)
        end
    end
    run((table.unpack or unpack)(jobs))
    equal(table.concat(lines, " "), "one two three four five")
    object:close()
    writer:close()
end

function T.test_several_coroutines_accept_from_one_listener()
    local listener = assert(socket.bind("127.0.0.1", 0))
    local _, port = listener:getsockname()
    local greeted, jobs = 0, {}
    for i = 1, 5 do
        jobs[i] = function()
            local client = assert(listener:accept())
            client:send(client:receive() .. " " .. i .. "\n")
            client:close()
        end
        jobs[5 + i] = function()
            loop.sleep(i % 2 * 0.005)
            local client = assert(socket.connect("localhost", port))
            client:send("hello\n")
            assert(client:receive():find("^hello %d$"))
            client:close()
            greeted = greeted + 1
        end
    end
    run((table.unpack or unpack)(jobs))
    equal(greeted, 5)
    listener:close()
    equal(#loop.queue, 0)
end

function T.test_a_coroutine_reads_while_another_one_writes()
    local one, peer = pair(socket)
    local other, received = socket.wrap(peer), 0
    local function send(s) return function() assert(s:send(BIG)) end end
    local function receive(s)
        return function()
            local text = assert(s:receive(#BIG))
            received = received + #text
        end
    end
    run(send(one), receive(one), send(other), receive(other))
    equal(received, 2 * #BIG)
    one:close()
    other:close()
end

function T.test_close_ends_the_calls_of_others_with_closed()
    local object, peer = pair(socket)
    local listener = assert(socket.bind("127.0.0.1", 0))
    local results = {}
    local function note(name, f) return function() results[name] = describe(f()) end end
    peer:send("par")
    run(note("first", function() return object:receive() end),
        note("second", function() return object:receive(9, "pre") end),
        note("send", function() return select(2, object:send(BIG:rep(20))) end),
        note("send later", function() return object:send("abc", 2) end),
        note("accept", function() return listener:accept() end),
        note("accept later", function() return listener:accept() end),
        function()
            loop.sleep(0.01)
            equal(object:close(), 1)
            loop.close(listener)
        end)
    equal(results.first, "3 nil closed par")
    equal(results.second, "3 nil closed pre")
    assert(results.send:find("^2 closed %d+"))
    equal(results["send later"], "3 nil closed 1")
    equal(results.accept, "2 nil closed")
    equal(results["accept later"], "2 nil closed")
    peer:close()
end

function T.test_a_turn_that_ends_by_a_timeout_or_a_cancellation_is_passed_on()
    local object, peer = pair(socket)
    local log, workers = {}, {}
    for i = 1, 5 do
        workers[i] = loop.spawn(function()
            local line, why = object:receive()
            log[#log + 1] = i .. " " .. (line or why)
        end)
    end
    run(function()
        loop.sleep(0.005)
        loop.cancel(workers[1]) -- it reads
        loop.cancel(workers[3]) -- it waits for its turn
        loop.sleep(0.005)
        peer:send("line\n")
        loop.sleep(0.005)
        if coroutine.close then coroutine.close(workers[4]) else loop.cancel(workers[4]) end
        peer:send("more\n")
    end)
    equal(table.concat(log, ", "), "2 line, 5 more")
    object:settimeout(0.02)
    local function time_out() equal(describe(object:receive()), "3 nil timeout ") end
    run(function()
        local first, second = loop.spawn(time_out), loop.spawn(time_out)
        loop.join(first)
        loop.join(second)
        peer:send("late\n")
        equal(object:receive(), "late")
    end)
    object:close()
    peer:close()
    equal(#loop.queue, 0)
end

-- A coroutine that receives lines, and so many already that its waits are simple ones (await.lua).
-- Calls f in another coroutine with that one, and returns the log.
local function beside_a_reader(f)
    local object, peer = pair(socket)
    local log = {}
    local function note(name, line, why) log[#log + 1] = name .. " " .. (line or why) end
    local reader = loop.spawn(function()
        while true do
            local line, why = object:receive()
            if line ~= "" then note("reader", line, why) end
            if not line then return end
        end
    end)
    local function send(line)
        loop.sleep(0.002)
        peer:send(line .. "\n")
        loop.sleep(0.002)
    end
    local function receive(name) note(name, object:receive()) end
    run(function()
        for _ = 1, 3 do send("") end
        f(object, reader, send, receive)
        loop.close(object)
    end)
    peer:close()
    equal(#loop.queue, 0)
    return table.concat(log, ", ")
end

function T.test_a_call_waits_until_the_simple_wait_of_another_is_over()
    local log = beside_a_reader(function(object, _, send, receive)
        loop.spawn(receive, "other")
        send("one")
        send("two")
        send("three")
        object:settimeout(0.01)
        receive("late")
        object:settimeout(nil)
    end)
    equal(log, "reader one, other two, reader three, late timeout, reader closed")
end

function T.test_a_simple_wait_that_is_cancelled_passes_its_turn_on()
    equal(beside_a_reader(function(_, reader, send, receive)
        loop.spawn(receive, "other")
        loop.sleep(0.002)
        loop.cancel(reader)
        send("one")
    end), "other one")
    equal(beside_a_reader(function(_, reader, send, receive)
        loop.cancel(reader)
        loop.spawn(receive, "other")
        send("one")
    end), "other one")
end

-- if coroutine.close
function T.test_a_simple_wait_whose_coroutine_is_closed_passes_its_turn_on()
    equal(beside_a_reader(function(_, reader, send, receive)
        coroutine.close(reader)
        loop.spawn(receive, "other")
        send("one")
    end), "other one")
end

function T.test_a_simple_wait_that_something_else_resumes_raises_and_passes_its_turn_on()
    equal(beside_a_reader(function(_, reader, send, receive)
        raises("resumed by something other", function() assert(coroutine.resume(reader)) end)
        loop.spawn(receive, "other")
        send("one")
    end), "other one")
end

function T.test_a_coroutine_that_fails_as_its_turn_comes_passes_it_on()
    local object, peer = pair(socket)
    local workers, log = {}, {}
    for i = 1, 3 do
        workers[i] = loop.spawn(function()
            local line = object:receive()
            log[#log + 1] = i .. " " .. line
            loop.cancel(workers[i + 1] or workers[1])
        end)
    end
    run(function()
        loop.sleep(0.005)
        peer:send("one\n")
        loop.sleep(0.005)
        peer:send("two\n")
    end)
    equal(table.concat(log, ", "), "1 one, 3 two")
    run(function() equal(object:receive(), "three") end,
        function()
            local wrong = loop.spawn(function() object:receive("*x") end)
            assert(select(2, loop.join(wrong)):find("invalid receive pattern"))
        end,
        function()
            loop.sleep(0.001)
            equal(object:receive(), "four")
        end,
        function()
            loop.sleep(0.005)
            peer:send("three\n")
            loop.sleep(0.005)
            peer:send("four\n")
        end)
    object:close()
    peer:close()
end

-- ---------------------------------------------------------------- datagrams, other modules

-- The module as programs get it after install(), which is undone.
local function with_socket(name)
    local original = package.loaded[name]
    equal(socket.install(), luasocket)
    equal(socket.install(), luasocket)
    equal(require "socket", socket)
    local module = require(name)
    equal(require(name), module)
    equal(module.original ~= nil, true)
    assert(original == nil or module.original == original)
    package.loaded.socket, package.loaded[name] = luasocket, module.original
    return module
end

function T.test_datagrams_are_waited_for()
    local function check(module, pause)
        local server = assert(module.udp())
        assert(server:setsockname("127.0.0.1", 0))
        local address, port = server:getsockname()
        local client = module.udp4()
        local log = {}
        server:settimeout(0.02)
        log[#log + 1] = describe(server:receivefrom())
        log[#log + 1] = describe(server:receive(99))
        log[#log + 1] = describe(client:sendto("hello", address, port))
        log[#log + 1] = describe(client:sendto("", address, port))
        server:settimeout(nil)
        local text, _, from = server:receivefrom()
        log[#log + 1] = describe(text, server:receive(), select("#", server:settimeout(1)))
        log[#log + 1] = describe(client:setpeername(address, port))
        pause(function() client:send("again") end)
        log[#log + 1] = describe(server:receive(2))
        log[#log + 1] = describe(server:sendto("back", "127.0.0.1", from))
        log[#log + 1] = describe(client:receive())
        log[#log + 1] = error_of(client, "sendto", "x", address, port)
        log[#log + 1] = error_of(server, "send", "x")
        log[#log + 1] = describe(server, client, server:close())
        log[#log + 1] = describe(client:close())
        return table.concat(log, "; ")
    end
    local expected = check(luasocket, function(f) f() end)
    equal(check(socket, function(f) f() end), expected)
    run(function()
        equal(check(socket, function(f)
            loop.spawn(function()
                loop.sleep(0.005)
                f()
            end)
        end), expected)
    end)
end

function T.test_unix_sockets_wait_too()
    local path = things.path()
    local unix_sockets = with_socket("socket.unix")
    local listener = unix_sockets.stream()
    assert(listener:bind(path))
    assert(listener:listen(5))
    run(function()
        local client = assert(listener:accept())
        equal(client:receive(), "hello")
        client:send("and to you\n")
        client:close()
    end, function()
        local client = unix_sockets.stream()
        assert(client:connect(path))
        loop.sleep(0.005)
        client:send("hello\n")
        equal(client:receive(), "and to you")
        client:close()
        equal(describe(unix_sockets():connect(path .. ".none")), "2 nil No such file or directory")
    end)
    listener:close()
    os.remove(path)
end

function T.test_select_and_sleep_let_others_run()
    local object, peer = pair(socket)
    local log = {}
    run(function()
        local readable, writable = socket.select({object}, {object})
        equal(#readable, 0)
        equal(writable[1], object)
        equal(describe(select(3, socket.select({object}, nil, 0.005))), "1 timeout")
        equal(describe(select(3, socket.select(nil, nil, 0.005))), "1 timeout")
        readable = socket.select({object}, nil, 60)
        equal(readable[object], 1)
        log[#log + 1] = object:receive()
    end, function()
        socket.sleep(0.03)
        log[#log + 1] = "slept"
        peer:send("line\n")
    end)
    equal(table.concat(log, " "), "slept line")
    object:close()
    peer:close()
end

-- ---------------------------------------------------------------- where no coroutine can wait

function T.test_a_call_in_a_plain_generator_is_an_error_with_the_remedy()
    local object, peer = pair(socket)
    run(function()
        local generator = coroutine.wrap(function()
            local line = object:receive()
            return line
        end)
        raises("test_socket.lua:%d+: receive: this coroutine was not started by loop.spawn.*wrap",
            generator)
        peer:send("line\n")
        equal(object:receive(), "line")
    end)
    object:close()
    peer:close()
end

function T.test_errors_name_the_line_of_the_program()
    local object, peer = pair(socket)
    local line = debug.getinfo(1, "l").currentline + 1
    local function call() return (object:receive("*x")) end
    local expected = "test_socket.lua:" .. line .. ": bad argument #1 to 'receive'"
    raises(expected, call)
    run(function() raises(expected, call) end)
    local listener = socket.bind("127.0.0.1", 0)
    run(function()
        for _ = 1, 2 do
            raises("test_socket.lua:%d+: calling 'send' on bad self",
                function() return (listener:send("x")) end)
            raises("test_socket.lua:%d+: calling 'receive' on bad self",
                function() return (listener:receive()) end)
        end
    end)
    listener:close()
    raises("wrap: LuaSocket or LuaSec object expected, got nil", socket.wrap)
    object:close()
    peer:close()
end

function T.test_protect_and_try_work_in_a_coroutine()
    local function check(module)
        local finished = {}
        local try = module.newtry(function() finished[#finished + 1] = "finally" end)
        local inner = module.protect(function(s, pattern)
            return try(s:receive(pattern)), "and more"
        end)
        local outer = module.protect(function(...)
            finished[#finished + 1] = tostring(select(2, inner(...)))
            return module.try(nil, "outer failed", "not passed on")
        end)
        local object, peer = pair(module)
        peer:send("line\nrest")
        local results = {describe(inner(object)), describe(outer(object, 4))}
        peer:close()
        results[3] = describe(outer(object))
        object:close()
        local ok, message = pcall(module.protect(function() error("really", 0) end))
        results[4] = tostring(ok) .. " " .. message
        return table.concat(results, "; ") .. table.concat(finished, ", ")
    end
    local expected = check(luasocket)
    equal(check(socket), expected)
    run(function() equal(check(socket), expected) end)
end

-- What LuaSocket's try() can end: errors that pass through pcall(), generators and C functions.
local PROTECTED = {
    {function(m) return pcall(m.try, nil, "caught") end, "3 true false table"},
    {function(m) coroutine.wrap(function() m.try(nil, "inner") end)() end, "3 true nil inner"},
    {function(m) return ("a"):gsub("a", function() m.try(nil, "gsub") end) end, "3 true nil gsub"},
    {function(m) m.newtry(function() error("final", 0) end)(nil, "m") end, "2 false final"},
    {function() error({}) end, "2 false table"},
    {function(m) return 1, nil, m.protect(function() m.try(false, "two") end)() end,
        "5 true 1 nil nil two"},
}

function T.test_protect_ends_what_luasockets_ends()
    for _, case in ipairs(PROTECTED) do
        local f, expected = case[1], case[2]
        equal(describe(pcall(luasocket.protect(f), luasocket)), expected)
        equal(describe(pcall(socket.protect(f), socket)), expected)
        run(function()
            local results
            local function call() results = describe(true, socket.protect(f)(socket)) end
            local _, err = loop.join(loop.spawn(call))
            equal(results or describe(false, err), expected)
        end)
    end
end

function T.test_a_protected_function_can_yield_to_the_program()
    if not _VERSION:find("5.1") then return end -- elsewhere protect() is LuaSocket's own
    local co = coroutine.create(socket.protect(function(a)
        return coroutine.yield(a + 1), socket.try(nil, "ended")
    end))
    equal(describe(coroutine.resume(co, 1)), "2 true 2")
    equal(describe(coroutine.resume(co, 5)), "3 true nil ended")
end

return T
