# SPDX-License-Identifier: MIT
"""The examples in README.md run as they are and print what it says they print."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).resolve().parent.parent
PRINTED = "a friend says hello\n"


def example(language):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 1, f"README.md has one example marked {language}"
    return blocks[0]


def run(*command):
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_c_example_prints_what_the_readme_says(tmp_path):
    source = tmp_path / "example.c"
    source.write_text(example("c"), encoding="utf-8")
    program = tmp_path / "example"
    compiler = shlex.split(os.environ.get("CC", "cc"))
    warnings = ["-std=c11", "-Wall", "-Wextra", "-Werror"]
    library = [f"-I{ROOT}/core", str(ROOT / "build" / "libreadyq.a"), "-pthread"]
    run(*compiler, *warnings, str(source), *library, "-o", str(program))
    assert run(str(program)) == PRINTED


def test_python_example_prints_what_the_readme_says(tmp_path):
    source = tmp_path / "example.py"
    source.write_text(example("python"), encoding="utf-8")
    assert run(sys.executable, str(source)) == PRINTED


def test_lua_example_prints_what_the_readme_says(tmp_path):
    source = tmp_path / "example.lua"
    source.write_text(example("lua"), encoding="utf-8")
    assert run(os.environ.get("LUA", "lua5.4"), str(source)) == PRINTED


def test_every_image_of_the_documents_is_there_and_is_well_formed():
    images = [
        document.parent / image
        for document in (ROOT / "README.md", *(ROOT / "docs").glob("*.md"))
        for image in re.findall(r"!\[[^]]*\]\(([^)]+)\)", document.read_text(encoding="utf-8"))
    ]
    assert images
    for image in images:
        assert ElementTree.parse(image).getroot().tag == "{http://www.w3.org/2000/svg}svg"


@pytest.mark.parametrize("language", ["c", "python", "lua"])
def test_examples_stay_short(language):
    assert len(example(language).splitlines()) <= 22
