-- SPDX-License-Identifier: MIT
--
-- The program's own watches in readyq.loop, whose data is called or resumed, and the handling of
-- errors.
local program = {}

-- ---------------------------------------------------------------- watches

function program.can_go_on(data)
    return type(data) == "thread" and coroutine.status(data) == "suspended"
end

local CANNOT_CALL = "%s: its data, %s, is neither a function nor a coroutine that can continue"
local WAITS = "%s: its data, %s, is a coroutine that waits for something else: the watch must be "
    .. "paused (modify(0)) or one-shot while the coroutine waits"

local function call(watch, ready, data)
    local kind = getmetatable(data)
    if type(data) ~= "function" and not (type(kind) == "table" and kind.__call) then
        local text = program.can_go_on(data) and WAITS or CANNOT_CALL
        error(text:format(tostring(watch), tostring(data)), 0)
    end
    data(watch, ready)
end

-- Calls the data of a watch. An error goes to loop.on_error, if there is one.
function program.call(loop, watch, ready, data)
    if not loop.on_error then return call(watch, ready, data) end
    local ok, message = xpcall(function() call(watch, ready, data) end, debug.traceback)
    if not ok then loop.on_error(message, watch) end
end

local keeper -- the last watch found that keeps the loop running

local function is_keeper(watch) return watch.active and program.can_go_on(watch.data) end

-- Whether the data of a watch in the queue is a coroutine that can continue. It looks at the
-- watches until it finds one, and again when that one is gone.
function program.keeps_running(queue)
    if keeper and keeper.queue == queue and is_keeper(keeper) then return true end
    keeper = nil
    for watch in queue:watches() do
        if is_keeper(watch) then
            keeper = watch
            return true
        end
    end
    return false
end

-- Whether the queue has a watch of the program. The metatables of the data of the loop's own
-- watches have handlers.
function program.has_watch(queue, handlers)
    for watch in queue:watches() do
        if not handlers[getmetatable(watch.data)] then return true end
    end
    return false
end

-- ---------------------------------------------------------------- errors

-- The error of a coroutine as it is reported: with its traceback, and with what the closing of its
-- variables raised. If the error is `cancelled`, only what the closing raised is reported.
function program.describe_error(co, message, cancelled)
    local report = type(message) == "string" and debug.traceback(co, message) or message
    if not coroutine.close or coroutine.status(co) ~= "dead" then return report end
    local is_closed, late = coroutine.close(co)
    if is_closed or late == message then return report end
    if message == cancelled then return late end
    return tostring(report) .. "\nand then, when the coroutine was closed: " .. tostring(late)
end

function program.report(loop, message, source)
    if not loop.on_error then error(message, 0) end
    loop.on_error(message, source)
end

-- An error that ended a step, in the terms of the program if the loop could not use its queue.
function program.explain(message, queue)
    local own = "readyq/%w+%.lua:%d+: attempt to use a closed"
    if not queue:closed() or not tostring(message):find(own) then return message end
    return "the queue of the loop was closed: loop.queue must stay open while the loop is used"
end

-- Handles the error that propagates out of run().
function program.add_traceback(message)
    local has_one = type(message) ~= "string" or message:find("\nstack traceback:", 1, true)
    return has_one and message or debug.traceback(message, 2)
end

return program
