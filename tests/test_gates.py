# SPDX-License-Identifier: MIT
"""The gates are few, each has a reason, and the docs show them as they are."""

import pathlib

import gates

ROOT = pathlib.Path(__file__).resolve().parent.parent


def test_docs_show_the_gates():
    assert gates.table() in (ROOT / "docs" / "kernels.md").read_text(encoding="utf-8")


def test_each_gate_has_tests_and_a_reason_and_libkqueue_has_ten_at_most():
    assert all(gate.tests and gate.reason for gate in gates.read())
    assert sum(gate.where.startswith("libkqueue") for gate in gates.read()) <= 10
