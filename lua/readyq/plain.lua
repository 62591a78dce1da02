-- SPDX-License-Identifier: MIT
--
-- Lines of the prompt as the terminal or a pipe delivers them, if editor.lua cannot edit them.
-- Output begins on a line of its own; after it the prompt is written again.
local loop = require "readyq.loop"

local write, read = io.write, io.read -- the prompt replaces both

local plain = {is_shown = false, rest = ""}
local prompt

function plain.begin(new_prompt)
    prompt = new_prompt
    plain.show()
end

function plain.hide()
    if plain.is_shown then write("\n") end
    plain.is_shown = false
end

function plain.show()
    if plain.is_shown or not prompt then return end
    if plain.rest ~= "" then write("\n") end
    plain.rest, plain.is_shown = "", true
    write(prompt)
end

function plain.drop()
    write("\n")
    plain.is_shown, prompt = false, nil
end

-- Waits for a line, in a coroutine of the loop. A terminal passes whole lines; the read blocks if
-- half a line comes through a pipe.
function plain.read()
    local ready, message = loop.readable(io.stdin)
    if not ready then error(message, 0) end
    local line = read()
    if not line then write("\n") end
    plain.is_shown, prompt = false, nil
    return line
end

return plain
