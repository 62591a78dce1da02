-- SPDX-License-Identifier: MIT
--
-- The table of a queue that print(q) shows at the prompt: a line for each watch. Functions and
-- coroutines are named by file and line.
local text = require "readyq.text"

local picture = {}

local HEADER = {"kind", "source", "interest", "due in", "every", "ready", "data"}
local LONGEST = 60 -- characters of data
local DIRECTORY = debug.getinfo(1, "S").source:match("^(.*)picture%.lua$") or "@readyq"

-- A time to three digits: 12 s, 0.25 s, 1.5 ms.
local function seconds(time)
    if time >= 1000 then return ("%.0f s"):format(time) end
    if time >= 0.1 then return ("%.3g s"):format(time) end
    if time >= 0.0001 then return ("%.3g ms"):format(time * 1e3) end
    return ("%.3g us"):format(time * 1e6)
end

local function due(watch, now)
    local time = watch.due
    if not time then return "" end
    if time == math.huge then return "never" end
    return time > now and seconds(time - now) or "now"
end

local function place(info, line)
    if info.what == "C" then return "in C" end
    return ("%s:%d"):format(info.short_src:match("[^/]*$"), line)
end

-- With the line of the program where it waits.
local function describe_coroutine(co)
    for level = 0, 20 do
        local info = debug.getinfo(co, level, "Sl")
        if not info then break end
        local is_own = info.source:sub(1, #DIRECTORY) == DIRECTORY
        if info.what ~= "C" and not is_own and info.currentline > 0 then
            return "coroutine " .. place(info, info.currentline)
        end
    end
    return "coroutine, " .. coroutine.status(co)
end

-- The coroutine that the loop resumes for this watch of its own, if there is one.
local function coroutine_of(data)
    if type(data) ~= "table" then return nil end
    if type(rawget(data, "co")) == "thread" then return data.co end -- the task of a timeout
    for bit = 1, 4 do -- a descriptor's: for READ, WRITE and PRIORITY
        local task = rawget(data, bit)
        if type(task) == "table" and type(task.co) == "thread" then return task.co end
    end
end

local function describe_function(f)
    local info = debug.getinfo(f, "S")
    return "function " .. place(info, info.linedefined)
end

local function describe(data, watch)
    if data == nil then return "" end
    if type(data) == "function" then return describe_function(data) end
    local co = type(data) == "thread" and data or coroutine_of(data)
    if co then return describe_coroutine(co) end
    if type(data) == "table" and rawget(data, "watch") == watch then return "readyq.loop" end
    local ok, words = pcall(tostring, data)
    if not ok then words = type(data) end
    words = words:gsub("[%s%c]+", " ")
    return #words <= LONGEST and words or text.cut(words, LONGEST)
end

-- What tostring(watch) says after "readyq.watch: ", for example "fd 5 (pipe) interest READ".
local function row(watch, now)
    local words = tostring(watch)
    local interest, source, ready = "", watch.source, words:match(", ready ([%u_|]+)") or ""
    if watch.kind == "fd" then
        source = words:match("fd (%d+ %b())") or tostring(watch.fd)
        interest = watch.interest == 0 and "paused" or words:match(" interest ([%u_|]+)") or ""
        if watch.interest ~= 0 and not watch.armed then interest = interest .. " (disarmed)" end
    elseif watch.kind ~= "signal" and watch.kind ~= "process" then
        source = ""
    end
    if watch.count > 1 and ready ~= "" then ready = ready .. " x" .. watch.count end
    return {
        watch.kind, tostring(source), interest, due(watch, now),
        watch.period and seconds(watch.period) or "", ready, describe(watch.data, watch),
    }
end

-- The queue's name, and below it a line for each watch, in this many columns (nil: as many as it
-- takes).
function picture.table(queue, columns)
    local title = tostring(queue)
    if queue:closed() or #queue == 0 then return title end
    local rows, now = {HEADER}, queue:now()
    for watch in queue:watches() do table.insert(rows, row(watch, now)) end
    return text.table(title, rows, columns)
end

return picture
