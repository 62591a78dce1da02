-- SPDX-License-Identifier: MIT
std = "max"
max_line_length = 100
ignore = { "512" } -- a loop that is left in its first round
