# SPDX-License-Identifier: MIT
"""Reads core/readyq.h, the one source of the C reference: sections, declarations and their
comments. The site (docs/ext/reference.py) and the manual pages (tools/man.py) are made from it.

The header keeps a form that this file relies on: a comment stands directly above what it describes,
up to the next blank line; a line of dashes begins a section.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

HEADER = Path(__file__).resolve().parent.parent / "core" / "readyq.h"
SECTION = re.compile(r"/\* -{20,} (.+) \*/")
FUNCTION = re.compile(r"READYQ_API (.+?)\b(readyq_\w+)\((.*)\)$", re.DOTALL)
ERROR = re.compile(r"-E[A-Z0-9]+")


@dataclass
class Declaration:
    name: str  # "" for a comment that stands alone
    kind: str  # "function", "struct", "enum", "macro", "type" or "comment"
    code: str  # without READYQ_API, and without what is private
    text: str  # of the comment above
    shared: list[str] = field(default_factory=list)  # names that the same comment describes


@dataclass
class Section:
    title: str
    declarations: list[Declaration]


def clean(comment):
    """The text of a comment, without its frame."""
    lines = comment.strip().removeprefix("/*").removesuffix("*/").split("\n")
    return "\n".join(re.sub(r"^ \* ?", "", line).rstrip() for line in lines).strip()


def public(code):
    """A struct without its private part."""
    return re.sub(
        r"    struct \{ +/\* private \*/\n.*?\n    \} own;\n\n?", "", code, flags=re.DOTALL
    )


def blocks(source):
    """What stands between blank lines; a blank line within braces separates nothing."""
    block = ""
    for part in re.split(r"\n\n+", source):
        block += part
        if block.count("{") == block.count("}"):
            yield block
            block = ""
        else:
            block += "\n\n"


def statements(block):
    """The declarations of a block of code, each with all its lines."""
    depth, lines = 0, []
    for line in block.split("\n"):
        lines.append(line)
        depth += line.count("{") - line.count("}")
        ends = line.split("/*")[0].rstrip().endswith(";") or line.startswith("#define")
        if depth == 0 and ends:
            yield "\n".join(lines)
            lines = []


def classify(code):
    if function := FUNCTION.match(code.split("/*")[0].strip().removesuffix(";")):
        return function[2], "function"
    if macro := re.match(r"#define (READYQ_\w+)", code):
        return macro[1], "macro"
    if compound := re.match(r"(struct|enum) (readyq_\w+) \{", code):
        return compound[2], compound[1]
    if name := re.match(r"typedef struct readyq\w* (readyq\w*);", code):
        return name[1], "type"
    return "", "other"


def read(path=HEADER):
    """The head of the file as text, and its sections in order; the first has no title."""
    source = path.read_text(encoding="utf-8")
    source = re.sub(r"#ifdef __cplusplus.*?#endif\n", "", source, flags=re.DOTALL)
    head, rest = source.split("*/", 1)
    sections = [Section("Types and constants", [])]
    comment = ""
    for part in blocks(rest):
        if title := SECTION.match(part):
            sections.append(Section(title[1], []))
            continue
        if part.startswith("/*"):
            text, part = part.split("*/", 1)
            comment = clean(text + "*/")
        group = []
        for code in statements(part.strip("\n")):
            name, kind = classify(code)
            if kind == "other":
                continue
            code = public(code).replace("READYQ_API ", "").strip()
            group.append(Declaration(name, kind, code, comment))
        for one in group:
            one.shared = [other.name for other in group if other is not one]
        if not group and comment:
            group = [Declaration("", "comment", "", comment)]
        sections[-1].declarations += group
        comment = ""
    return clean(head), [section for section in sections if section.declarations]
