-- SPDX-License-Identifier: MIT
--
-- Completion of what is typed at the prompt: keywords, globals, fields and methods. It reads
-- tables without their metamethods, so that nothing is called.
local completion = {}

local KEYWORDS = "and break do else elseif end false for function goto if in local nil not or "
    .. "repeat return then true until while"
local QUEUE_METHODS = require("readyq.core").methods
local WATCH_FIELDS = "active armed count data due fd interest kind period queue ready readable "
    .. "source status writable"
local WATCH_METHODS = "fire handle has modify remove restart"

-- A table with these names, whose values are functions, like those of methods.
local function words(list)
    local set = {}
    for word in list:gmatch("%S+") do set[word] = print end
    return set
end

local function names_of_watch(separator)
    return words(separator == ":" and WATCH_METHODS or WATCH_FIELDS)
end

local function type_name(value)
    local kind = debug.getmetatable(value)
    return type(kind) == "table" and rawget(kind, "__name") or tostring(value):match("^[%w.]+")
end

-- The tables in which fields of the value are found.
local function tables_of(value, separator)
    local tables = {}
    if type(value) == "userdata" and type_name(value) == "readyq.queue" then
        return {QUEUE_METHODS}
    elseif type(value) == "userdata" and type_name(value) == "readyq.watch" then
        return {names_of_watch(separator)}
    end
    for _ = 1, 10 do -- an __index may lead back to where it came from
        if type(value) == "table" then table.insert(tables, value) end
        local kind = debug.getmetatable(value)
        value = type(kind) == "table" and rawget(kind, "__index")
        if not value then break end
    end
    return tables
end

local function field(value, name)
    if type(value) == "userdata" and type_name(value) == "readyq.watch" then
        return names_of_watch(".")[name] and value[name]
    end
    for _, one in ipairs(tables_of(value, ".")) do
        if rawget(one, name) ~= nil then return rawget(one, name) end
    end
end

-- The value of a path such as `loop.queue`, or nil.
local function value_of(path, globals)
    local value = globals
    for name in path:gmatch("[%w_]+") do
        value = field(value, name)
        if value == nil then return nil end
    end
    return value
end

local function collect(tables, prefix, separator, into)
    for _, one in ipairs(tables) do
        for name, value in next, one do
            if type(name) == "string" and name:find("^[%a_][%w_]*$")
                and name:sub(1, #prefix) == prefix
                and (separator ~= ":" or type(value) == "function") then
                into[name] = true
            end
        end
    end
end

-- The names that can complete the end of the text, sorted, and the part of them that is there.
function completion.of(before, globals)
    local path, separator, prefix = before:match("([%a_][%w_.]*)([.:])([%w_]*)$")
    local found = {}
    if path then
        local value = value_of(path, globals)
        if value ~= nil then collect(tables_of(value, separator), prefix, separator, found) end
    else
        prefix = before:match("[%a_][%w_]*$")
        if not prefix then return {}, "" end
        collect({globals, words(KEYWORDS)}, prefix, nil, found)
    end
    local names = {}
    for name in pairs(found) do table.insert(names, name) end
    table.sort(names)
    return names, prefix
end

-- The longest common prefix of the names.
function completion.common(names)
    local common = names[1] or ""
    for _, name in ipairs(names) do
        while name:sub(1, #common) ~= common do common = common:sub(1, -2) end
    end
    return common
end

return completion
