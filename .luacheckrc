-- SPDX-License-Identifier: MIT
std = "max"
max_line_length = 99
codes = true
ignore = {"512"} -- leaving a loop over what is ready is ordinary

files["lua/readyq/types.lua"] = {ignore = {"212", "241"}} -- declarations
files["tests/lua"] = {ignore = {"311"}} -- references are dropped to be collected
