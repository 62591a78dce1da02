-- SPDX-License-Identifier: MIT
--
-- Runs one test: `lua run.lua test_flow test_level_is_reported_again`. It fails when the test
-- raises, and when descriptors are left open that were not open before.
package.path = arg[0]:gsub("[^/]*$", "?.lua;") .. package.path

local things = require "things"
local unix = require "unix"

local tests = require(arg[1])
local test = assert(tests[arg[2]], "no such test")
local before = unix.count_open()

local ok, message = xpcall(test, debug.traceback)
if not ok then
    io.stderr:write(message, "\n")
    os.exit(1)
end
things.close_all()
if jit then jit.flush() end -- compiled code holds on to what it used
collectgarbage()
collectgarbage()
local left = unix.count_open() - before
if left ~= 0 then
    io.stderr:write("descriptors left open: ", left, "\n")
    os.exit(1)
end
