# SPDX-License-Identifier: MIT
"""The interpreter's input hook, called in the way its prompts call it. Real prompts are tested in
tests/test_prompt.py.
"""

import pytest

from readyq import prompt

HOOK = """
import ctypes, errno, sys
from readyq import _core

place = ctypes.c_void_p.in_dll(ctypes.pythonapi, "PyOS_InputHook")

def prompt(address, error=0):
    ctypes.set_errno(error)
    assert ctypes.CFUNCTYPE(ctypes.c_int, use_errno=True)(address)() == 0
    return ctypes.get_errno()

called = []
_core.set_inputhook(lambda: called.append("one"))
hook = place.value
"""


def test_it_is_called_while_there_is_no_key_and_no_signal(python):
    child = python(
        HOOK
        + """
assert prompt(hook) == 0 and called == ["one"]
assert prompt(hook, errno.EINTR) == 0 and called == ["one"]
print("ask", flush=True)
import select
select.select([0], [], [])
assert prompt(hook) == 0 and called == ["one"]
print("done", sys.stdin.readline())
"""
    )
    assert child.stdout.readline() == "ask\n"
    assert child.communicate("key\n", timeout=20) == ("done key\n\n", "")


def test_what_it_raises_is_shown_and_the_prompt_goes_on(python):
    child = python(
        HOOK
        + """
def rude():
    raise LookupError("mine")

_core.set_inputhook(rude)
assert place.value == hook
assert prompt(hook) == 0
"""
    )
    child.wait(20)  # its keyboard stays open, and still
    output, errors = child.communicate()
    lines = errors.splitlines()
    assert lines[0].startswith("Exception ignored in: <function rude")
    assert (output, lines[-1], child.returncode) == ("", "LookupError: mine", 0)


def test_a_hook_is_not_called_after_it_was_removed(python):
    child = python(
        HOOK
        + """
_core.set_inputhook(None)
assert place.value is None
assert prompt(hook) == 0 and called == []
"""
    )
    child.wait(20)
    assert child.communicate() == ("", "")


def test_the_hook_is_removed_when_its_queue_is_closed_and_not_for_another_value_error(
    queue, make, monkeypatch
):
    def refuse(_):
        raise ValueError("mine")

    removed, (keyboard, _) = [], make.pipe()
    monkeypatch.setattr(prompt, "uninstall_inputhook", lambda: removed.append(queue.closed))
    queue.wake()
    with pytest.raises(ValueError, match="mine"):
        prompt.pump(queue, keyboard.fileno(), refuse)
    assert removed == []
    queue.close()
    prompt.pump(queue, keyboard.fileno())
    assert removed == [True]
