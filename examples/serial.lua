-- SPDX-License-Identifier: MIT
--
-- Talks to a device on a serial line: `serial.lua /dev/ttyUSB0 [speed]`. Lines from the device are
-- printed, and lines that you type are sent. A line that stays incomplete does not stop the
-- program: it is shown as it is after a second. Ctrl-C ends it.
local loop = require "readyq.loop"

local SILENCE = 1 -- seconds after which half a line is shown

-- Returns a function that waits for the next line. It returns the line; or nil, "timeout" and the
-- part that is there; or nil, why the input ended, and the part.
--
-- file:read() would block on half a line, so this function reads one byte whenever one is
-- available. Without a buffer, what is unread stays in the kernel, which reports it.
local function line_reader(file)
    file:setvbuf("no")
    local part = {}
    return function(timeout)
        while true do
            local ready, message = loop.readable(file, timeout)
            local byte
            if ready then byte, message = file:read(1) end
            if byte == "\n" then
                local line = table.concat(part)
                part = {}
                return line
            elseif byte then
                if byte ~= "\r" then table.insert(part, byte) end
            else
                return nil, message or "closed", table.concat(part)
            end
        end
    end
end

local path, speed = arg[1], tonumber(arg[2]) or 115200
if not path then
    print("usage: serial.lua DEVICE [speed]")
    os.exit(2)
end
local input, output = assert(io.open(path, "r")), assert(io.open(path, "w"))
output:setvbuf("no")
os.execute(("stty raw -echo %d <'%s' 2>/dev/null"):format(speed, (path:gsub("'", "'\\''"))))

loop.spawn(function()
    local next_line = line_reader(input)
    local shown -- of half a line
    while true do
        local line, message, part = next_line(SILENCE)
        if line then
            print(line)
            shown = nil
        elseif message ~= "timeout" then
            print("the device is gone: " .. message)
            return loop.stop()
        elseif part ~= "" and part ~= shown then
            print("half a line: " .. part)
            shown = part
        end
        io.stdout:flush()
    end
end)
loop.spawn(function()
    local next_line = line_reader(io.stdin)
    local line = next_line()
    while line do
        output:write(line, "\r\n")
        line = next_line()
    end
end)
loop.queue:add_signal("INT", loop.stop)
loop.queue:add_signal("TERM", loop.stop)
loop.run()
