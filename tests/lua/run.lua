-- SPDX-License-Identifier: MIT
--
-- Runs one test: `lua run.lua test_flow test_level_is_reported_again`. It fails if the test
-- raises, or if descriptors are left open. It exits with 77, and prints the reason, if the machine
-- lacks something that the test needs.
package.path = arg[0]:gsub("[^/]*$", "?.lua;") .. package.path

local things = require "things"
local unix = require "unix"

local before = unix.count_open()

local function trace(problem)
    return type(problem) == "table" and problem or debug.traceback(problem)
end

local function fail(message, code)
    io.stderr:write(message, "\n")
    os.exit(code)
end

local ok, problem = xpcall(function()
    local test = require(arg[1])[arg[2]]
    test()
end, trace)
if not ok and type(problem) == "table" then fail(problem.skip, 77) end
if not ok then fail(problem, 1) end

unix.alarm(0) -- its handler is removed with the module
things.close_all()
-- These modules keep a queue open as long as they are loaded; some of them hold readyq.socket.
local holders = {"^readyq", "^socket", "^ssl", "^redis", "^pegasus", "^" .. arg[1] .. "$"}
for name in pairs(package.loaded) do
    for _, pattern in ipairs(holders) do
        if name:find(pattern) then package.loaded[name] = nil end
    end
end
package.preload.ssl, package.preload["socket.unix"] = nil, nil
if jit then jit.flush() end -- compiled code keeps references to what it used
collectgarbage()
collectgarbage()
local left = unix.count_open() - before - things.kept
if left ~= 0 then fail("descriptors left open: " .. left, 1) end
