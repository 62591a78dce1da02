-- SPDX-License-Identifier: MIT
--
-- The command line of the programs in Lua, each of which measures one library, or one way to use
-- it, in the scenarios that bench/README.md describes:
--
--     PROGRAM list
--     PROGRAM count SCENARIO:N:TURNS...
--     PROGRAM time SCENARIO N TURNS
--
-- A scenario is a function of n that starts with a new queue and returns run(turns), which does so
-- many turns and returns how many operations these were.

local program = {
    -- The descriptors that a program inherits: READY and up to 99 more are readable for ever, IDLE
    -- and those above it never are.
    READY = 100,
    IDLE = 200,
    MOST_READY = 100,
    HOUR = 3600,
}

-- In these, more or less is alive after each run, so that collections would not cost the same.
local USED_UP = {add = true, remove = true, timer_add = true, timer_cancel = true}

-- How many events so many turns have.
function program.events(n, turns)
    return math.min(n, program.MOST_READY) * turns
end

-- What a program would have for each descriptor or timer.
function program.objects(first, n)
    local objects = {}
    for i = 1, n do objects[i] = {fd = first + i - 1} end
    return objects
end

-- callgrind and strace are told to notice os.clock(), which nothing else calls here. Garbage is
-- collected at the end of each run and not in between, where it would come by chance: the costs of
-- what is alive are then the same in each run, and what a turn leaves behind is its own cost.
local function count(name, scenario, n, turns)
    collectgarbage("stop")
    local run, operations = scenario(n), {}
    for i, times in ipairs {1, 1, 3} do
        operations[i] = run(times * turns)
        if not USED_UP[name] then collectgarbage() end
        os.clock()
    end
    collectgarbage()
    return operations[2], operations[3]
end

-- A round for each line of standard input.
local function measure(scenario, n, turns)
    local run = scenario(n)
    for _ in io.lines() do
        local before = os.clock()
        local operations = run(turns)
        print(("%.0f %d"):format((os.clock() - before) * 1e9, operations))
        io.flush()
    end
end

-- `scenarios`: functions by name.
function program.main(scenarios, words)
    if words[1] == "list" then
        for name in pairs(scenarios) do print(name) end
    elseif words[1] == "time" then
        measure(scenarios[words[2]], tonumber(words[3]), tonumber(words[4]))
    else
        for i = 2, #words do
            local name, n, turns = words[i]:match("^(.-):(%d+):(%d+)$")
            print(words[i], count(name, scenarios[name], tonumber(n), tonumber(turns)))
        end
    end
    io.flush()
    os.exit(0) -- without closing anything: closing is not measured
end

return program
