# SPDX-License-Identifier: MIT
"""The references of the site and the manual pages have every public name. They are made from
readyq.h, the docstrings and lua/readyq/types.lua; tests/lua/test_types.lua compares the last with
the modules.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import readyq

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import annotations  # noqa: E402
import header  # noqa: E402
import man  # noqa: E402

HEADER = (ROOT / "core" / "readyq.h").read_text(encoding="utf-8")
DECLARATIONS = {one.name: one for section in header.read()[1] for one in section.declarations}
FUNCTIONS = set(re.findall(r"\b(readyq_\w+)\(", re.sub(r"/\*.*?\*/", "", HEADER, flags=re.DOTALL)))
PYTHON = (ROOT / "docs" / "reference" / "python.md").read_text(encoding="utf-8")


def test_the_c_reference_has_every_function_constant_and_struct():
    constants = set(re.findall(r"^#define (READYQ_[A-Z_]+) .", HEADER, re.MULTILINE))
    structs = set(re.findall(r"^ *(?:struct|enum) (readyq_[a-z]\w*) \{", HEADER, re.MULTILINE))
    types = set(re.findall(r"^typedef struct \w+ (\w+);", HEADER, re.MULTILINE))
    public = FUNCTIONS | constants - {"READYQ_API"} | structs | types
    assert public == set(DECLARATIONS)
    assert len(FUNCTIONS) > 30


def test_the_c_reference_has_every_figure():
    every = [one for section in header.read()[1] for one in section.declarations]
    stats = next(one for one in every if one.name == "readyq_stats" and one.members)
    figures = re.findall(r'FIGURE\((\w+), "', HEADER)
    assert len(figures) > 10
    assert [code.split()[-1] for code, note in stats.members if note][: len(figures)] == figures


@pytest.mark.parametrize(
    ("name", "members"),
    [
        ("readyq_kind", "NONE FD TIMER SIGNAL PROCESS TRIGGER"),
        ("readyq_watch", "data queue count interest ready fd kind armed signal pid status"),
        ("readyq_options", "virtual_clock interruptible debug"),
        ("readyq_batch", ""),
        ("readyq_record", "watch type kind number time value bits thread"),
        ("readyq_kind_stats", "watches adds events deliveries"),
    ],
)
def test_the_c_reference_has_the_public_members_and_no_private_ones(name, members):
    compounds = [one for section in header.read()[1] for one in section.declarations]
    compound = next(one for one in compounds if one.name == name and one.kind in ("struct", "enum"))
    names = [re.findall(r"\w+", code.partition(" = ")[0])[-1] for code, _ in compound.members]
    assert [one.removeprefix("READYQ_KIND_") for one in names] == members.split()


def test_every_function_of_c_has_a_contract():
    groups = [group for section in header.read()[1] for group in section.groups]
    bare = [
        one.name for g in groups if not g.text for one in g.declarations if one.name in FUNCTIONS
    ]
    assert bare == []


def test_a_list_in_a_comment_of_the_header_is_a_list_in_the_references():
    groups = [group for section in header.read()[1] for group in section.groups]
    text = next(one.text for one in groups if DECLARATIONS["readyq_debug"] in one.declarations)
    before, warnings, after = header.parts(text)
    assert before.endswith("once for each watch:")
    assert len(warnings) == text.count("\n  - ") > 3
    assert warnings[-1] == "a signal that is blocked in every thread."
    assert after.startswith("A value of 0")


def test_the_python_reference_has_every_name_of_the_package():
    """The members of classes are listed by autodoc if they have docstrings (tests/test_docs.py)."""
    named = set(re.findall(r"auto(?:class|function):: (\w+)|^``(\w+)``", PYTHON, re.MULTILINE))
    named = {one for pair in named for one in pair if one}
    assert set(readyq.__all__) <= named
    for name in re.findall(r"autoclass:: (\w+)\n", PYTHON):
        assert re.search(rf"autoclass:: {name}\n   :members:", PYTHON)


def test_the_lua_reference_has_every_annotation():
    path = ROOT / "lua" / "readyq" / "types.lua"
    text = path.read_text(encoding="utf-8")
    functions = set(re.findall(r"^function (\S+\(.*?\)) end$", text, re.MULTILINE))
    classes = set(re.findall(r"^---@(?:class|alias) ([\w.]+)", text, re.MULTILINE))
    entries = annotations.read(path)
    assert {one.signature for one in entries} == functions | classes
    fields = len(re.findall(r"^---@(?:field|param|\|)", text, re.MULTILINE))
    assert sum(len(one.rows) for one in entries) >= fields


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("man")
    man.write(folder)
    return folder


def test_each_function_has_a_manual_page(pages):
    assert {page.stem for page in pages.iterdir()} == FUNCTIONS | {"readyq"}
    overview = (pages / "readyq.3").read_text(encoding="utf-8")
    assert set(re.findall(r"Xr (\w+) 3", overview)) >= FUNCTIONS
    for page in pages.iterdir():
        linked = re.findall(r"Xr (\w+) 3", page.read_text(encoding="utf-8"))
        assert set(linked) <= FUNCTIONS | {"readyq"}


CHECKERS = [["groff", "-ww", "-mandoc", "-Tutf8"], ["mandoc", "-T", "lint", "-W", "warning"]]


@pytest.mark.parametrize("checker", CHECKERS, ids=lambda one: one[0])
def test_manual_pages_are_correct(pages, checker):
    if not shutil.which(checker[0]):
        pytest.skip(f"{checker[0]} is missing: apt install {checker[0]}")
    for page in sorted(pages.iterdir()):
        result = subprocess.run([*checker, page], capture_output=True, text=True)
        warnings = result.stdout if checker[0] == "mandoc" else result.stderr
        assert (warnings, result.returncode) == ("", 0)


def test_a_manual_page_shows_the_call_and_its_errors(pages):
    if not shutil.which("man"):
        pytest.skip("man is missing: apt install man-db")
    result = subprocess.run(
        ["man", "-l", pages / "readyq_add.3"], capture_output=True, text=True, check=True
    )
    assert "readyq_add(readyq *q, readyq_watch *w, int fd, uint32_t interest);" in result.stdout
    assert re.search(r"-EBADF +not open", result.stdout)
