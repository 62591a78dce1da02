# SPDX-License-Identifier: MIT
"""How lines are edited with prompt_toolkit: keys, completion, history, colours."""

from __future__ import annotations

import contextlib
import os
import re
import rlcompleter
import select
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any

from prompt_toolkit.buffer import Buffer
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.filters import Condition
from prompt_toolkit.history import History
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.lexers import Lexer, PygmentsLexer

_INDENT = "    "
_REMEMBERED = 1000  # entries of the history that are kept
_LEAVES_BLOCK = re.compile(r"(return|pass|break|continue|raise)\b")


# ------------------------------------------------------------------ keys


def _next_indent(line: str) -> str:
    """The indentation of the line after this one."""
    indent = line[: len(line) - len(line.lstrip())]
    if line.rstrip().endswith(":"):
        return indent + _INDENT
    if _LEAVES_BLOCK.match(line.lstrip()):
        return indent[: -len(_INDENT)]
    return indent


def _is_pasted(event: KeyPressEvent) -> bool:
    """Whether more input is available already, so that this key is part of pasted text."""
    if event.key_processor.input_queue:
        return True
    return bool(select.select([event.app.input.fileno()], [], [], 0)[0])


def _runnable(text: str) -> str:
    """The text to run: if the last line is blank, its indentation is removed."""
    lines = text.split("\n")
    return "\n".join([*lines[:-1], lines[-1].rstrip() if not lines[-1].strip() else lines[-1]])


def _is_in_indent(buffer: Buffer) -> bool:
    return not buffer.document.current_line_before_cursor.strip()


def make_keys(buffer: Callable[[], Buffer], is_complete: Callable[[str], bool]) -> KeyBindings:
    """Enter runs complete input, or else begins a new line; Tab completes, or indents."""
    keys = KeyBindings()
    in_indent = Condition(lambda: _is_in_indent(buffer()))
    after_indent = Condition(
        lambda: _is_in_indent(buffer()) and bool(buffer().document.current_line_before_cursor)
    )

    @keys.add("enter")
    def _(event: KeyPressEvent) -> None:
        one = event.current_buffer
        text = _runnable(one.text)
        on_last_line = "\n" not in one.document.text_after_cursor
        if on_last_line and (not text.strip() or is_complete(text)):
            one.text = text  # what Enter has indented on the blank line would be an error
            one.validate_and_handle()
        else:
            line = one.document.current_line_before_cursor
            one.insert_text("\n" if _is_pasted(event) else "\n" + _next_indent(line))

    @keys.add("tab", filter=in_indent)
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text(_INDENT)

    @keys.add("backspace", filter=after_indent)
    def _(event: KeyPressEvent) -> None:
        column = event.current_buffer.document.cursor_position_col
        event.current_buffer.delete_before_cursor((column - 1) % len(_INDENT) + 1)

    return keys


# ------------------------------------------------------------------ completion, colours


class NameCompleter(Completer):
    """Names and attributes, as rlcompleter finds them."""

    def __init__(self, names: dict[str, Any]) -> None:
        self._completer = rlcompleter.Completer(names)

    def get_completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterable[Completion]:
        """The names that begin with the word before the cursor."""
        found = re.search(r"[\w.]+$", document.text_before_cursor)
        if found is None:
            return
        word = found[0]
        try:
            find = "attr_matches" if "." in word else "global_matches"
            matches = getattr(self._completer, find)(word)
        except Exception:  # from one of the user's properties
            return
        for match in dict.fromkeys(matches):
            yield Completion(match, -len(word), display=match.rpartition(".")[2])


def make_lexer() -> Lexer | None:
    """What colours the lines, where pygments is installed."""
    try:
        pygments: Any = import_module("pygments.lexers.python")
    except ImportError:
        return None
    return PygmentsLexer(pygments.PythonLexer)


# ------------------------------------------------------------------ history


class LineHistory(History):
    """The file that readline uses in the plain console, one entry per line.

    A newline inside an entry is written as CR LF, as Python's own prompt does from 3.13 on.
    """

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def load_history_strings(self) -> Iterable[str]:
        """The entries, newest first."""
        try:
            with open(self._path, encoding="utf-8", errors="replace", newline="\n") as file:
                text = file.read()
        except OSError:
            return []
        entries = text.replace("\r\n", "\r").split("\n")
        entries = [entry.replace("\r", "\n") for entry in entries if entry.strip()]
        if len(entries) > 2 * _REMEMBERED:
            entries = entries[-_REMEMBERED:]
            self._write("".join(map(_as_line, entries)), os.O_TRUNC)
        return reversed(entries)

    def store_string(self, string: str) -> None:
        """Append an entry."""
        self._write(_as_line(string), os.O_APPEND)

    def _write(self, text: str, how: int) -> None:
        with contextlib.suppress(OSError):
            fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | how, 0o600)
            with open(fd, "w", encoding="utf-8", errors="replace", newline="\n") as file:
                file.write(text)


def _as_line(entry: str) -> str:
    return entry.rstrip("\n").replace("\n", "\r\n") + "\n"
