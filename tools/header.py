# SPDX-License-Identifier: MIT
"""Reads core/readyq.h, the only source of the C reference: sections, declarations and their
comments. The site (docs/ext/reference.py) and the manual pages (tools/man.py) are made from it.

The header keeps to a form that this file relies on: a comment is directly above what it describes,
up to the next blank line, or after it on the same line (a member has one of these); a line of
dashes begins a section. In a comment the errors come last, each as "-ENAME: reason."
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

HEADER = Path(__file__).resolve().parent.parent / "core" / "readyq.h"
SECTION = re.compile(r"/\* -{20,} (.+) \*/")
FUNCTION = re.compile(r"READYQ_API (.+?)\b(readyq_\w+)\((.*)\);", re.DOTALL)
PRIVATE = re.compile(r"    struct \{ +/\* private \*/\n.*?\n    \} own;\n\n?", re.DOTALL)
NOTE = re.compile(r"/\*(.*?)\*/", re.DOTALL)


@dataclass
class Declaration:
    name: str
    kind: str  # "function", "struct", "enum", "macro" or "type"
    code: str  # without READYQ_API, and without what is private
    note: str = ""  # the comment after it
    value: str = ""  # of a macro
    members: list[tuple[str, str]] = field(default_factory=list)  # with their comments


@dataclass
class Group:
    """What is between two blank lines: declarations, and the comment above them."""

    text: str
    declarations: list[Declaration]


@dataclass
class Section:
    title: str
    groups: list[Group]

    @property
    def declarations(self):
        return [one for group in self.groups for one in group.declarations]


def clean(comment):
    """The text of a comment, without its delimiters."""
    lines = comment.strip().removeprefix("/*").removesuffix("*/").split("\n")
    return "\n".join(re.sub(r"^ \*( |$)", "", line).rstrip() for line in lines).strip()


def note_of(code):
    """The text of the first comment after a line of code, on one line."""
    found = NOTE.search(code)
    return re.sub(r"\s+", " ", found[1]).strip() if found else ""


def blocks(source):
    """What is between blank lines; a blank line within braces separates nothing."""
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


def members(code):
    """The members of a struct or an enum: (declaration, comment)."""
    inside = code.partition("{")[2].rpartition("}")[0]
    inside = re.sub(r"^\s*(?:union \{|\};)$", "", inside, flags=re.MULTILINE)
    end = "," if code.startswith("enum") else ";"
    comment = r"/\*.*?\*/"
    member = rf"(?:({comment})\s*)?([^{end}/]+){end}(?:[^\n\S]*({comment}))?"
    for one in re.finditer(member, inside, re.DOTALL):
        note = note_of(one[3] or re.sub(r"\n\s*\*", "\n", one[1] or ""))
        first, *more = re.split(r", (?![^(]*\))", " ".join(one[2].split()))
        kind = first.rpartition(" ")[0]
        for declaration in (first, *(f"{kind} {name}" for name in more)):
            if not note.startswith("private") and not declaration.endswith("unused"):
                yield declaration, note


def expand(source):
    """The source with the fields that lists of figures declare, and without these lists."""
    lists = re.findall(r"^#define (READYQ_FIGURES\w*)\(FIGURE\)((?:.*\\\n)+.*)\n", source, re.M)
    source = re.sub(r"^#define READYQ_+\w+\((?:.*\\\n)*.*\n|^#undef.*\n", "", source, flags=re.M)
    for name, figures in lists:
        fields = []
        for field_name, words in re.findall(r"FIGURE\((\w+)(.*?)\)", figures, re.DOTALL):
            note = "".join(re.findall(r'"(.*?)"', words))
            fields.append(f"    uint64_t {field_name};{f' /* {note} */' if note else ''}")
        source = re.sub(rf"^ *{name}\(READYQ__\w+\)", "\n".join(fields), source, flags=re.M)
    nested = re.compile(r"    (struct \w+ )(\{\n(?:.*\n)*?    \}) (.*)\n")
    for one in nested.finditer(source):  # a struct within a struct is declared before it
        outer = source.rindex("\n\n", 0, one.start())
        if "private" not in one[0]:
            source = source.replace(one[0], f"    {one[1]}{one[3]}\n")
            source = f"{source[:outer]}\n\n{one[1]}{one[2].lstrip()};{source[outer:]}"
    return source


def declare(code):
    """A declaration, or None for what is not public."""
    if function := FUNCTION.match(code):
        return Declaration(function[2], "function", code.replace("READYQ_API ", ""))
    if macro := re.match(r"#define (READYQ_\w+)\s+(.+?)\s*(?:/\*|$)", code):
        value = macro[2].removesuffix("u")
        return Declaration(macro[1], "macro", code.split("/*")[0].strip(), note_of(code), value)
    if compound := re.match(r"(struct|enum) (readyq_[a-z]\w*) \{", code):
        code = PRIVATE.sub("", code)
        return Declaration(compound[2], compound[1], code, members=list(members(code)))
    if name := re.match(r"typedef struct \w+ (\w+); /\*", code):
        return Declaration(name[1], "type", code.split("/*")[0].strip(), note_of(code))
    return None


def read(path=HEADER):
    """The head of the file as text, and its sections in order."""
    source = path.read_text(encoding="utf-8")
    source = re.sub(r"#ifdef __cplusplus.*?#endif\n", "", source, flags=re.DOTALL)
    source = re.sub(r"#if defined\(__GNUC__\).*?#endif\n", "", source, flags=re.DOTALL)
    head, rest = expand(source).split("*/", 1)
    sections = [Section("types and constants", [])]
    for part in blocks(rest):
        if title := SECTION.match(part):
            sections.append(Section(title[1], []))
            continue
        text = ""
        if part.startswith("/*"):
            text, part = part.split("*/", 1)
        declarations = [one for code in statements(part.strip("\n")) if (one := declare(code))]
        if declarations or text:
            sections[-1].groups.append(Group(clean(text), declarations))
    return clean(head), sections


def signature(function):
    """A function's declaration on one line."""
    return re.sub(r"\s+", " ", function.code.rstrip(";"))


def errors(text):
    """A contract: the text before its errors, and each of these."""
    first, *rest = re.split(r"(?:^|(?<=\.)\s+)(?=-E[A-Z]+)", text)
    return first.strip(), [" ".join(one.split()) for one in rest]


def parts(text):
    """The paragraphs of a comment as strings, and its lists ("  - item") as lists of strings."""
    for part in re.split(r"\n\n|((?:^ +.*(?:\n|$))+)", text, flags=re.MULTILINE):
        if part and part.startswith("  - "):
            yield [" ".join(one.split()) for one in re.split(r"^  - ", part, flags=re.M)[1:]]
        elif part and part.strip():
            yield " ".join(part.split())


def rules(head):
    """The general rules at the head of the file: (subject, text)."""
    found = re.findall(r"^([A-Z]\w+) {2,}(.*(?:\n {3,}.*)*)", head, re.MULTILINE)
    return [(subject, " ".join(text.split())) for subject, text in found]
