-- SPDX-License-Identifier: MIT
--
-- A prompt on the queue of readyq.loop: `lua -l readyq.repl`. The keyboard is one of the things
-- that the queue waits for, so that callbacks and coroutines run while you type. What you type
-- also runs in a coroutine, and may wait. editor.lua edits the line if there is a terminal.
local readyq = require "readyq"
local loop = require "readyq.loop"
local editor = require "readyq.editor"
local misuse = require "readyq.misuse"
local picture = require "readyq.picture"
local plain = require "readyq.plain"
local terminal = require "readyq.terminal"

local repl = {}
local queue = loop.queue
local compile = loadstring or load
local interrupts = assert(readyq.new()) -- tells code that runs without waiting about Ctrl-C
local interrupted = false -- Ctrl-C was seen by the loop
local has_broken_off = false -- Ctrl-C has ended running code, which the loop has yet to see
local overdue = 0 -- how often running code has looked since a Ctrl-C that the loop has not seen
local PATIENCE = 10
local stepper -- the coroutine that runs the loop
local is_stepping = false -- callbacks may run in it
local reader -- the coroutine that reads the line
local spawn = loop.spawn
local input = plain -- editor, or plain
local is_reading = false -- a line is being typed, and nothing that was typed is running

local HELP = [[
q is a queue, loop runs coroutines on it, and both run while you type:

  q:add_timer(1, function(w) print("a second later") end)      q:add_timer(1, f, period)
  q:add(io.popen("date"), "r", function(w) print(w.source:read()) w:remove() end)
  loop.spawn(function() loop.sleep(1) print("slept") end)      loop.readable(s, timeout)
  print(q)   shows what the queue watches      w:remove(), w:modify("r"), w:restart(delay)

Tab completes names; Up and Ctrl-R recall lines. Ctrl-C clears the line or ends running code;
Ctrl-D exits.]]

-- ---------------------------------------------------------------- Ctrl-C and errors

local function forget_interrupts()
    overdue = 0
    for _ in interrupts:wait(0) do end
end

-- Whether code that was typed sleeps in a queue, so that the loop has to wait. Called by a hook
-- that the queue's wait has called.
local function is_asleep()
    local sleeper = debug.getinfo(4, "f")
    return sleeper and sleeper.func == queue.wait and coroutine.running() ~= stepper
end

-- Whether the prompt's own code is running. It ends soon.
local function is_own()
    local co = coroutine.running()
    return co == stepper and not is_stepping or co ~= nil and co == reader
end

-- The loop handles it, if its turn comes soon.
local function break_off()
    if is_own() then return end
    for _ in interrupts:wait(0) do overdue = 1 end
    if overdue == 0 then return end
    overdue = overdue + 1
    local asleep = is_asleep()
    if overdue < PATIENCE and not asleep then return end
    overdue, has_broken_off = 0, true
    error("interrupted!", asleep and 0 or 2)
end

local function watch_code(co)
    if co then return debug.sethook(co, break_off, "", 1000) end
    debug.sethook(break_off, "", 1000) -- the main program, which Lua 5.1 has no coroutine for
end

-- The callback of a descriptor would raise again at once, so its watch is paused.
local function report(message, source)
    print(message)
    if type(source) == "userdata" and source.kind == "fd" and source.active then
        source:modify(0)
        print("paused: " .. tostring(source))
    end
end

local function on_interrupt()
    interrupted = not (has_broken_off and is_reading)
    has_broken_off = false
    forget_interrupts()
end

-- The prompt itself waits in the queue of the loop.
local function keep_queue_open()
    local methods = getmetatable(queue).__index
    local close = methods.close
    function methods.close(q, ...)
        if q == queue then
            misuse.raise("close: this is the queue of the prompt, which must stay open; "
                .. "readyq.new() makes another one")
        end
        return close(q, ...)
    end
end

local function prepare()
    if jit then -- compiled code would not see Ctrl-C
        jit.off()
        jit.flush()
    end
    io.stdin:setvbuf("no") -- the queue would not see bytes that are in a buffer
    io.stdout:setvbuf("no")
    assert(interrupts:add_signal("INT"))
    assert(queue:add_signal("INT", on_interrupt))
    loop.on_error = report
    function loop.spawn(...)
        local co = spawn(...)
        watch_code(co)
        return co
    end
end

-- ---------------------------------------------------------------- output

-- Takes the line off the screen for output, and notes what follows its last newline.
local function note_output(...)
    input.hide()
    local words = {input.rest}
    for i = 1, select("#", ...) do words[i + 1] = tostring((select(i, ...))) end
    input.rest = table.concat(words):match("[^\n]*$")
end

