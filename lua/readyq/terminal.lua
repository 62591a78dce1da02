-- SPDX-License-Identifier: MIT
--
-- The terminal of the prompt: its width, and whether it edits lines itself or passes each key. Lua
-- has no call for either, so the program stty, which every Unix has, is used.
local terminal = {columns = 80}

local KEYS = "-icanon -echo -ixon -iexten susp undef min 0 time 0"
local popen = io.popen
local original -- how stty describes the terminal as it was
local passes_keys = false

-- What a command prints. Ctrl-C does not end it.
local function run(command)
    local pipe = popen("trap '' INT; { " .. command .. "; } 2>/dev/null")
    local output = pipe:read("*a")
    pipe:close()
    return output
end

-- Returns true; or nil, and why lines cannot be edited, or nil if nobody types them.
function terminal.open()
    local is_terminal = os.execute("[ -t 0 ] && [ -t 1 ]")
    if is_terminal ~= true and is_terminal ~= 0 then return nil end -- Lua 5.1 returns the status
    original = run("stty -g"):match("^%S+")
    if not original then return nil, "the program stty is missing (Debian: coreutils)" end
    local name = os.getenv("TERM")
    if not name or name == "" or name == "dumb" then
        return nil, "the terminal cannot move its cursor (TERM=" .. (name or "") .. ")"
    end
    return true
end

local function read_columns(output)
    local columns = tonumber(output:match("%d+ (%d+)"))
    terminal.columns = columns and columns > 0 and columns or 80
end

-- From now on each key can be read, and is not shown.
function terminal.pass_keys()
    if passes_keys then return end
    read_columns(run("stty " .. KEYS .. "; stty size"))
    passes_keys = true
end

function terminal.measure() read_columns(run("stty size")) end

-- As it was before, for other readers of the terminal.
function terminal.restore()
    if passes_keys then run("stty " .. original) end
    passes_keys = false
end

return terminal
