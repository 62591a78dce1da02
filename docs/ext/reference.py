# SPDX-License-Identifier: MIT
"""The references of the site, made from the sources so that nothing is written twice:

{c-reference}    core/readyq.h
{lua-reference}  lua/readyq/types.lua
{examples}       examples/README.md

A link of a page to a file of examples/ works in the repository; on the site it leads to the page of
that program, which is made from its source.
"""

import re
import sys
from pathlib import Path

from docutils import nodes
from docutils.statemachine import StringList
from sphinx import addnodes
from sphinx.directives import ObjectDescription
from sphinx.util.docutils import SphinxDirective

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import annotations  # noqa: E402
import header  # noqa: E402


class Reference(SphinxDirective):
    """A directive that stands for Markdown, headings included, made by `write()` from `source`."""

    def run(self):
        self.env.note_dependency(str(self.source))
        container = nodes.container()
        lines = StringList(self.write(), str(self.source))
        self.state.nested_parse(lines, self.content_offset, container, match_titles=True)
        return container.children


def escape(text):
    """A comment in Markdown: its asterisks are not emphasis, and calls and errors are code."""
    parts = re.split(r"(`[^`]*`)", text)
    for i, part in enumerate(parts):
        if not part.startswith("`"):
            part = re.sub(r"([*<>\[\]])", r"\\\1", part)
            part = re.sub(r"\b(readyq_\w+)\(\)", r"{c:func}`\1`", part)
            parts[i] = re.sub(r"(?<![\w`])(-E[A-Z0-9]+)", r"`\1`", part)
    return "".join(parts)


def paragraphs(text):
    lines = []
    for part in header.parts(text):
        items = [f"- {escape(one)}" for one in part] if isinstance(part, list) else [escape(part)]
        lines += [*items, ""]
    return lines


def described(kind, signatures, body, colons=4):
    """Entries of the C domain; the last has the body. (In Markdown an entry has one signature.)"""
    fence = ":" * colons
    *others, last = [f"{fence}{{c:{kind}}} {signature}" for signature in signatures]
    return [line for one in others for line in (one, fence, "")] + [last, "", *body, fence, ""]


class CReference(Reference):
    source = header.HEADER

    def write(self):
        head, sections = header.read()
        everything = [one for section in sections for one in section.declarations]
        self.functions = {one.name for one in everything if one.kind == "function"}
        lines = ["## Rules for all calls", ""]
        for term, text in header.rules(head):
            lines += [f"**{term}**", f": {escape(text)}", ""]
        for section in sections:
            lines += [f"## {section.title[0].upper()}{section.title[1:]}", ""]
            for group in section.groups:
                lines += self.group(group)
        return lines

    def group(self, group):
        if not group.declarations:
            return paragraphs(group.text)
        kinds = {one.kind for one in group.declarations}
        if kinds == {"function"}:
            signatures = [header.signature(one) for one in group.declarations]
            return described("function", signatures, self.contract(group.text))
        if len(group.declarations) > 1:  # the bits: what they mean together, then each
            lines = paragraphs(group.text)
            for one in group.declarations:
                lines += self.declaration(one, "")
            return lines
        return self.declaration(group.declarations[0], group.text)

    def contract(self, text):
        rest, errors = header.errors(text)
        return [*paragraphs(rest), *(f"- {escape(one)}" for one in errors)]

    def declaration(self, one, text):
        if one.kind == "function":
            return described("function", [header.signature(one)], self.contract(text))
        body = paragraphs("\n\n".join(part for part in (text, one.note) if part))
        if one.kind == "macro" and one.value:
            body = [f"`{one.value}`{': ' if body else ''}{body[0] if body else ''}", *body[1:]]
        # Sphinx takes a function and a struct of one name (readyq_stats) for the same thing.
        is_shadowed = one.kind in ("struct", "enum") and one.name in self.functions
        for code, note in one.members:
            if is_shadowed:
                body += [f"- `{code}`: {escape(note)}"]
                continue
            kind = "enumerator" if one.kind == "enum" else "member"
            name, _, value = code.partition(" = ")
            told = f"`{value}`{': ' if note else ''}{escape(note)}" if value else escape(note)
            body += described(kind, [name], [told])
        if is_shadowed:
            return [f"::::{{describe}} {one.kind} {one.name}", "", *body, "::::", ""]
        return described(one.kind, [one.name], body, colons=5)


class LuaObject(ObjectDescription):
    """A function or a class of Lua, with a target that can be linked."""

    def handle_signature(self, sig, signode):
        name, _, parameters = sig.rstrip(")").partition("(")
        signode += addnodes.desc_name(name, name)
        if sig.endswith(")"):
            signode += addnodes.desc_parameterlist(
                "",
                "",
                *(
                    addnodes.desc_parameter("", nodes.Text(one.strip()))
                    for one in parameters.split(",")
                    if one.strip()
                ),
            )
        return name

    def add_target_and_index(self, name, sig, signode):
        target = "lua-" + re.sub(r"\W+", ".", name)
        signode["ids"].append(target)
        self.state.document.note_explicit_target(signode)
        self.indexnode["entries"].append(("single", f"{name} (Lua)", target, "", None))


class LuaReference(Reference):
    source = ROOT / "lua" / "readyq" / "types.lua"

    def write(self):
        lines = ["## Types", ""]
        for one in annotations.read(self.source):
            if one.is_class:
                lines += [f"## {one.signature}", "", *paragraphs(one.text)]
            else:
                lines += [f":::::{{lua-object}} {one.signature}", "", *paragraphs(one.text)]
            lines += [f"- {row}" for row in one.rows]
            if one.values:
                lines += ["", "Returns " + ", ".join(one.values) + "."]
            lines += ["", *([] if one.is_class else [":::::", ""])]
        return lines


class Examples(Reference):
    """The index of examples/, whose links lead to a page for each program."""

    source = ROOT / "examples" / "README.md"

    def write(self):
        index = self.source.read_text(encoding="utf-8").partition("\n")[2]
        index = re.sub(r"\]\((\w+\.\w+)\)", r"](../examples/\1)", index)
        return index.splitlines()


LANGUAGES = {".c": "c", ".py": "python", ".lua": "lua"}


def page_of(program):
    return f"examples/{program}"


def link_examples(app, doctree):
    for node in list(doctree.findall(addnodes.download_reference)):
        path = Path(node["reftarget"])
        if path.parent.name == "examples":
            address = app.builder.get_relative_uri(app.env.docname, page_of(path.name))
            node.replace_self(nodes.reference("", "", *node.children, refuri=address))


def write_examples(app):
    """A page for each program, as Sphinx makes pages of source code."""
    for path in sorted((ROOT / "examples").iterdir()):
        if path.suffix in LANGUAGES:
            code = path.read_text(encoding="utf-8")
            text = app.builder.highlighter.highlight_block(code, LANGUAGES[path.suffix])
            index = app.builder.get_relative_uri(page_of(path.name), "examples")
            parents = [{"link": index, "title": "Examples"}]
            body = f'<h1>{path.name}</h1><p>One of the <a href="{index}">examples</a>.</p>{text}'
            context = {"parents": parents, "title": path.name, "body": body}
            yield page_of(path.name), context, "page.html"


def setup(app):
    app.connect("doctree-read", link_examples)
    app.connect("html-collect-pages", write_examples)
    app.add_directive("examples", Examples)
    app.add_directive("c-reference", CReference)
    app.add_directive("lua-reference", LuaReference)
    app.add_directive("lua-object", LuaObject)
    return {"parallel_read_safe": True}
