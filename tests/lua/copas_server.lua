-- SPDX-License-Identifier: MIT
--
-- An echo server on copas, for test_lua.py: `copas_server.lua stock|readyq` prints its port.
local which = arg[1]
if which == "readyq" then require "readyq.select".install() end
local copas = require "copas"
local socket = require "socket"

local listener = assert(socket.bind("127.0.0.1", 0, 1024))
copas.addserver(listener, function(client)
    while true do
        local line = copas.receive(client)
        if not line then break end
        copas.send(client, line .. "\n")
    end
    client:close()
end)
local _, port = listener:getsockname()
print(port)
io.stdout:flush()
copas.loop()
