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

-- Before a test closes its queue: what the queue watches is what the kernel watches. Descriptors
-- that the test closed itself are no fault of the queue.
local function check_before_close()
    local loaded, readyq = pcall(require, "readyq")
    local q = loaded and readyq.new()
    if not q then return end
    local methods = getmetatable(q).__index
    local close = methods.close
    q:close()
    local process = unix.getpid()
    methods.close = function(queue, ...)
        local differences = process == unix.getpid() and not queue:closed() and queue:check()
        for _, line in ipairs(differences or {}) do
            assert(not line:find("the queue watches it for"), line)
        end
        return close(queue, ...)
    end
end

local ok, problem = xpcall(function()
    if arg[1] ~= "test_types" then check_before_close() end -- which reads the parameters
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
