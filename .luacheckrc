-- SPDX-License-Identifier: MIT
std = "max"
max_line_length = 100
