-- SPDX-License-Identifier: MIT
--
-- Fetches several pages at the same time with LuaSocket's HTTP client, which waits in the loop:
-- `fetch.lua http://... http://...`
local loop = require "readyq.loop"
require "readyq.socket".install() -- before the libraries that use LuaSocket
local http = require "socket.http"

for _, url in ipairs(arg) do
    loop.spawn(function()
        local start = loop.queue:now()
        local body, status = http.request(url)
        local size = body and #body .. " bytes" or "nothing"
        print(("%s: %s, %s, %.2f s"):format(url, status, size, loop.queue:now() - start))
    end)
end
loop.run()
