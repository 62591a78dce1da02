-- SPDX-License-Identifier: MIT
--
-- A prompt on the queue of readyq.loop: `lua -l readyq.repl`. The keyboard is one of the things
-- that the queue waits for, so that callbacks and coroutines run while you type. What you type
-- runs in a coroutine itself, and may wait. How a line is edited is left to the terminal, or to
-- rlwrap.
local readyq = require "readyq"
local loop = require "readyq.loop"

local repl = {}
local queue = loop.queue
local compile = loadstring or load
local interrupts = assert(readyq.new()) -- tells code that runs, and does not wait, of Ctrl-C
local interrupted = false -- Ctrl-C was seen by the loop
local overdue = 0 -- how often running code looked since Ctrl-C, and the loop had not seen it
local PATIENCE = 10
local stepper -- the coroutine that runs the loop

-- ---------------------------------------------------------------- Ctrl-C and errors

local function forget_interrupts()
    overdue = 0
    for _ in interrupts:wait(0) do end
end

-- Does code that was typed sleep in a queue, so that the loop has to wait? Asked by a hook that
-- the queue's wait has called.
local function is_asleep()
    local sleeper = debug.getinfo(4, "f")
    return sleeper and sleeper.func == queue.wait and coroutine.running() ~= stepper
end

-- The loop comes first, if it has its turn soon.
local function break_off()
    for _ in interrupts:wait(0) do overdue = 1 end
    if overdue == 0 then return end
    overdue = overdue + 1
    local asleep = is_asleep()
    if overdue < PATIENCE and not asleep then return end
    overdue = 0
    error("interrupted!", asleep and 0 or 2)
end

local function watch_code(co) debug.sethook(co, break_off, "", 1000) end

-- The watch of a descriptor would raise again at once, so it is paused.
local function report(message, source)
    print(message)
    if type(source) == "userdata" and source.kind == "fd" and source.active then
        source:modify(0)
        print("paused: " .. tostring(source))
    end
end

local function prepare()
    if jit then -- compiled code would not see Ctrl-C
        jit.off()
        jit.flush()
    end
    io.stdin:setvbuf("no") -- what is read ahead, the queue could not tell
    io.stdout:setvbuf("no")
    assert(interrupts:add_signal("INT"))
    assert(queue:add_signal("INT", function()
        interrupted = true
        forget_interrupts()
    end))
    loop.on_error = report
    local spawn = loop.spawn
    function loop.spawn(...)
        local co = spawn(...)
        watch_code(co)
        return co
    end
end

-- ---------------------------------------------------------------- lines

local function step()
    local ok, message = xpcall(loop.step, debug.traceback)
    if not ok then report(message) end
end

-- What is printed while the prompt waits stands on lines of its own; then the prompt comes again.
local function step_aside(prompt)
    local plain, aside = print, false
    local function print_aside(...)
        if not aside then io.write("\n") end
        aside = true
        plain(...)
    end
    _G.print = print_aside
    step()
    if _G.print == print_aside then _G.print = plain end
    if aside then io.write(prompt) end
end

-- Runs the loop until there is a line: it; nil at the end of input; or "" and true after Ctrl-C.
local function read_line(prompt)
    local line, done
    local reader = loop.spawn(function()
        local ready, message = loop.readable(io.stdin)
        if not ready then error(message, 0) end
        line = io.read()
        done = true
    end)
    interrupted = false
    while not done and not interrupted and coroutine.status(reader) ~= "dead" do
        step_aside(prompt)
    end
    if interrupted then
        loop.cancel(reader)
        return "", true
    end
    return line
end

local function is_incomplete(message) return message:find("near '?<eof>'?$") ~= nil end

-- A function, or nil and what is wrong, or nil and nil when more lines must follow.
local function load_lines(text)
    local expression, count = text:gsub("^%s*=", "")
    local chunk, complaint = compile("return " .. expression, "=stdin")
    if chunk then return chunk end
    local statement, message = compile(text, "=stdin")
    if statement then return statement end
    if is_incomplete(complaint) or is_incomplete(message) then return nil end
    return nil, count > 0 and complaint or message
end

local function print_results(...)
    if select("#", ...) > 0 then print(...) end
end

-- Runs what was typed, and all else meanwhile, until it has ended or yielded by itself.
local function evaluate(chunk)
    forget_interrupts()
    interrupted = false
    local co = loop.spawn(function() print_results(chunk()) end)
    while loop.is_waiting(co) do
        step()
        if interrupted then
            interrupted = false
            if loop.is_waiting(co) then print("interrupted!") end
            loop.cancel(co)
        end
    end
    if coroutine.status(co) ~= "dead" then print("yielded, and waits for nothing") end
end

-- Reads lines and runs them until the input ends.
function repl.run()
    prepare()
    stepper = coroutine.running()
    watch_code(stepper)
    local text = ""
    while true do
        local prompt = text == "" and (_G._PROMPT or "> ") or (_G._PROMPT2 or ">> ")
        io.write(prompt)
        local line, dropped = read_line(prompt)
        if not line then break end
        if dropped then
            text = ""
            io.write("\n")
        else
            text = text .. line
            local chunk, message = load_lines(text)
            if message then print(message) end
            text = not chunk and not message and text .. "\n" or ""
            if chunk then evaluate(chunk) end
        end
    end
    io.write("\n")
end

-- Did the command line ask for the module, and no program?
local function is_asked_by_command_line()
    for level = 3, 20 do
        local info = debug.getinfo(level, "S")
        if not info then return true end
        if info.what ~= "C" then return false end
    end
end

if is_asked_by_command_line() then
    _G.readyq, _G.loop, _G.q = readyq, loop, queue
    print(("readyq %s on %s, %s. q is a queue, loop runs coroutines; Ctrl-D leaves."):format(
        readyq.VERSION, queue:backend(), jit and jit.version or _VERSION))
    repl.run()
    os.exit(0, true)
end

return repl
