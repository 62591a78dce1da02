# SPDX-License-Identifier: MIT
"""`python -m readyq`: the prompt of console.py."""

from readyq.console import main

main()
