-- SPDX-License-Identifier: MIT
--
-- The line editor of the prompt. Its read() waits for each key in readyq.loop, so that the queue
-- runs meanwhile; hide() takes the line off the screen for output, show() draws it again below.
-- lua-readline cannot do that: it gives programs neither the line nor the cursor, nor a call that
-- redraws them; linenoise blocks until Enter.
--
-- On the screen, from above: output that lacks its newline, if any; the prompt and the line, over
-- as many rows as they take.
local loop = require "readyq.loop"
local completion = require "readyq.completion"
local terminal = require "readyq.terminal"
local text = require "readyq.text"

local write, read_file = io.write, io.stdin.read -- the prompt replaces both

local editor = {
    history = {}, -- lines, the oldest first
    is_shown = false,
    rest = "", -- output since the last newline
}

local prompt, chars, point -- the line as a list of characters, and how many are before the cursor
local cursor_row = 0 -- where the cursor is, counted from the row of the prompt
local killed = "" -- for Ctrl-Y
local place -- in the history; #history + 1 is the line being typed
local typed -- that line, while an older one is shown
local EINTR = 4 -- on all platforms
local EMPTY_READS = 100 -- in a row: the terminal is gone
local ESCAPE_TIME = 0.1 -- seconds within which the rest of a key follows the escape character

-- ---------------------------------------------------------------- drawing

-- The rows and columns where the cursor is before the character after `count`, and at the end.
local function measure(count)
    local row, column, at_row, at_column = 0, 0, nil, nil
    local function advance(character)
        local width = text.width_of(character)
        if column + width > terminal.columns then row, column = row + 1, 0 end
        return width
    end
    for character in text.characters(prompt) do column = column + advance(character) end
    for i, character in ipairs(chars) do
        local width = advance(character)
        if i == count + 1 then at_row, at_column = row, column end
        column = column + width
    end
    if column >= terminal.columns then row, column = row + 1, 0 end
    return at_row or row, at_column or column, row, column
end

local function up(rows) return rows > 0 and ("\27[%dA"):format(rows) or "" end

local function right(columns) return columns > 0 and ("\27[%dC"):format(columns) or "" end

-- Draws the line over what is shown of it. After a full row a blank moves the cursor to the next
-- one, which terminals otherwise do only with the next character.
local function draw()
    local row, column, last_row, last_column = measure(point)
    local parts = {up(cursor_row), "\r\27[J", prompt, table.concat(chars)}
    if last_row > 0 and last_column == 0 then table.insert(parts, " ") end
    table.insert(parts, up(last_row - row) .. "\r" .. right(column))
    write(table.concat(parts))
    cursor_row, editor.is_shown = row, true
end

-- Moves the cursor to where the output ended.
function editor.hide()
    if not editor.is_shown then return end
    editor.is_shown = false
    local above = ""
    if editor.rest ~= "" then above = up(1) .. right(text.width(editor.rest)) end
    write(up(cursor_row) .. "\r\27[J" .. above)
    cursor_row = 0
end

function editor.show()
    if editor.is_shown or not prompt then return end
    if editor.rest:find("%c") or text.width(editor.rest) >= terminal.columns then
        write("\n") -- where it ends on the screen is not known, so nothing is added to it
        editor.rest = ""
    elseif editor.rest ~= "" then
        write("\n")
    end
    draw()
end

-- The width of the terminal has changed, and the terminal has wrapped the line again.
function editor.resize()
    terminal.measure()
    if not editor.is_shown then return end
    cursor_row = measure(point)
    draw()
end

-- Leaves the line on the screen, and the cursor below it.
local function leave(mark)
    editor.show()
    point = #chars
    draw()
    write((mark or "") .. "\n")
    editor.is_shown, editor.rest, cursor_row, prompt = false, "", 0, nil
end

-- Ends the reading of a line on Ctrl-C.
function editor.drop() leave("^C") end

-- ---------------------------------------------------------------- changes to the line

local function set_line(line)
    chars = {}
    for character in text.characters(line) do table.insert(chars, character) end
    point = #chars
end

local function insert(s)
    for character in text.characters(s) do
        point = point + 1
        table.insert(chars, point, character)
    end
end

local function line_of(first, last) return table.concat(chars, "", first, last) end

local function remove(first, last)
    local removed = line_of(first, last)
    for _ = first, last do table.remove(chars, first) end
    point = first - 1
    return removed
end

local function is_of_word(i) return chars[i] and chars[i]:find("^[%w_\128-\255]") end

local function word_left()
    local at = point
    while at > 0 and not is_of_word(at) do at = at - 1 end
    while at > 0 and is_of_word(at) do at = at - 1 end
    return at
end

local function word_right()
    local at = point
    while at < #chars and not is_of_word(at + 1) do at = at + 1 end
    while at < #chars and is_of_word(at + 1) do at = at + 1 end
    return at
end

local function go_in_history(step)
    local target = place + step
    if target < 1 or target > #editor.history + 1 then return end
    if place > #editor.history then typed = line_of() end
    place = target
    set_line(editor.history[place] or typed)
end

