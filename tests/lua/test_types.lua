-- SPDX-License-Identifier: MIT
--
-- Compares lua/readyq/types.lua, which language servers read, with the modules: every field and
-- function is annotated, nothing else is, and the parameters are those of the code.
local readyq = require "readyq"
local things = require "things"
local equal = things.equal

local T = {}
local ROOT = arg[0]:gsub("tests/lua/run%.lua$", "")

local function text_of(files)
    local pipe = io.popen("cat " .. ROOT .. files)
    local text = pipe:read("*a")
    pipe:close()
    assert(#text > 1000, "no " .. files)
    return text
end

-- The annotations: for each class a table of fields (true) and functions (lists of their
-- parameters).
local function annotations()
    local classes, variables, class, described = {}, {}, nil, {}
    for line in (text_of "lua/readyq/types.lua" .. "\n"):gmatch("(.-)\n") do
        local name = line:match("^%-%-%-@class ([%w_.]+)")
        local field = line:match("^%-%-%-@field ([%w_]+)")
        local variable = line:match("^local (%w+) = {}")
        local owner, method, parameters = line:match("^function (%w+)[.:]([%w_]+)%((.-)%) end")
        if name then
            class = name
            classes[class] = {}
        elseif field then
            classes[class][field] = true
        elseif variable then
            variables[variable] = class
        elseif owner then
            local list = {}
            for parameter in parameters:gmatch("[%w_.]+") do list[#list + 1] = parameter end
            local names = table.concat(list, " ")
            equal(table.concat(described, " "), names) -- each has its @param, in order
            classes[variables[owner]][method] = list
        end
        local parameter = line:match("^%-%-%-@param ([%w_.]+)")
        described = line:find("^%-%-%-") and described or {}
        described[#described + 1] = parameter
    end
    return classes
end

local function keys_of(t, leave_out)
    local keys = {}
    for key in pairs(t) do
        if not leave_out or not leave_out[key] then keys[#keys + 1] = key end
    end
    table.sort(keys)
    return table.concat(keys, " ")
end

local function queue_methods() return getmetatable(readyq.new()).__index end

-- The methods and fields of watches are in an upvalue of the function that finds them. Lua 5.1
-- does not show it.
local function watch_members()
    local index = getmetatable(readyq.new():add_trigger()).__index
    for i = 1, 9 do
        local _, value = debug.getupvalue(index, i)
        if type(value) == "table" and value.modify then return value end
    end
end

function T.test_every_name_is_annotated_and_no_other()
    local classes = annotations()
    local absent = {on_error = true, ghost_fd = true, loop_options = true} -- unless they are set
    equal(keys_of(classes["readyq"], absent), keys_of(readyq))
    equal(keys_of(classes["readyq.queue"]), keys_of(queue_methods()))
    local members = watch_members()
    assert(members or _VERSION == "Lua 5.1")
    if members then equal(keys_of(classes["readyq.watch"]), keys_of(members)) end
    equal(keys_of(classes["readyq.stats"], absent), keys_of(readyq.new():stats(), absent))
    for _, name in ipairs {"loop", "select", "repl"} do
        equal(keys_of(classes["readyq." .. name], absent), keys_of(require("readyq." .. name)))
    end
    for option in pairs(classes["readyq.options"]) do
        things.raises(option, readyq.new, {nonsense = true}) -- the message lists them
    end
end

-- The parameters of functions in Lua; Lua 5.1 does not provide them.
local function parameters_of(f)
    local list = {}
    for i = 1, debug.getinfo(f, "u").nparams do list[i] = debug.getlocal(f, i) end
    if debug.getinfo(f, "u").isvararg then list[#list + 1] = "..." end
    return list
end

function T.test_parameters_are_those_of_the_lua_functions()
    if not debug.getinfo(1, "u").nparams then return end
    local classes = annotations()
    local modules = {["readyq.queue"] = queue_methods()}
    for _, name in ipairs {"loop", "select", "repl"} do
        modules["readyq." .. name] = require("readyq." .. name)
    end
    local checked = 0
    for name, module in pairs(modules) do
        for key, f in pairs(module) do
            if type(f) == "function" and debug.getinfo(f, "S").what == "Lua" then
                local parameters = parameters_of(f)
                if parameters[1] == "self" then table.remove(parameters, 1) end
                equal(#parameters, #classes[name][key])
                checked = checked + 1
            end
        end
    end
    assert(checked > 10)
end

-- Each function in C has its call in a comment.
function T.test_parameters_are_as_many_as_those_of_the_c_functions()
    local classes, checked = annotations(), 0
    local names = {q = "readyq.queue", w = "readyq.watch", t = "readyq.watch", readyq = "readyq",
        r = "readyq.recording"}
    local call = "[%]/]%*? (%w+)[.:]([%w_]+)(%b())" -- after the stack effect, or alone
    for owner, name, parameters in text_of("bindings/lua/*.[ch]"):gmatch(call) do
        local class = assert(classes[names[owner]], owner)
        local _, count = parameters:gsub("[%w_][^,)]*", "")
        equal(name .. " " .. count, name .. " " .. #class[name])
        checked = checked + 1
    end
    assert(checked > 25, checked)
end

return T
