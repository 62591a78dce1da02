-- SPDX-License-Identifier: MIT
--
-- Keeps programs running: `supervisor.lua COMMAND...`, where each command is a line for the shell,
-- such as "sleep 5". A command that ends is started again, after a growing delay if it ends soon
-- after its start. SIGTERM and Ctrl-C end the programs, and then the supervisor.
local loop = require "readyq.loop"

local FIRST_DELAY, LONGEST_DELAY = 0.1, 60 -- seconds
local HEALTHY = 10 -- seconds after which a program counts as having started well

local stop = loop.event()
local running = {} -- a set of process ids

local function report(...)
    print(string.format(...))
    io.stdout:flush()
end

-- What a wait status says, as waitpid gives it: the lower 7 bits are the signal that ended the
-- process, the eighth says whether it left a core; the next 8 are its exit code.
local function describe(status)
    if status < 0 then return "ended" end
    local signal, core = status % 128, math.floor(status / 128) % 2
    if signal == 0 then return ("exited with code %d"):format(math.floor(status / 256)) end
    return ("was ended by signal %d%s"):format(signal, core == 1 and " and left a core" or "")
end

-- Starts a command. Returns its process id and a pipe, whose close() waits for the process. Lua
-- cannot fork: the shell prints its process id, and then becomes the command.
local function start(command)
    local pipe = assert(io.popen("echo $$; exec " .. command .. " >&2"))
    pipe:setvbuf("no")
    loop.readable(pipe)
    return tonumber((pipe:read())), pipe
end

local function supervise(command)
    local delay = FIRST_DELAY
    repeat
        local pid, pipe = start(command)
        local started = loop.queue:now()
        running[pid] = true
        report("%s: started as %d", command, pid)
        local status = assert(loop.wait_process(pid))
        running[pid] = nil
        loop.close(pipe) -- reaps the process, and does not block: it has ended
        if loop.queue:now() - started > HEALTHY then delay = FIRST_DELAY end
        report("%s: %s", command, describe(status))
        if stop:is_set() then return end
        report("%s: starts again in %g s", command, delay)
        local is_over = stop:wait(delay)
        delay = math.min(2 * delay, LONGEST_DELAY)
    until is_over
end

local function finish()
    if stop:is_set() then return end
    stop:set()
    for pid in pairs(running) do os.execute("kill " .. pid) end
end

loop.queue:add_signal("INT", finish)
loop.queue:add_signal("TERM", finish)
for _, command in ipairs(arg) do loop.spawn(supervise, command) end
loop.run()
