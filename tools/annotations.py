# SPDX-License-Identifier: MIT
"""Reads the annotations of a Lua file that only language servers read (lua/readyq/types.lua): what
each function and class is, in the order of the file.
"""

import re
from dataclasses import dataclass, field

TAG = re.compile(r"---@(\w+) ?(.*)")
ONE = r"(?:fun\(.*?\)|\w+<[^>]*>|\S+)"
KIND = re.compile(rf"(?:fun\(.*?\)(?:: \S+(?:(?<=,) \S+)*)?|{ONE})(?: \| {ONE})*")


@dataclass
class Entry:
    signature: str  # "queue:add(source, interest, data)", or the name of a class
    text: str
    is_class: bool
    rows: list[str] = field(default_factory=list)  # parameters or fields, in Markdown
    values: list[str] = field(default_factory=list)  # results, in Markdown


def split(text):
    """A type, and the words after it."""
    kind = KIND.match(text)
    kind = kind[0] if kind else ""
    return kind, text[len(kind) :].strip()


def row(rest):
    """A parameter or a field: its name, its type and its description."""
    name, _, rest = rest.partition(" ")
    kind, text = split(rest)
    return f"`{name}` (`{kind or 'any'}`){': ' + text if text else ''}"


def result(rest):
    """What a function returns: a type, and perhaps a name and words."""
    kind, text = split(rest)
    return f"`{kind}`{' ' + text if text else ''}"


def read(path):
    """The entries. A class or an alias is an entry of its own, before its methods."""
    entries, text, rows, values, subject, is_class = [], [], [], [], None, False
    for line in [*path.read_text(encoding="utf-8").split("\n"), ""]:
        tag = TAG.match(line)
        if tag and tag[1] in ("class", "alias"):
            name, _, rest = tag[2].partition(" ")
            subject, is_class = name.removesuffix(":"), tag[1] == "class"
            rows += [f"`{rest}`"] if rest else []
        elif tag and tag[1] in ("param", "field"):
            rows.append(row(tag[2]))
        elif tag and tag[1] == "return":
            values.append(result(tag[2]))
        elif line.startswith("---|"):
            rows.append(f"`{line[4:].strip()}`")
        elif line.startswith("---") and not line.startswith("---@"):
            text.append(line[3:])
        elif not line.startswith("---"):
            function = re.match(r"(?:local )?function (.+?) end$", line)
            if function or subject:
                name = function[1] if function else subject
                entries.append(Entry(name, "\n".join(text), is_class, rows, values))
            text, rows, values, subject, is_class = [], [], [], None, False
    return entries
