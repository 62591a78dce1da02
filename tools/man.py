# SPDX-License-Identifier: MIT
"""Makes the manual pages from core/readyq.h: readyq(3), and one for each function; functions that
share a comment share a page.

    python3 tools/man.py DIRECTORY
"""

import re
import sys
from pathlib import Path

import header

DATE = "November 30, 2026"  # of the last change to what this file writes
WHAT = "one event queue for descriptors, timers, signals, processes and triggers"


def escape(text):
    """Text as mdoc takes it: backslashes and control characters at the beginning of a line."""
    text = text.replace("\\", "\\e")
    return re.sub(r"^([.'])", r"\\&\1", text, flags=re.MULTILINE)


def mark(words):
    """A paragraph, with the calls and errors that it names marked."""
    words = re.sub(r"`([^`]*)`", r"\\fB\1\\fP", escape(words))
    words = re.sub(r"\b(readyq_\w+)\(\)", r"\\fB\1\\fP()", words)
    words = re.sub(r"(?<=[\w)])\. (?=[A-Z\\])", ".\n", words)  # a sentence begins a new line
    return words.replace(" -E", " \\-E")


def prose(text):
    """Paragraphs and lists."""
    lines = []
    for part in header.parts(text):
        if isinstance(part, list):
            items = [line for one in part for line in (".It", mark(one))]
            lines += [".Bl -bullet -compact", *items, ".El"]
        else:
            lines += [".Pp", mark(part)] if lines else [mark(part)]
    return "\n".join(lines)


def summary(text):
    """The first sentence, or its beginning, as the line for whatis(1)."""
    first = re.split(r"\.(?: |$)", " ".join(text.replace("`", "").split()))[0]
    while len(first) > 90:
        first = (re.match(r"(.*)(?:[,:;] | \()", first) or re.match(r"(.*) ", first))[1]
    return escape(first)


def prototype(function):
    """The lines of a function in SYNOPSIS."""
    match = re.match(r"(.+?)\b(readyq_\w+)\((.*)\)$", header.signature(function))
    result, name, parameters = match[1].strip(), match[2], match[3]
    arguments = " ".join(f'"{one.strip()}"' for one in parameters.split(","))
    return [f'.Ft "{result}"', f".Fn {name} {arguments}"]


def definitions(rows):
    """A list of (macros of the term, text)."""
    if not rows:
        return []
    items = [line for term, text in rows for line in (f".It {term}", prose(text) or r"\&")]
    return [".Bl -tag -width Ds", *items, ".El"]


def error(text):
    """A row of ERRORS: "-EBADF: not open." """
    codes, _, reason = text.partition(": ")
    rest = "" if reason else re.sub(r"-E[A-Z0-9]+(, | or )?", "", codes)
    names = re.findall(r"-(E[A-Z0-9]+)", codes)
    return f'"{", ".join(chr(92) + "-" + name for name in names)}"', (reason or rest).strip(" .")


def see_also(names):
    return [".Sh SEE ALSO", " ,\n".join(f".Xr {name} 3" for name in sorted(names))]


def page(names, what, body):
    named = " ,\n".join(f".Nm {name}" for name in names)
    head = [
        f".Dd {DATE}",
        f".Dt {names[0].upper()} 3",
        ".Os readyq",
        ".Sh NAME",
        named,
        f".Nd {what}",
    ]
    return "\n".join([*head, ".Sh SYNOPSIS", ".In readyq.h", *body]) + "\n"


def page_of(functions, text, neighbours):
    """The page of functions that share a comment."""
    names = [one.name for one in functions]
    text, errors = header.errors(text)
    body = [line for one in functions for line in prototype(one)]
    body += [".Sh DESCRIPTION", prose(text or "See the other pages.")]
    if errors:
        body += [".Sh ERRORS", *definitions([error(one) for one in errors])]
    others = [name for name in neighbours if name not in names]
    return page(names, summary(text), [*body, *see_also(["readyq", *others])])


def overview_of(group):
    """What readyq(3) says about a group of declarations."""
    functions = [one for one in group.declarations if one.kind == "function"]
    others = [one for one in group.declarations if one.kind != "function"]
    body = []
    if functions:
        names = " , ".join(f"Xr {one.name} 3" for one in functions)
        body += definitions([(names, summary(header.errors(group.text)[0]))])
    elif group.text:
        body += [".Pp", prose(group.text)]
    macros = [(f"Dv {one.name}", f"{one.value}: {one.note}") for one in others if one.value]
    body += definitions(macros)
    for one in others:
        if one.kind in ("struct", "enum", "type"):
            kind = "" if one.kind == "type" else f"{one.kind} "
            body += [".Pp", f'.Vt "{kind}{one.name}"', prose(one.note)]
            body += definitions([(f'"{code}"', note) for code, note in one.members])
    return [line for line in body if line]


def overview(head, sections):
    body = [".Sh DESCRIPTION", prose(head.split("\n\n")[1])]
    body += definitions([(f"Em {subject}", text) for subject, text in header.rules(head)])
    for section in sections:
        body.append(f".Sh {section.title.upper()}")
        lines = [line for group in section.groups for line in overview_of(group)]
        body += lines[1:] if lines[0] == ".Pp" else lines
    return page(["readyq"], WHAT, body)


def write(folder):
    folder.mkdir(parents=True, exist_ok=True)
    head, sections = header.read()
    for section in sections:
        calls = [one.name for one in section.declarations if one.kind == "function"]
        for group in section.groups:
            functions = [one for one in group.declarations if one.kind == "function"]
            for one in functions:
                text = page_of(functions, group.text, calls)
                (folder / f"{one.name}.3").write_text(text, encoding="utf-8")
    (folder / "readyq.3").write_text(overview(head, sections), encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
