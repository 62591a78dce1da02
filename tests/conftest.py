# SPDX-License-Identifier: MIT
"""Shared by the tests of all languages: a real terminal (a tmux server of its own, in which a
program runs, keys are typed and the screen is read), the consoles of Python, and a certificate for
TLS.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest
import pythons
from kqueue import gates

SOON = 20
collect_ignore = [] if "READYQ_COPAS" in os.environ else ["test_copas.py"]

# A shell starts background programs with Ctrl-C ignored, and programs inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items):
    gates.mark(items)


class Terminal:
    def __init__(self, folder):
        self.socket = str(folder / "tmux")

    def tmux(self, *words):
        command = ["tmux", "-S", self.socket, "-f", os.devnull, *words]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def start(self, *command, columns=100, **environment):
        words = [f"{name}={value}" for name, value in environment.items()]
        size = ["-x", str(columns), "-y", "50"]
        # readline leaves the first two to the processes of pytest; the last would hide buffers.
        stale = ["-u", "COLUMNS", "-u", "LINES", "-u", "PYTHONUNBUFFERED"]
        result = self.tmux("new-session", "-d", *size, "env", *stale, *words, *map(str, command))
        assert result.returncode == 0, result.stderr

    def keys(self, *keys):
        """Presses keys, given by tmux's names for them."""
        assert self.tmux("send-keys", *keys).returncode == 0

    def write(self, text):
        assert self.tmux("send-keys", "-l", text).returncode == 0

    def enter(self, text):
        self.write(text)
        self.keys("Enter")

    def screen(self):
        """Everything that is or was on the screen, without trailing blanks."""
        lines = self.tmux("capture-pane", "-p", "-S", "-").stdout.splitlines()
        return "\n".join(line.rstrip() for line in lines).rstrip()

    def wait_until(self, is_so, what):
        end = time.monotonic() + SOON
        while not is_so():
            if time.monotonic() > end:
                raise AssertionError(f"{what} did not appear; the screen:\n{self.screen()}")
            time.sleep(0.05)  # each look starts a process
        return self.screen()

    def expect(self, pattern):
        """Waits until the screen shows text that matches the pattern."""
        return self.wait_until(lambda: re.search(pattern, self.screen(), re.MULTILINE), pattern)

    def expect_lines(self, shown, after):
        """Waits until lines that match these patterns, and then a prompt, are on the screen."""

        def are_there():
            lines = iter([*self.screen().splitlines()[after:], ""])
            return all(any(re.fullmatch(one, line) for line in lines) for one in [*shown, ">>>"])

        return self.wait_until(are_there, shown)

    def expect_end(self):
        """Waits until the program and tmux have ended."""
        self.wait_until(lambda: self.tmux("list-sessions").returncode != 0, "the end")

    def close(self):
        """Ends the program by SIGTERM, so that it can write its coverage data before it ends."""
        pane = self.tmux("list-panes", "-F", "#{pane_pid}")
        if pane.returncode == 0:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pane.stdout), signal.SIGTERM)
            if "COVERAGE_PROCESS_CONFIG" in os.environ:
                self.expect_end()
        self.tmux("kill-server")


@pytest.fixture
def terminal(tmp_path):
    if shutil.which("tmux") is None:
        pytest.skip("needs the program tmux (apt-get install tmux)")
    terminal = Terminal(tmp_path)
    yield terminal
    terminal.close()


@pytest.fixture
def history(tmp_path):
    """The file that the consoles of `python -m readyq` keep lines in."""
    return tmp_path / "history"


@pytest.fixture
def start(terminal, history):
    """Starts a Python with a prompt."""

    def start(*arguments, python=sys.executable, **environment):
        environment = {"PYTHONPATH": pythons.PACKAGE, "READYQ_HISTORY": history, **environment}
        terminal.start(python, *arguments, **environment)
        terminal.expect(r"^>>> $|^>>>$")
        return terminal

    return start


@pytest.fixture
def toolkit(start):
    """Starts `python -m readyq` with prompt_toolkit."""

    def toolkit(*arguments):
        return start("-m", "readyq", *arguments, python=pythons.find("prompt_toolkit"))

    return toolkit


@pytest.fixture(params=["toolkit", "plain"])
def begin(request, start, toolkit):
    """Starts `python -m readyq` with prompt_toolkit, and without."""
    if request.param == "toolkit":
        return toolkit
    return lambda *arguments: start("-m", "readyq", "--plain", *arguments)


@pytest.fixture
def console(begin):
    return begin()


@pytest.fixture
def certificate(tmp_path):
    """A certificate for localhost and its key, made by openssl."""
    path = tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    try:
        subprocess.run(
            [*command, "-keyout", str(path), "-out", str(tmp_path / "c")],
            check=True,
            capture_output=True,
        )
    except FileNotFoundError:
        pytest.skip("needs the program openssl (apt-get install openssl)")
    path.write_text(path.read_text() + (tmp_path / "c").read_text())
    return path