local function is_queue(value)
    return type(value) == "userdata" and debug.getmetatable(value) == debug.getmetatable(queue)
end

local function unpack_shown(...)
    local values, count = {...}, select("#", ...)
    for i = 1, count do
        if is_queue(values[i]) then values[i] = picture.table(values[i], terminal.columns) end
    end
    return (table.unpack or unpack)(values, 1, count)
end

-- Makes print, io.write and the files' write clear the line before they write. Output of C code
-- and child processes is not noticed here.
local function share_screen()
    local methods = getmetatable(io.stdout).__index
    local print_plainly, write, write_file = print, io.write, methods.write
    function _G.print(...)
        note_output("\n")
        print_plainly(unpack_shown(...))
    end
    function io.write(...) -- luacheck: ignore 122
        if io.output() == io.stdout then note_output(...) end
        return write(...)
    end
    function methods.write(file, ...)
        if file == io.stdout or file == io.stderr then note_output(...) end
        return write_file(file, ...)
    end
end

local function leave_terminal()
    input.hide()
    terminal.restore()
end

-- Restores the terminal's mode from before the prompt for functions that use the terminal or exit.
-- Otherwise the terminal also passes keys while code runs, so that keys typed meanwhile appear on
-- the next line.
local function share_keyboard()
    local methods = getmetatable(io.stdin).__index
    for _, place in ipairs {{io, "read"}, {io, "lines"}, {os, "execute"}, {os, "exit"}} do
        local module, name = place[1], place[2]
        local f = module[name]
        module[name] = function(...)
            leave_terminal()
            return f(...)
        end
    end
    for _, name in ipairs {"read", "lines"} do
        local f = methods[name]
        methods[name] = function(file, ...)
            if file == io.stdin then leave_terminal() end
            return f(file, ...)
        end
    end
end

-- ---------------------------------------------------------------- lines

local function step()
    is_stepping = true
    local ok, message = xpcall(loop.step, debug.traceback)
    is_stepping = false
    if not ok then report(message) end
end

-- Runs the loop until there is a line. Returns it; nil at the end of input; or "" and true after
-- Ctrl-C.
local function read_line(prompt)
    local line
    forget_interrupts() -- the code that they were meant for has ended
    input.begin(prompt)
    reader = spawn(function() line = input.read() end)
    interrupted, is_reading = false, true
    while not interrupted and coroutine.status(reader) ~= "dead" do
        step()
        input.show()
    end
    is_reading = false
    if interrupted then
        loop.cancel(reader)
        input.drop()
        line = ""
    end
    return line, interrupted
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

-- Runs what was typed, and everything else meanwhile, until it has ended, or has yielded without a
-- wait.
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
    if coroutine.status(co) ~= "dead" then
        print("the code yielded, but is not waiting for anything")
    end
end

-- Reads lines and runs them until the input ends.
function repl.run()
    prepare()
    keep_queue_open()
    share_screen()
    share_keyboard()
    stepper = coroutine.running()
    watch_code(stepper)
    local text = ""
    while true do
        local prompt = text == "" and (_G._PROMPT or "> ") or (_G._PROMPT2 or ">> ")
        local line, dropped = read_line(prompt)
        if not line then break end
        if dropped then
            text = ""
        else
            text = text .. line
            local chunk, message = load_lines(text)
            if message then print(message) end
            text = not chunk and not message and text .. "\n" or ""
            if chunk then evaluate(chunk) end
        end
    end
    terminal.restore()
end

-- Edits lines if the terminal can. Otherwise returns the reason, or nil if there is no terminal.
local function choose_input()
    local can_edit, reason = terminal.open()
    if not can_edit then return reason end
    input = editor
    local home = os.getenv("HOME")
    local path = os.getenv("READYQ_LUA_HISTORY") or home and home .. "/.readyq_lua_history"
    if path then editor.load_history(path) end
    assert(queue:add_signal("WINCH", editor.resize))
end

-- Whether the command line names the module, but no program.
local function is_asked_by_command_line()
    for level = 3, 20 do
        local info = debug.getinfo(level, "S")
        if not info then return true end
        if info.what ~= "C" then return false end
    end
end

if is_asked_by_command_line() then
    _G.readyq, _G.loop, _G.q = readyq, loop, queue
    _G.help = setmetatable({}, {
        __tostring = function() return HELP end,
        __call = function() print(HELP) end,
    })
    local banner = "readyq %s on %s, %s: "
        .. "print(q) shows the queue, help shows a summary, Ctrl-D exits."
    print(banner:format(readyq.VERSION, queue:backend(), jit and jit.version or _VERSION))
    local reason = choose_input()
    if reason then print("Line editing and completion are off: " .. reason) end
    repl.run()
    os.exit(0, true)
end

return repl
