-- SPDX-License-Identifier: MIT
--
-- Text on a terminal: its characters in UTF-8, the columns that they take, and tables that fit.
local text = {}

local WIDE = { -- first and last code points that take two columns
    {0x1100, 0x115F}, {0x2E80, 0x303E}, {0x3041, 0xA4CF}, {0xAC00, 0xD7A3}, {0xF900, 0xFAFF},
    {0xFE30, 0xFE6F}, {0xFF00, 0xFF60}, {0xFFE0, 0xFFE6}, {0x1F300, 0x1F64F},
    {0x1F900, 0x1F9FF}, {0x20000, 0x3FFFD},
}
local COMBINING = {{0x300, 0x36F}, {0x200B, 0x200F}, {0x20D0, 0x20FF}, {0xFE00, 0xFE0F}}
local GAP = "  "
local ENOUGH = 8 -- columns are cut to this width before others are left out
local ENOUGH_DATA = 18
local LEFT_OUT = {"ready", "interest", "every", "due in", "source"} -- in this order

-- ---------------------------------------------------------------- characters

-- An iterator over the characters. Bytes that are not UTF-8 are left out.
function text.characters(s) return s:gmatch("[\1-\127\194-\244][\128-\191]*") end

local function code_point(character)
    local first, second, third, fourth = character:byte(1, 4)
    if not second then return first end
    if not third then return (first - 0xC0) * 64 + second - 128 end
    if not fourth then return ((first - 0xE0) * 64 + second - 128) * 64 + third - 128 end
    return (((first - 0xF0) * 64 + second - 128) * 64 + third - 128) * 64 + fourth - 128
end

local function is_in(ranges, code)
    for _, range in ipairs(ranges) do
        if code >= range[1] and code <= range[2] then return true end
    end
    return false
end

-- The columns of one character.
function text.width_of(character)
    if #character == 1 then return 1 end
    local code = code_point(character)
    return is_in(COMBINING, code) and 0 or is_in(WIDE, code) and 2 or 1
end

function text.width(s)
    local width = 0
    for character in text.characters(s) do width = width + text.width_of(character) end
    return width
end

-- The text, or its beginning and two dots, in no more than this many columns.
function text.cut(s, width)
    if text.width(s) <= width then return s end
    local dots = (".."):sub(1, math.max(width, 0))
    local kept, left = {}, width - #dots
    for character in text.characters(s) do
        left = left - text.width_of(character)
        if left < 0 then break end
        table.insert(kept, character)
    end
    return table.concat(kept) .. dots
end

local function pad(s, width) return s .. (" "):rep(width - text.width(s)) end

-- ---------------------------------------------------------------- tables

local function make_columns(rows)
    local columns = {}
    for i, name in ipairs(rows[1]) do
        local column = {name = name, width = 0, is_empty = true}
        for _, row in ipairs(rows) do
            column.width = math.max(column.width, text.width(row[i]))
            table.insert(column, row[i])
            if row ~= rows[1] and row[i] ~= "" then column.is_empty = false end
        end
        column.least = math.min(column.width, name == "data" and ENOUGH_DATA or ENOUGH)
        table.insert(columns, column)
    end
    return columns
end

local function sum(columns, key)
    local total = 0
    for _, column in ipairs(columns) do total = total + column[key] + #GAP end
    return total
end

local function remove(columns, is_removed)
    for i = #columns, 1, -1 do
        if is_removed(columns[i]) then table.remove(columns, i) end
    end
end

-- Leaves out empty columns, and then those that matter least, until the others can be cut to fit.
local function choose(columns, room)
    if sum(columns, "width") > room then
        remove(columns, function(column) return column.is_empty end)
    end
    for _, name in ipairs(LEFT_OUT) do
        if sum(columns, "least") <= room then return end
        remove(columns, function(column) return column.name == name end)
    end
end

-- Cuts the column that exceeds its least width by the most, until all of them fit.
local function shrink(columns, room)
    while sum(columns, "width") > room do
        local widest = columns[1]
        for _, column in ipairs(columns) do
            if column.width - column.least > widest.width - widest.least then widest = column end
        end
        if widest.width <= 1 then return end
        widest.width = widest.width - 1
    end
end

-- The lines of a table under its title, in this many columns (nil: as many as it takes). The first
-- row is the header.
function text.table(title, rows, room)
    room = room or math.huge
    local columns = make_columns(rows)
    choose(columns, room)
    shrink(columns, room)
    local lines = {text.cut(title, room)}
    for i = 1, #rows do
        local cells = {}
        for _, column in ipairs(columns) do
            table.insert(cells, GAP .. pad(text.cut(column[i], column.width), column.width))
        end
        table.insert(lines, text.cut(table.concat(cells):gsub("%s+$", ""), room))
    end
    return table.concat(lines, "\n")
end

-- Words in as many columns as fit.
function text.list(words, room)
    local widest = 0
    for _, word in ipairs(words) do widest = math.max(widest, text.width(word) + #GAP) end
    local per_line = math.max(1, math.floor(room / math.max(widest, 1)))
    local lines, line = {}, {}
    for i, word in ipairs(words) do
        table.insert(line, pad(word, widest))
        if i % per_line == 0 or i == #words then
            table.insert(lines, (table.concat(line):gsub("%s+$", "")))
            line = {}
        end
    end
    return table.concat(lines, "\n")
end

return text
