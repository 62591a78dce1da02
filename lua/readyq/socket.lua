-- SPDX-License-Identifier: MIT
--
-- LuaSocket for coroutines of readyq.loop: a copy of the module `socket` whose objects, which
-- wrapper.lua makes, wait in the loop where LuaSocket's block, and return what those return.
-- docs/lua-sockets.md explains it.
local lists = require "readyq.lists"
local loop = require "readyq.loop"
local misuse = require "readyq.misuse"
local protection = require "readyq.protection"
local selection = require "readyq.selection"
local wrapper = require "readyq.wrapper"

local luasocket = wrapper.luasocket
local wrap, wrap_first, is_outside = wrapper.wrap, wrapper.wrap_first, wrapper.is_outside

-- ---------------------------------------------------------------- the module

local CREATING = "tcp tcp4 tcp6 udp udp4 udp6 bind stream dgram wrap"

-- A copy of `socket`, `socket.unix` or `ssl`, in which these functions return objects that wait.
local function copy(original)
    local module = {}
    for name, value in pairs(original) do module[name] = value end
    for name in CREATING:gmatch("%w+") do
        local create = original[name]
        module[name] = create and function(...) return wrap_first(create(...)) end
    end
    module.original = original
    return setmetatable(module, {__call = function(_, ...) return wrap_first(original(...)) end})
end

local socket = copy(luasocket)
socket.wrap = wrap
if _VERSION == "Lua 5.1" then
    for name, f in pairs(protection) do socket[name] = f end
end

local function connect_from(create, host, port, local_host, local_port)
    local object, message = create()
    if not object then return nil, message end
    local done = true
    if local_host then done, message = object:bind(local_host, local_port or 0) end
    if done then done, message = object:connect(host, port) end
    if done then return object end
    object:close()
    return nil, message
end

local CREATE = {unspec = socket.tcp, inet = socket.tcp4, inet6 = socket.tcp6} -- by family

function socket.connect(host, port, local_host, local_port, family)
    local create = CREATE[family or "unspec"]
    if create then return connect_from(create, host, port, local_host, local_port) end
    misuse.raise("bad argument #5 to 'connect' (invalid option '%s')", tostring(family))
end

function socket.connect4(...) return connect_from(socket.tcp4, ...) end

function socket.connect6(...) return connect_from(socket.tcp6, ...) end

function socket.sleep(seconds)
    local number = tonumber(seconds)
    if not number then
        misuse.raise("bad argument #1 to 'sleep' (number expected, got %s)", type(seconds))
    end
    if is_outside() then return luasocket.sleep(number) end
    loop.sleep(math.max(0, number))
end

function socket.select(readers, writers, timeout)
    if not is_outside() then return selection.select(readers, writers, timeout) end
    timeout = lists.check(readers, writers, timeout)
    return luasocket.select(readers, writers, timeout)
end

-- ---------------------------------------------------------------- instead of LuaSocket

local function is_copy(module) return type(module) == "table" and module.original ~= nil end

-- Makes require() return the copy of a module, which is loaded only then.
local function substitute(name)
    local loaded, preload = package.loaded[name], package.preload[name]
    if loaded then
        package.loaded[name] = is_copy(loaded) and loaded or copy(loaded)
        return
    end
    package.preload[name] = function()
        package.preload[name], package.loaded[name] = preload, nil
        local module = require(name)
        return is_copy(module) and module or copy(module)
    end
end

-- From now on `require "socket"`, "socket.unix" and "ssl" return modules whose objects wait. Those
-- of LuaSocket and LuaSec that use them are loaded again. Returns LuaSocket's `socket`.
function socket.install()
    package.loaded.socket = socket
    substitute("socket.unix")
    substitute("ssl")
    for _, name in ipairs {"socket.http", "socket.smtp", "socket.ftp", "socket.tp", "ssl.https"} do
        package.loaded[name] = nil
    end
    return luasocket
end

return socket
