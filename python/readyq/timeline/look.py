# SPDX-License-Identifier: MIT
"""How things look, the same in the SVG and in the page: colours, the shapes of marks, and words."""

from __future__ import annotations

COLOURS = {  # by role: light, dark
    "ground": ("#ffffff", "#0f141a"),
    "frame": ("#d0d7de", "#30363d"),
    "text": ("#1f2328", "#e6edf3"),
    "quiet": ("#59636e", "#9aa4af"),
    "grid": ("#e4e8ec", "#222a33"),
    "awake": ("#c3c9d0", "#48515b"),
    "sleep": ("#d6e6f8", "#1c3756"),
    "in-sleep": ("#1d4a7d", "#b5d4f5"),
    "handler": ("#e8782a", "#e07b33"),
    "in-handler": ("#1b0d02", "#180b00"),
    "ready": ("#f3cf58", "#c9a227"),
    "call": ("#8139b8", "#c792f0"),
    "raised": ("#f6f8fa", "#161c23"),
    "found": ("#0a7d33", "#4ac26b"),
    "chosen": ("#0969da", "#58a6ff"),
}
SHAPES = {  # of marks: their class, and their path around 0, 0
    "add": ("mark", "M-4-4.5L4.5 0L-4 4.5z"),
    "remove": ("mark open", "M-3.5-3.5L3.5 3.5M3.5-3.5L-3.5 3.5"),
    "modify": ("mark open", "M0-4L4 0L0 4L-4 0z"),
    "restart": ("mark open", "M3.6-1.4A3.8 3.8 0 1 0 3.6 1.4M4.2-4.5V-1.2H1"),
    "several": ("mark", "M-3.8 0a3.8 3.8 0 1 0 7.6 0a3.8 3.8 0 1 0-7.6 0z"),
    "ghost": ("mark open", "M-3.5 4V-1A3.5 3.5 0 0 1 3.5-1V4L0 2z"),
    "rebuild": ("mark open", "M-3.5-3.5H3.5V3.5H-3.5z"),
    "fork": ("mark open", "M0 4.5V0L-3.5-4.5M0 0L3.5-4.5"),
    "wake": ("mark call", "M-4.5-4H4.5L0 4z"),
    "fire": ("mark call", "M-4.5 4H4.5L0-4z"),
}
LEGEND = {
    "sleep": "asleep in the kernel",
    "awake": "awake, no handler",
    "handler": "a handler runs",
    "ready": "ready, not yet taken",
    "arrow": "what ended a sleep",
    "add": "added",
    "modify": "changed",
    "restart": "restarted",
    "remove": "removed",
    "ghost": "ghost found",
    "rebuild": "kernel queue rebuilt",
    "fork": "forked",
    "several": "several of these",
    "wake": "wake() was called",
    "fire": "fire() was called",
}
DRAWN_AS = {"handled": "handler"}  # bars of a watch have the colour of the thread's
