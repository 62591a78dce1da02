-- SPDX-License-Identifier: MIT
--
-- readyq.select beside LuaSocket's own: the same lists give the same results and errors.
local things = require "things"
local unix = require "unix"
local socket = things.need("socket", "lua-socket")
local select = require "readyq.select".select
local original = socket.select
local equal, raises = things.equal, things.raises

local T = {}
local sockets = {}

local function keep(s)
    sockets[#sockets + 1] = s
    return s
end

local function pair()
    local listener = assert(socket.bind("127.0.0.1", 0))
    local _, port = listener:getsockname()
    local client = keep(assert(socket.connect("127.0.0.1", port)))
    local server = keep(assert(listener:accept()))
    listener:close()
    client:settimeout(0)
    server:settimeout(0)
    return client, server
end

local function close_all()
    for _, s in ipairs(sockets) do s:close() end
    sockets = {}
end

-- An object for a number, as luaposix and others make it.
local function object(fd, more)
    local self = more or {}
    self.fd = fd
    function self.getfd() return self.fd end
    return self
end

-- The results of a call as text: positions, and the names of the objects.
local function describe(names, ok, reads, writes, word)
    if not ok then
        local message = tostring(reads):gsub("^[^ ]*:%d+: ", ""):gsub("to '[^']*'", "to 'select'")
        return "error: " .. message:gsub("(attempt to call) .*", "%1")
    end
    local text = {}
    for _, list in ipairs {reads, writes} do
        local keys = {}
        for key, value in pairs(list) do
            local name = names[key] or ("%g"):format(key)
            keys[#keys + 1] = name .. "=" .. (names[value] or ("%g"):format(value))
        end
        table.sort(keys)
        text[#text + 1] = "{" .. table.concat(keys, " ") .. "}"
    end
    equal(getmetatable(reads), nil)
    return table.concat(text, " ") .. " " .. tostring(word)
end

-- Both functions must return the same. readyq's is called three times, and once with lists of its
-- own. Returns the results as text.
local function same(names, recvt, sendt, timeout)
    local wanted = describe(names, pcall(original, recvt, sendt, timeout))
    for _ = 1, 3 do
        equal(describe(names, pcall(select, recvt, sendt, timeout)), wanted)
    end
    local function copy(t)
        if type(t) ~= "table" then return t end
        local list = {}
        for i, value in ipairs(t) do list[i] = value end
        return list
    end
    equal(describe(names, pcall(select, copy(recvt), copy(sendt), timeout)), wanted)
    return wanted
end

function T.test_nothing_is_ready_and_all_can_be_written()
    local a, b = pair()
    local names = {[a] = "a", [b] = "b"}
    equal(same(names, {a, b}, nil, 0), "{} {} timeout")
    equal(same(names, nil, nil, 0), "{} {} timeout")
    equal(same(names, {}, {}, 0), "{} {} timeout")
    equal(same(names, {a}, {b}, 0.01), "{} {1=b b=1} nil")
    equal(same(names, nil, {b, a}), "{} {1=a 2=b a=1 b=2} nil")
    b:send("x")
    equal(same(names, {b, a}, {a}, -1), "{1=a a=1} {1=a a=1} nil")
    equal(same(names, {b, a}, {a}, "0"), "{1=a a=1} {1=a a=1} nil")
    close_all()
end

function T.test_what_is_ready_comes_in_the_order_of_descriptors()
    local names, list = {}, {}
    for i = 1, 6 do
        local a, b = pair()
        names[a], list[7 - i] = "s" .. i, a
        b:send("x")
    end
    same(names, list, list, 0)
    list[3] = table.remove(list)
    same(names, list, {list[2]}, 0)
    close_all()
end

function T.test_dirty_sockets_come_first_and_there_is_no_wait()
    local a, b = pair()
    local c, d = pair()
    local names = {[a] = "a", [b] = "b", [c] = "c", [d] = "d"}
    b:send("one\ntwo\n")
    d:send("x")
    original({a}, nil, 5)
    equal(a:receive(), "one")
    equal(a:dirty(), true)
    equal(same(names, {c, a}, nil), "{1=a 2=c a=1 c=2} {} nil")
    equal(same(names, {c, a}, {a, c}, 5), "{1=a 2=c a=1 c=2} {1=a 2=c a=1 c=2} nil")
    equal(same(names, {a, a}, nil, 5), same(names, {a, a}, nil, 5))
    equal(a:receive(), "two")
    equal(same(names, {c, a}, nil), "{1=c c=1} {} nil")
    close_all()
end

function T.test_a_list_that_stays_is_asked_again_what_is_dirty()
    local list, peers = {}, {}
    for i = 1, 100 do list[i], peers[i] = pair() end
    select(list, nil, 0)
    peers[40]:send("one\ntwo\nthree\n")
    for _, line in ipairs {"one", "two", "three"} do
        local found = select(list, nil, 20)
        equal(#found, 1)
        equal(found[1], list[40])
        equal(found[1]:receive(), line)
    end
    equal(_G.select(3, select(list, nil, 0)), "timeout")
    peers[60]:send("one\ntwo\n")
    original({list[60]}, nil, 20)
    list[60]:receive()
    equal(select(list, nil)[1], list[60])
    close_all()
end

function T.test_changes_of_a_long_list_are_seen()
    local list, peers = {}, {}
    for i = 1, 100 do
        local a
        a, peers[i] = pair()
        list[i] = a
        peers[a] = peers[i]
    end
    for _ = 1, 3 do select(list, nil, 0) end
    peers[list[10]]:send("x")
    equal(select(list, nil, 0)[1], list[10])
    local gone = table.remove(list, 10)
    equal(_G.select(3, select(list, nil, 0)), "timeout")
    list[50], gone = gone, list[50]
    equal(select(list, nil, 0)[1], list[50])
    peers[gone]:send("x")
    equal(#select(list, nil, 0), 1)
    list[50]:receive(1)
    list[70] = gone
    equal(select(list, nil)[1], gone)
    for i = 1, 99 do list[i] = nil end
    equal(_G.select(3, select(list, nil, 0)), "timeout")
    close_all()
end

function T.test_results_are_fresh_and_plain()
    local _, b = pair()
    local list = {b}
    local _, first = select(nil, list, 0)
    local _, second = select(nil, list, 0)
    assert(first ~= second and first ~= list)
    first[2] = "mine"
    equal(second[2], nil)
    equal(_G.select("#", select(nil, list, 0)), 2)
    close_all()
end

function T.test_numbers_of_objects_may_be_floats_strings_or_rubbish()
    local r, w = things.pipe()
    unix.write(w, "x")
    for _, fd in ipairs {r + 0.0, r + 0.5, tostring(r), -1, -0.5, "x", false} do
        local o = object(fd)
        same({[o] = "o"}, {o}, {o}, 0)
    end
    for _, o in ipairs {{}, "text", {getfd = false and 1, dirty = 1}} do
        same({[o] = "o"}, {o}, nil, 0)
    end
    local o = object(r, {dirty = function() return true end})
    equal(same({[o] = "o"}, {o}, nil), "{1=o o=1} {} nil")
end

function T.test_errors_are_those_of_the_original()
    local a = pair()
    same({}, 5, nil, 0)
    same({}, nil, "x", 0)
    same({}, {a}, nil, {})
    same({}, nil, nil, "soon")
    raises("bad argument #1 to 'select' %(table expected, got number%)", select, 5)
    raises("index .*a number", select, {7}, nil, 0)
    raises("index .*a boolean", select, {true}, nil, 0)
    raises("it broke", select, {object(1, {dirty = function() error("it broke") end})}, nil, 0)
    raises("call", select, {{getfd = 7}}, nil, 0)
    local r = things.pipe()
    local o = object(r)
    things.close(r)
    equal(same({[o] = "o"}, {o}, nil, 0), "error: select failed")
    equal(same({[a] = "a"}, nil, {a}, 0), "{} {1=a a=1} nil")
    close_all()
end

function T.test_closed_sockets_are_left_out()
    local a, b = pair()
    local names = {[a] = "a", [b] = "b"}
    same(names, {a, b}, {a, b}, 0)
    b:close()
    equal(same(names, {a, b}, {a, b}, 5), "{1=a a=1} {1=a a=1} nil")
    a:close()
    equal(same(names, {a, b}, {a, b}, 0), "{} {} timeout")
end

function T.test_a_number_that_is_used_again_is_the_new_file()
    local r, w = things.pipe()
    local o = object(r)
    local list = {o}
    local names = {[o] = "o"}
    same(names, list, nil, 0)
    things.close(r)
    things.close(w)
    local r2, w2 = things.pipe()
    equal(r2, r)
    unix.write(w2, "x")
    equal(same(names, list, nil, 5), "{1=o o=1} {} nil")
    local a, b = pair()
    local fd = a:getfd()
    list = {a}
    for _ = 1, 3 do select(list, nil, 0) end
    a:close()
    local c, d = pair()
    equal(c:getfd(), fd)
    d:send("x")
    list[1] = c
    equal(same({[c] = "c"}, list, nil, 5), "{1=c c=1} {} nil")
    b:close()
    close_all()
end

function T.test_duplicates_are_sockets_of_their_own()
    local r, w = things.pipe()
    unix.write(w, "x")
    local one, two, again = object(r), object(things.dup(r)), object(r)
    local names = {[one] = "one", [two] = "two", [again] = "again"}
    same(names, {one, two}, nil, 0)
    same(names, {one, again}, nil, 0)
    same(names, {one}, {again}, 0)
    things.close(r)
    equal(same(names, {two}, nil, 5), "{1=two two=1} {} nil")
end

function T.test_files_are_always_ready()
    local o = object(things.open("/etc/passwd", "r"))
    equal(same({[o] = "o"}, {o}, {o}, 5), "{1=o o=1} {1=o o=1} nil")
end

function T.test_refused_and_fresh_sockets_are_ready_as_with_the_original()
    local listener = socket.bind("127.0.0.1", 0)
    local _, port = listener:getsockname()
    listener:close()
    local s = keep(socket.tcp4())
    same({[s] = "s"}, {s}, {s}, 0)
    s:settimeout(0)
    s:connect("127.0.0.1", port)
    socket.sleep(0.05)
    equal(same({[s] = "s"}, {s}, {s}, 5), same({[s] = "s"}, {s}, {s}, 5))
    close_all()
end

function T.test_a_listener_and_a_datagram_socket_are_readable()
    local listener = keep(socket.bind("127.0.0.1", 0))
    local udp = keep(socket.udp())
    udp:setsockname("127.0.0.1", 0)
    local names = {[listener] = "l", [udp] = "u"}
    same(names, {udp, listener}, {udp}, 0)
    keep(socket.connect("127.0.0.1", (_G.select(2, listener:getsockname()))))
    udp:sendto("x", udp:getsockname())
    socket.sleep(0.01)
    equal(same(names, {udp, listener}, nil, 5), "{1=l 2=u l=1 u=2} {} nil")
    close_all()
end

function T.test_lists_may_be_other_tables_than_arrays()
    local a, b = pair()
    b:send("x")
    local names = {[a] = "a", [b] = "b"}
    local proxy = setmetatable({}, {__index = {a, b}})
    socket.sleep(0.01)
    equal(same(names, {a, b, [a] = 1, more = "x"}, nil, 0), "{1=a a=1} {} nil")
    equal(describe(names, pcall(select, proxy, nil, 0)), "{1=a a=1} {} nil")
    equal(describe(names, pcall(original, proxy, nil, 0)), "{1=a a=1} {} nil")
    close_all()
end

-- A set as copas makes it.
local function new_set()
    local place = {}
    return setmetatable({}, {__index = {
        insert = function(set, value)
            if not place[value] then
                set[#set + 1] = value
                place[value] = #set
            end
        end,
        remove = function(set, value)
            local index = place[value]
            if not index then return end
            place[value] = nil
            local top = set[#set]
            set[#set] = nil
            if top ~= value then
                place[top] = index
                set[index] = top
            end
        end,
    }})
end

function T.test_sets_with_methods_are_followed()
    local reading, writing = new_set(), new_set()
    local names, all = {}, {}
    for i = 1, 20 do
        local a, b = pair()
        names[a], all[i] = "s" .. i, a
        if i % 3 == 0 then b:send("one\ntwo\n") end
    end
    socket.sleep(0.02)
    math.randomseed(7)
    for turn = 1, 300 do
        local set = math.random(2) == 1 and reading or writing
        local s = all[math.random(#all)]
        if math.random(2) == 1 then set:insert(s) else set:remove(s) end
        if turn % 50 == 0 then reading[#reading + 1] = all[1] end
        if math.random(3) == 1 then
            local readable, writable, word = select(reading, writing, 0)
            equal(describe(names, true, readable, writable, word),
                describe(names, pcall(original, reading, writing, 0)))
            if readable[1] then readable[1]:receive(1) end
        end
        if turn % 50 == 0 then reading[#reading] = nil end
    end
    close_all()
end

-- A set as copas makes it from version 2 on: its methods are fields of the set itself.
local function new_own_set()
    local set, class = {}, getmetatable(new_set()).__index
    set.insert, set.remove = class.insert, class.remove
    return set
end

local function readable_names(names, ...)
    return describe(names, true, ...)
end

local function fill(count, set)
    local names, peers = {}, {}
    for i = 1, count do
        local a, b = pair()
        names[a], peers[a] = "s" .. i, b
        if set.insert then set:insert(a) else set[#set + 1] = a end
    end
    return names, peers
end

function T.test_the_middle_of_a_long_list_is_asked_in_each_call()
    local list = {}
    local names, peers = fill(200, list)
    peers[list[1]]:send("x")
    for _ = 1, 3 do equal(#select(list, nil, 5), 1) end
    for place = 20, 180, 40 do
        local other, peer = pair()
        names[other], peers[other] = "new", peer
        peer:send("one\ntwo\n")
        socket.sleep(0.01)
        local former = list[place]
        list[place] = other
        equal(readable_names(names, select(list, nil, 0)),
            describe(names, pcall(original, list, nil, 0)))
        other:receive()
        local found = select(list, nil, 0)
        equal(found[1], other) -- it is dirty
        equal(found[2], list[1])
        list[place] = former
    end
    close_all()
end

function T.test_another_file_under_the_number_of_the_same_object_is_watched()
    for _, list in ipairs {{}, new_set(), new_own_set()} do
        local a, b = pair()
        local c, d = pair()
        local names = {[a] = "a"}
        if list.insert then list:insert(a) else list[1] = a end
        equal(_G.select(3, select(list, nil, 0)), "timeout")
        if list.insert then list:remove(a) end
        unix.dup2(c:getfd(), a:getfd())
        if list.insert then list:insert(a) end
        d:send("x")
        equal(readable_names(names, select(list, nil, 5)), "{1=a a=1} {} nil")
        b:close()
        close_all()
    end
end

function T.test_random_lists_are_as_with_the_original()
    local all, names, peers = {}, {}, {}
    local function fresh(i)
        if all[i] then
            all[i]:close()
            peers[i]:close()
        end
        all[i], peers[i] = pair()
        names[all[i]] = "s" .. i
    end
    for i = 1, 70 do fresh(i) end
    math.randomseed(11)
    local reads, writes = {}, {}
    for turn = 1, 300 do
        local i, place = math.random(70), math.random(#reads + 1)
        local what = math.random(6)
        if what == 1 then fresh(i) end
        if what == 2 then peers[i]:send("one\ntwo\n") end
        if what == 3 then all[i]:receive() end
        if what == 4 then reads[place] = all[i] end
        if what == 5 then table.remove(reads, math.min(place, #reads)) end
        if what == 6 then writes[1 + turn % 5 % (#writes + 1)] = all[i] end
        local wanted = describe(names, pcall(original, reads, writes, 0))
        equal(describe(names, pcall(select, reads, writes, 0)), wanted)
    end
    close_all()
end

function T.test_sets_whose_methods_are_their_own_fields_are_followed()
    local set = new_own_set()
    local asked = 0
    local names, peers = fill(100, set)
    local counter = object((things.pipe()), {dirty = function() asked = asked + 1 end})
    set:insert(counter)
    local first = set[1]
    for _ = 1, 50 do
        peers[first]:send("one\ntwo\n")
        equal(readable_names(names, select(set, nil, 5)), "{1=s1 s1=1} {} nil")
        set:remove(first)
        equal(first:receive(), "one")
        set:insert(first)
        equal(readable_names(names, select(set, nil, 5)), "{1=s1 s1=1} {} nil")
        equal(first:receive(), "two")
        equal(_G.select(3, select(set, nil, 0)), "timeout")
    end
    assert(asked <= 3, "members that nothing changed were asked: " .. asked)
    close_all()
end

function T.test_a_closed_member_of_a_set_is_left_out_even_if_a_duplicate_is_open()
    local set = new_set()
    local a, b = pair()
    set:insert(a)
    equal(_G.select(3, select(set, nil, 0)), "timeout")
    things.dup(a:getfd())
    a:close()
    b:send("x")
    things.warnings(function() equal(_G.select(3, select(set, nil, 0.05)), "timeout") end)
    local c, d = pair()
    set:insert(c)
    d:send("x")
    things.warnings(function()
        equal(readable_names({[c] = "c"}, select(set, nil, 5)), "{1=c c=1} {} nil")
    end)
    close_all()
end

function T.test_two_members_of_one_descriptor_are_watched_until_both_are_removed()
    local r, w = things.pipe()
    unix.write(w, "x")
    local one, two = object(r), object(r)
    local names = {[one] = "one", [two] = "two"}
    local set = new_set()
    set:insert(one)
    equal(readable_names(names, select(set, nil, 0)), "{1=one one=1} {} nil")
    set:insert(two)
    equal(readable_names(names, select(set, nil, 0)), "{1=two two=1} {} nil")
    set:remove(two)
    equal(readable_names(names, select(set, nil, 0)), "{1=one one=1} {} nil")
    set:insert(two)
    set:remove(one)
    equal(readable_names(names, select(set, nil, 0)), "{1=two two=1} {} nil")
    set:remove(two)
    equal(_G.select(3, select(set, nil, 0)), "timeout")
end

function T.test_methods_that_take_positions_are_no_set()
    local a, b = pair()
    b:send("x")
    local names = {[a] = "a", [b] = "b"}
    local insert, remove = table.insert, table.remove
    local list = setmetatable({b}, {__index = table})
    local class = {
        insert = function(t, place, value) insert(t, place, value) end,
        remove = function(t, place) return remove(t, place) end,
    }
    local other = setmetatable({b}, {__index = class})
    socket.sleep(0.01)
    for _, t in ipairs {list, other} do
        equal(_G.select(3, select(t, nil, 0)), "timeout")
        t:insert(1, a)
        equal(readable_names(names, select(t, nil, 0)), "{1=a a=1} {} nil")
        t:remove(1)
        equal(_G.select(3, select(t, nil, 0)), "timeout")
        t:insert(2, a)
        equal(readable_names(names, select(t, nil, 0)), "{1=a a=1} {} nil")
        t:remove(2)
        equal(_G.select(3, select(t, nil, 0)), "timeout")
    end
    equal(table.insert, insert)
    equal(table.remove, remove)
    close_all()
end

function T.test_a_set_that_is_in_both_lists_is_followed_once()
    local set = new_own_set()
    local names, peers = fill(5, set)
    peers[set[2]]:send("x")
    socket.sleep(0.01)
    for _ = 1, 3 do
        equal(readable_names(names, select(set, set, 0)),
            describe(names, pcall(original, set, set, 0)))
        set:remove(set[4] or set[1])
    end
    close_all()
end

function T.test_a_set_is_followed_through_calls_without_it()
    local reading, writing, other = new_set(), new_set(), new_own_set()
    local names, peers = fill(5, reading)
    local more = fill(5, writing)
    for s, name in pairs(more) do names[s] = "w" .. name end
    for s, name in pairs((fill(5, other))) do names[s] = "o" .. name end
    peers[reading[3]]:send("x")
    socket.sleep(0.01)
    for _, sendt in ipairs {writing, {}, writing, other, writing, {writing[1]}, other, writing} do
        equal(readable_names(names, select(reading, sendt, 0)),
            describe(names, pcall(original, reading, sendt, 0)))
        equal(readable_names(names, select({reading[1]}, sendt, 0)),
            describe(names, pcall(original, {reading[1]}, sendt, 0)))
        equal(readable_names(names, select(nil, sendt, 0)),
            describe(names, pcall(original, nil, sendt, 0)))
        equal(readable_names(names, select(reading, nil, 0)), "{1=s3 s3=1} {} nil")
    end
    close_all()
end

function T.test_closed_members_do_not_keep_others_from_being_removed()
    local r, w = things.pipe()
    local a, b = pair()
    local reading, writing = new_set(), new_set()
    local stale = object(w) -- it still names the number when its file is closed
    reading:insert(object(r))
    reading:insert(a)
    writing:insert(stale)
    equal(#_G.select(2, select(reading, writing, 0)), 1)
    things.close(r)
    things.close(w)
    things.dup(a:getfd())
    a:close()
    b:send("x")
    raises("select failed$", select, reading, writing, 0.01)
    writing:remove(stale)
    equal(_G.select(3, select(reading, writing, 0.01)), "timeout")
    close_all()
end

function T.test_a_descriptor_that_is_not_open_fails_until_it_is_removed_from_the_set()
    local r = things.pipe()
    local o, set = object(r), new_set()
    local a, b = pair()
    b:send("x")
    set:insert(a)
    things.close(r)
    set:insert(o)
    for _ = 1, 2 do raises("select failed$", select, set, nil, 0) end
    set:remove(o)
    equal(readable_names({[a] = "a"}, select(set, nil, 5)), "{1=a a=1} {} nil")
    close_all()
end

function T.test_a_dirty_object_stands_for_all_of_its_descriptor()
    local r, w = things.pipe()
    unix.write(w, "x")
    local plain = object(r)
    local dirty = object(r, {dirty = function() return true end})
    local names = {[plain] = "plain", [dirty] = "dirty"}
    for _, list in ipairs {{dirty, plain}, {plain, dirty}, {dirty, plain, dirty}} do
        equal(describe(names, pcall(select, list, nil, 0)),
            describe(names, pcall(original, list, nil, 0)))
    end
end

function T.test_it_sleeps_its_time()
    local a = pair()
    for _, lists in ipairs {{}, {{a}}} do
        local start = unix.now()
        equal(_G.select(3, select(lists[1], nil, 0.02)), "timeout")
        assert(unix.now() - start >= 0.02)
    end
    close_all()
end

function T.test_errors_name_the_line_of_the_program()
    local function fail(pattern, ...)
        raises("test_select.lua:%d+: " .. pattern, function(...) return {select(...)} end, ...)
    end
    fail("attempt to index .*: select expects lists of objects with a method getfd", {5}, nil, 0)
    fail("bad argument #1 to 'select' %(table expected, got number%)", 5)
    local readyq = require "readyq"
    local new = readyq.new
    function readyq.new() return nil, "new() failed: no descriptors left", 24 end
    fail("select failed: no descriptors left", new_set())
    readyq.new = new
end

function T.test_install_puts_it_into_luasocket()
    equal(require "readyq.select".install(), original)
    equal(socket.select, select)
    socket.select = original
end

return T
