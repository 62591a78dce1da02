-- SPDX-License-Identifier: MIT
--
-- Errors of readyq.loop that name the call and the line of the program that made it.
local misuse = {helper = nil}

local DIRECTORY = debug.getinfo(1, "S").source:match("^(.*)misuse%.lua$")

local function is_of_program(frame)
    if frame.what ~= "Lua" and frame.what ~= "main" then return false end -- C, or a tail call
    return not DIRECTORY or frame.source:sub(1, #DIRECTORY) ~= DIRECTORY
end

-- Raises an error at the line from which the program called the loop. In the coroutine `helper` of
-- the loop, which knows no such line, raises a table with the text, for raise_again().
function misuse.raise(text, ...)
    local level, frame = 2, debug.getinfo(2, "S")
    while frame and not is_of_program(frame) do
        level = level + 1
        frame = debug.getinfo(level, "S")
    end
    text = text:format(...)
    if misuse.helper and coroutine.running() == misuse.helper then error({misuse = text}, 0) end
    error(text, frame and level or 0)
end

-- Raises an error of the helper.
function misuse.raise_again(problem)
    if type(problem) == "table" and problem.misuse then misuse.raise("%s", problem.misuse) end
    error(problem, 0)
end

-- Calls a method of the queue for `call`. Its errors are raised as errors of the program.
function misuse.check(call, method, queue, ...)
    local ok, result, message, errno = pcall(method, queue, ...)
    if ok then return result, message, errno end
    local reason = tostring(result):match("^bad argument #%d+ to '.-' %((.*)%)$")
    misuse.raise("%s: %s", call, reason or tostring(result))
end

function misuse.check_function(call, f)
    if type(f) == "function" then return end
    misuse.raise("%s: function expected, got %s", call, type(f))
end

-- Returns the seconds of a timeout, which may be a deadline.
function misuse.check_timeout(call, timeout)
    if type(timeout) == "number" and timeout >= 0 then return timeout end
    if type(timeout) == "table" and type(timeout.left) == "function" then return timeout:left() end
    misuse.raise("%s: the timeout must be a number of seconds >= 0 or a deadline, not %s", call,
        tostring(timeout))
end

-- The running coroutine is not one of the loop's.
function misuse.refuse_coroutine(call, is_main)
    if is_main then
        misuse.raise("%s: only a coroutine can wait: start one with loop.spawn(), then call "
            .. "loop.run()", call)
    end
    misuse.raise("%s: this coroutine was not started by loop.spawn(), so nothing would resume "
        .. "it; for a generator that waits use loop.wrap() instead of coroutine.wrap()", call)
end

return misuse
