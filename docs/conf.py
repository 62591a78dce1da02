# SPDX-License-Identifier: MIT
"""The site: `make docs` builds it into build/docs/html, with every warning an error."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(Path(__file__).parent / "ext"), str(ROOT / "python"), str(ROOT / "tools")]

from project import version as read_version  # noqa: E402

project = "readyq"
copyright = "the readyq authors, MIT licence"
version = release = read_version()

extensions = [
    "myst_parser",  # the pages are Markdown, readable in the repository as well
    "sphinx.ext.autodoc",  # the Python reference is made from docstrings
    "sphinx_copybutton",  # examples are there to be tried
    "reference",  # the C and Lua references are made from their sources: docs/ext
]
myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3
exclude_patterns = ["ext"]
nitpicky = True  # a reference to a call that has no entry is an error
nitpick_ignore_regex = [  # unless it is a type of another library
    ("c:identifier", r"\w+_t"),
    ("py:class", r"(?!readyq\.[A-Z]).*"),
]
html_theme = "furo"
html_title = f"readyq {version}"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
copybutton_prompt_text = r">>> |\.\.\. |\$ |> "
copybutton_prompt_is_regexp = True
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
