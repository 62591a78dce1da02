# SPDX-License-Identifier: MIT
"""Reads the annotations of a Lua file that only language servers read (lua/readyq/types.lua): what
each function and field is, in the order of the file.
"""

import re
from dataclasses import dataclass, field

TAG = re.compile(r"---@(\w+) ?(.*)")


@dataclass
class Entry:
    signature: str
    text: str
    rows: list[str] = field(default_factory=list)  # parameters, results, fields


def row(tag, rest):
    """A line of Markdown for one parameter, result or field, or None."""
    name, _, rest = rest.partition(" ")
    if tag == "return":
        kind, _, text = rest.partition(" ")
        return f"returns `{name}`{' ' + rest if rest else ''}"
    if tag in ("param", "field"):
        kind = re.match(r"(?:fun\(.*?\)(?::\s*\S+)?|\S+(?: \| \S+)*)", rest)
        kind = kind[0] if kind else ""
        text = rest[len(kind) :].strip()
        return f"`{name}`: `{kind}`{'. ' + text[0].upper() + text[1:] if text else ''}"
    return None


def read(path):
    text, rows, entries, subject = [], [], [], None
    for line in path.read_text(encoding="utf-8").split("\n"):
        if tag := TAG.match(line):
            if tag[1] in ("class", "alias"):
                subject = tag[2]
            elif (one := row(tag[1], tag[2])) is not None:
                rows.append(one)
        elif line.startswith("---"):
            text.append(line[3:])
        elif function := re.match(r"(?:local )?function (.+?) end$", line):
            entries.append(Entry(function[1], "\n".join(text), rows))
            text, rows, subject = [], [], None
        else:
            if subject is not None and (rows or text):
                entries.append(Entry(subject, "\n".join(text), rows))
            text, rows, subject = [], [], None
    return entries