local function complete()
    local before = line_of(1, point)
    if not before:find("%S$") then return insert("    ") end
    local names, prefix = completion.of(before, _G)
    local more = completion.common(names):sub(#prefix + 1)
    insert(more)
    if more == "" and #names > 1 then
        editor.hide()
        if editor.rest ~= "" then write("\n") end
        write(text.list(names, terminal.columns - 1), "\n")
        editor.rest = ""
    end
end

-- ---------------------------------------------------------------- the history

local HISTORY_LINES = 1000
local history_path

-- Reads the lines that earlier sessions have left in the file, and adds to it from here on.
function editor.load_history(path)
    local file = io.open(path)
    local lines = {}
    for line in file and file:lines() or function() end do table.insert(lines, line) end
    if file then file:close() end
    for i = math.max(1, #lines - HISTORY_LINES + 1), #lines do
        table.insert(editor.history, lines[i])
    end
    history_path = path
    if #lines > 2 * HISTORY_LINES then
        file = io.open(path, "w")
        if file then
            file:write(table.concat(editor.history, "\n"), "\n")
            file:close()
        end
    end
end

local function remember(line)
    if line == "" or line == editor.history[#editor.history] then return end
    table.insert(editor.history, line)
    local file = history_path and io.open(history_path, "a")
    if file then
        file:write(line, "\n")
        file:close()
    end
end

-- ---------------------------------------------------------------- keys

-- The next byte; nil after the timeout and at the end of the input. A read may find nothing
-- although there was something, because the terminal forgets what was typed before Ctrl-C.
local function next_byte(timeout)
    for _ = 1, EMPTY_READS do
        local ready, message = loop.readable(io.stdin, timeout)
        if message == "timeout" then return nil end
        if not ready then error(message, 0) end
        local byte, _, errno = read_file(io.stdin, 1)
        if byte or errno and errno ~= EINTR then return byte end
    end
end

-- A key as the terminal sends it: a character, or an escape sequence. nil at the end of the input.
local function next_key()
    local key = next_byte()
    if not key then return nil end
    if key == "\27" then
        local byte = next_byte(ESCAPE_TIME)
        key = key .. (byte or "")
        if byte == "[" or byte == "O" then
            repeat
                byte = next_byte(ESCAPE_TIME)
                key = key .. (byte or "")
            until not byte or byte:find("[@-~]")
        end
        return key
    end
    local first = key:byte()
    for _ = 1, first >= 0xF0 and 3 or first >= 0xE0 and 2 or first >= 0xC0 and 1 or 0 do
        key = key .. (next_byte(ESCAPE_TIME) or "")
    end
    return key
end

local function is_character(key) return key:find("^[^%c]") ~= nil end

-- Searches the history backward for what is typed. Returns the key that ended it.
local function search()
    local own_prompt, own_line, pattern, at = prompt, line_of(), "", #editor.history + 1
    while true do
        prompt = ("search backward: %s: "):format(pattern)
        draw()
        local key, first = next_key(), at
        if key == "\18" then
            first = at - 1
        elseif key == "\127" or key == "\8" then
            pattern, first = pattern:gsub("[^\128-\191][\128-\191]*$", ""), #editor.history
        elseif key and is_character(key) then
            pattern = pattern .. key
        else
            prompt = own_prompt
            if key == "\7" then set_line(own_line) end
            return key
        end
        for i = first, 1, -1 do
            if editor.history[i] and editor.history[i]:find(pattern, 1, true) then
                at = i
                set_line(editor.history[i])
                break
            end
        end
    end
end

local actions = {
    ["\1"] = function() point = 0 end,
    ["\2"] = function() point = math.max(point - 1, 0) end,
    ["\4"] = function() if point < #chars then remove(point + 1, point + 1) end end,
    ["\5"] = function() point = #chars end,
    ["\6"] = function() point = math.min(point + 1, #chars) end,
    ["\8"] = function() if point > 0 then remove(point, point) end end,
    ["\9"] = complete,
    ["\11"] = function() killed = remove(point + 1, #chars) end,
    ["\12"] = function()
        write("\27[H\27[2J")
        cursor_row, editor.rest = 0, ""
    end,
    ["\14"] = function() go_in_history(1) end,
    ["\16"] = function() go_in_history(-1) end,
    ["\21"] = function() killed = remove(1, point) end,
    ["\23"] = function() killed = remove(word_left() + 1, point) end,
    ["\25"] = function() insert(killed) end,
    ["\27b"] = function() point = word_left() end,
    ["\27d"] = function() killed = remove(point + 1, word_right()) end,
    ["\27f"] = function() point = word_right() end,
}

for name, others in pairs {
    ["\1"] = {"\27[H", "\27OH", "\27[1~", "\27[7~"},
    ["\5"] = {"\27[F", "\27OF", "\27[4~", "\27[8~"},
    ["\2"] = {"\27[D", "\27OD"},
    ["\6"] = {"\27[C", "\27OC"},
    ["\16"] = {"\27[A", "\27OA"},
    ["\14"] = {"\27[B", "\27OB"},
    ["\4"] = {"\27[3~"},
    ["\8"] = {"\127"},
    ["\23"] = {"\27\127"},
    ["\27b"] = {"\27[1;5D", "\27[1;3D"},
    ["\27f"] = {"\27[1;5C", "\27[1;3C"},
} do
    for _, other in ipairs(others) do actions[other] = actions[name] end
end

local function handle(key)
    local action = actions[key]
    if action then
        action()
    elseif is_character(key) then
        insert(key)
    end
end

-- ---------------------------------------------------------------- reading a line

-- Begins a line: the terminal passes keys.
function editor.begin(new_prompt)
    prompt, chars, point, place, typed = new_prompt, {}, 0, #editor.history + 1, ""
    terminal.pass_keys()
    editor.show()
end

-- Waits for the rest of the line, in a coroutine of the loop. Returns nil after Ctrl-D.
function editor.read()
    while true do
        local key = next_key()
        if key == "\18" then key = search() end
        if key == "\n" or key == "\r" then break end
        if not key or key == "\4" and #chars == 0 then
            leave()
            return nil
        end
        handle(key)
        editor.show()
        if not loop.readable(io.stdin, 0) then draw() end -- else more keys have come
    end
    local line = line_of()
    leave()
    remember(line)
    return line
end

return editor
