-- SPDX-License-Identifier: MIT
--
-- readyq.loop: waiting for the end of a coroutine, and what happens to its error.
local loop = require "readyq.loop"
local things = require "things"
local equal, raises = things.equal, things.raises

local T = {}

local function run(...) things.run(loop, ...) end

local function pack(...) return {n = select("#", ...), ...} end

function T.test_join_returns_what_the_coroutine_returned()
    run(function()
        local co = loop.spawn(function(...)
            loop.sleep(0.001)
            return ..., nil, "third", nil
        end, "first")
        local got = pack(loop.join(co))
        equal(got.n, 4)
        equal(got[1], "first")
        equal(got[3], "third")
        equal(loop.join(co, 0), "first") -- again, after its end
        equal(select("#", loop.join(loop.spawn(function() end))), 0)
    end)
end

function T.test_join_of_a_coroutine_that_ended_before_returns_at_once()
    local co = loop.spawn(function() return 1, 2 end)
    loop.run()
    run(function()
        local one, two = loop.join(co)
        equal(one + two, 3)
    end)
end

function T.test_an_error_goes_to_the_joiner_and_not_to_run()
    local got = {}
    run(function()
        local co = loop.spawn(function()
            loop.sleep(0.001)
            error("it broke")
        end)
        loop.spawn(function() got[1] = pack(loop.join(co)) end)
        got[2] = pack(loop.join(co))
    end)
    for i = 1, 2 do
        equal(got[i][1], nil)
        assert(got[i][2]:find("test_loop_join.lua:%d+: it broke$"), got[i][2])
        assert(got[i][3]:find("it broke\nstack traceback"), got[i][3])
    end
    local value = {}
    run(function()
        local _, problem = loop.join(loop.spawn(function() error(value) end))
        equal(problem, value)
    end)
end

function T.test_an_error_that_nobody_joins_leaves_run_and_can_be_joined_later()
    local co = loop.spawn(function() error("it broke") end)
    raises("it broke", loop.run)
    run(function()
        local ok, message = loop.join(co)
        equal(ok, nil)
        assert(message:find("it broke"))
    end)
end

function T.test_an_error_is_raised_if_the_only_joiner_gave_up()
    local told
    loop.spawn(function()
        local go = loop.event()
        local co = loop.spawn(function()
            go:wait()
            error("it broke")
        end)
        told = pack(loop.join(co, 0.001))
        go:set()
    end)
    raises("it broke", loop.run)
    equal(told[1], nil)
    equal(told[2], "timeout")
    loop.run()
end

function T.test_a_joiner_that_is_cancelled_takes_no_error()
    loop.spawn(function()
        local go = loop.event()
        local co = loop.spawn(function()
            go:wait()
            error("it broke")
        end)
        local joiner = loop.spawn(loop.join, co)
        loop.sleep(0.001)
        loop.cancel(joiner)
        equal(select(2, loop.join(joiner)), loop.CANCELLED)
        go:set()
    end)
    raises("it broke", loop.run)
    loop.run()
end

function T.test_join_of_a_cancelled_coroutine_gives_cancelled()
    run(function()
        local co = loop.spawn(loop.sleep, 60)
        loop.sleep(0.001)
        loop.cancel(co)
        local ok, why = loop.join(co)
        equal(ok, nil)
        equal(why, loop.CANCELLED)
    end)
end

-- if coroutine.close
function T.test_join_of_a_coroutine_that_the_program_closed_gives_closed()
    run(function()
        local co = loop.spawn(loop.sleep, 60)
        local fresh = loop.spawn(loop.sleep, 60)
        coroutine.close(fresh)
        equal(select(2, loop.join(fresh)), "closed")
        loop.sleep(0.001)
        coroutine.close(co)
        loop.spawn(function()
            loop.sleep(0.001)
            loop.cancel(co)
        end)
        equal(select(2, loop.join(co)), "closed")
    end)
end

function T.test_join_of_what_the_program_resumes_to_its_end()
    run(function()
        local co = loop.spawn(function() return "ended", coroutine.yield() end)
        loop.sleep(0.001)
        loop.spawn(function()
            loop.sleep(0.001)
            coroutine.resume(co, "well")
        end)
        local one, two = loop.join(co)
        equal(one .. " " .. two, "ended well")
    end)
end

function T.test_a_wrong_join_is_an_error_that_names_the_call()
    run(function()
        for _, wrong in ipairs {1, "co", coroutine.create(function() end), {}} do
            raises("join.lua:%d+: join: coroutine of loop.spawn%(%) expected",
                function() loop.join(wrong) end)
            raises("cancel: coroutine of loop.spawn", loop.cancel, wrong)
        end
        raises("join: a coroutine cannot wait for its own end", loop.join, (coroutine.running()))
    end)
    raises("join: only a coroutine can wait", loop.join, loop.spawn(print))
    loop.run()
end

function T.test_a_thousand_coroutines_join_each_other_in_a_chain()
    local sum
    run(function()
        local last = loop.spawn(function() return 0 end)
        for _ = 1, 1000 do
            local before = last
            last = loop.spawn(function() return loop.join(before) + 1 end)
        end
        sum = loop.join(last)
    end)
    equal(sum, 1000)
end

function T.test_coroutines_and_results_are_collected()
    local kept = setmetatable({}, {__mode = "k"})
    run(function()
        for _ = 1, 5 do
            local result = {}
            local co = loop.spawn(function()
                loop.sleep(0.001)
                return result
            end)
            assert(loop.join(co) == result)
            kept[co], kept[result] = true, true
            local yields = loop.spawn(coroutine.yield) -- the program forgets to resume it
            kept[yields] = true
        end
    end)
    if jit then jit.flush() end
    collectgarbage()
    collectgarbage()
    equal(next(kept), nil)
end

return T
