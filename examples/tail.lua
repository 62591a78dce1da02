-- SPDX-License-Identifier: MIT
--
-- Prints what is appended to files: `tail.lua FILE...`. The same program as tail.py.
--
-- A file is always ready, even at its end, so a queue cannot report that it grows: a timer checks
-- it. A file that has become shorter, as after log rotation, is read from the beginning. Ctrl-C
-- ends it.
local readyq = require "readyq"

local EVERY = 0.1 -- seconds

local last -- the path of the file whose text was printed last

-- Returns the text of a file from an offset on, and the offset of its end; without an offset, no
-- text.
local function read_from(path, offset)
    local file = io.open(path, "rb")
    if not file then return "", 0 end
    local size = file:seek("end")
    if offset then file:seek("set", size < offset and 0 or offset) end
    local text = file:read("*a")
    size = file:seek()
    file:close()
    return text, size
end

local offsets = {}
for i, path in ipairs(arg) do
    offsets[i] = select(2, read_from(path)) -- only what comes from now on
end

local function look_at_all()
    for i, path in ipairs(arg) do
        local text, offset = read_from(path, offsets[i])
        offsets[i] = offset
        if text ~= "" then
            if last ~= path and #arg > 1 then print("==> " .. path .. " <==") end
            last = path
            io.write(text)
            io.stdout:flush()
        end
    end
end

local q = readyq.new()
q:add_timer(EVERY, look_at_all, EVERY)
local interrupt = q:add_signal("INT", function(w) w:remove() end)
print("following " .. #arg .. " files")
io.stdout:flush()
while interrupt.active do q:dispatch() end
q:close()
