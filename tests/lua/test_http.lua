-- SPDX-License-Identifier: MIT
--
-- lua-http on readyq.loop: its server and the controller of a client are sources, by their pollfd.
local loop = require "readyq.loop"
local things = require "things"
local server_of = things.need("http.server", "lua-http")
local cqueues = require "cqueues"
local headers = require "http.headers"
local request = require "http.request"
local equal = things.equal

local T = {}

local function answer(_, stream)
    local asked = assert(stream:get_headers())
    local body = assert(stream:get_body_as_string())
    local reply = headers.new()
    reply:append(":status", "200")
    assert(stream:write_headers(reply, false))
    assert(stream:write_body_from_string(asked:get(":path") .. " " .. #body))
end

-- Steps a controller, or what behaves as one, in a coroutine of the loop.
local function drive(controller, is_over)
    return loop.spawn(function()
        while not is_over() do
            assert(controller:step(0))
            if not is_over() then loop.readable(controller, controller:timeout()) end
        end
    end)
end

local function ask(uri, body)
    local asked = request.new_from_uri(uri)
    asked:set_body(body)
    local reply, stream = assert(asked:go(60))
    equal(reply:get(":status"), "200")
    return assert(stream:get_body_as_string(60))
end

function T.test_a_server_and_clients_of_lua_http_run_inside_the_loop()
    local serving = cqueues.new()
    local server = assert(server_of.listen {
        cq = serving,
        host = "127.0.0.1", port = 0, tls = false, onstream = answer,
        onerror = function(_, _, _, message) error(message) end,
    })
    assert(server:listen())
    local _, _, port = server:localname()
    local uri = ("http://127.0.0.1:%d/path"):format(port)
    local clients, texts, ticks = cqueues.new(), {}, 0
    for i = 1, 5 do
        clients:wrap(function() texts[i] = ask(uri, ("x"):rep(i * 100000)) end)
    end
    local function is_over() return clients:empty() end
    local ticker = loop.every(0.001, function() ticks = ticks + 1 end)
    local driver = drive(server, is_over)
    drive(clients, is_over)
    loop.spawn(function()
        while not is_over() do loop.sleep(0.001) end
        loop.cancel(driver)
        loop.cancel(ticker)
    end)
    loop.run()
    for i = 1, 5 do equal(texts[i], "/path " .. i * 100000) end
    assert(ticks > 0, "the loop did nothing else meanwhile")
    clients:wrap(function() server:close() end) -- it polls
    assert(clients:loop(60))
    serving:close()
    clients:close()
end
return T
