-- SPDX-License-Identifier: MIT
--
-- readyq.loop and cqueues in one program, with either of them as the outer loop: `cqueues.lua
-- loop|controller`. Code that runs on a cqueues controller, such as lua-http, runs beside
-- coroutines of readyq.loop.
local loop = require "readyq.loop"
local cqueues = require "cqueues"

local controller = cqueues.new()

controller:wrap(function()
    for turn = 1, 3 do
        cqueues.sleep(0.02)
        print("cqueues", turn)
    end
end)

loop.spawn(function()
    for turn = 1, 3 do
        loop.sleep(0.02)
        print("readyq", turn)
    end
end)

if arg[1] == "controller" then
    controller:wrap(function()
        while loop.step(0) do cqueues.poll(loop.queue) end
    end)
    assert(controller:loop())
else
    loop.spawn(function()
        while not controller:empty() do
            loop.readable(controller, controller:timeout())
            assert(controller:step(0))
        end
    end)
    loop.run()
end
