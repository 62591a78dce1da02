# SPDX-License-Identifier: MIT
"""The references of the site, made from the sources so that nothing is written twice:

{c-reference}    core/readyq.h
{lua-reference}  an annotated Lua file, named by its path from the project's root
"""

import re
import sys
from pathlib import Path

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import annotations  # noqa: E402
import header  # noqa: E402


class Reference(SphinxDirective):
    """A directive that stands for Markdown made by `write()`."""

    def run(self):
        container = nodes.container()
        lines = self.write()
        self.state.nested_parse(StringList(lines, "reference"), self.content_offset, container)
        return container.children


def escape(text):
    """Comments in Markdown: C's asterisks are not emphasis, and calls and errors are code."""
    parts = re.split(r"(`[^`]*`)", text.replace("\n", " "))
    for i, part in enumerate(parts):
        if not part.startswith("`"):
            part = re.sub(r"([*<>\[\]])", r"\\\1", part)
            part = re.sub(r"\b(readyq_\w+\(\))", r"`\1`", part)
            parts[i] = re.sub(r"(?<![\w`])(-E[A-Z0-9]+)", r"`\1`", part)
    return "".join(parts)


class CReference(Reference):
    def write(self):
        self.env.note_dependency(str(header.HEADER))
        lines = []
        for section in header.read()[1]:
            lines += [f"**{section.title[0].upper()}{section.title[1:]}**", ""]
            described = set()
            for one in section.declarations:
                if one.name not in described and not one.name.startswith("readyq__"):
                    lines += self.describe(one, section)
                    described |= {one.name, *one.shared}
        return lines

    def describe(self, one, section):
        if one.kind == "comment":
            return [escape(one.text), ""]
        together = [d for d in section.declarations if d.name in {one.name, *one.shared}]
        text = [escape(paragraph) for paragraph in one.text.split("\n\n")]
        body = "\n\n".join(text).split("\n") if one.text else []
        if one.kind == "function":
            return self.functions(together, body)
        return self.code(together, body)

    def functions(self, together, body):
        functions = [
            re.sub(r"\s+", " ", d.code.rstrip(";")) for d in together if d.kind == "function"
        ]
        signatures = "\n".join(functions).split("\n")
        return [f"::::{{c:function}} {signatures[0]}", *signatures[1:], "", *body, "::::", ""]

    def code(self, together, body):
        target = {"struct": "struct", "enum": "enum", "macro": "macro", "type": "type"}
        lines = []
        structs = {d.name for s in header.read()[1] for d in s.declarations if d.kind == "struct"}
        for one in together:
            if one.kind in target and not (one.kind == "type" and one.name in structs):
                lines += [f"::::{{c:{target[one.kind]}}} {one.name}", "::::", ""]
        code = "\n".join(one.code for one in together)
        return [*lines, *body, "", "```c", *code.split("\n"), "```", ""]


class LuaReference(Reference):
    required_arguments = 1

    def write(self):
        path = ROOT / self.arguments[0]
        self.env.note_dependency(str(path))
        lines = []
        for one in annotations.read(path):
            lines += [f"`{one.signature}`", f": {escape(one.text) or '(see its name)'}"]
            for row in one.rows:
                lines += ["", f"  - {row}"]
            lines.append("")
        return lines


def setup(app):
    app.add_directive("c-reference", CReference)
    app.add_directive("lua-reference", LuaReference)
    return {"parallel_read_safe": True}
