# SPDX-License-Identifier: MIT
"""Records the prompts and `make demo` in a terminal, and draws the recordings as animated pictures
for the pages: `make recordings`.

Each is a real run in a pseudo-terminal, into which this program types: at each prompt, the
beginning of the session that the prompt's page shows. termtosvg draws the recording with the
colours of terminal.svg, one set for light pages and one for dark ones.
"""

import fcntl
import json
import os
import pty
import re
import select
import struct
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
KEYS = 6  # characters that are typed at a time
QUIET = 1.0  # seconds without output after which a command counts as done
PAUSE = 0.12  # seconds between two groups of keys
LONGEST = 60  # seconds that a command may take
SHOWN = 2500  # the most ms that a screen is shown
LAST = 6000  # ms that the last screen is shown


# The prompts of a page's session, and the beginning of the last line that is recorded.
SESSIONS = {
    "prompt-python": ((">>>", "..."), "print(q)"),
    "prompt-lua": ((">", ">>"), "print(own)"),
}


def session(name):
    """The lines that a page types at its prompt, up to the last one that is recorded."""
    prompts, last = SESSIONS[name]
    page = DOCS / f"{name}.md"
    block = re.search(r"^```console\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)[1]
    lines = []
    for line in block.splitlines():
        prompt, _, text = line.partition(" ")
        if prompt in prompts:
            lines.append(text)
            if text.startswith(last):
                return lines
    raise ValueError(f"{page} has no line {last!r}")


class Terminal:
    """A program in a terminal, and what it has written: (time, text)."""

    def __init__(self, command, columns, rows, **environment):
        self.output, self.start = [], time.monotonic()
        pid, self.fd = pty.fork()
        if pid == 0:
            os.environ.update(TERM="xterm-256color", **environment)
            os.execvp(command[0], command)
        self.columns, self.rows = columns, rows
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self, seconds):
        """Notes what is written within this time. Returns whether anything was."""
        ready, _, _ = select.select([self.fd], [], [], seconds)
        if ready:
            now = time.monotonic() - self.start
            self.output.append((now, os.read(self.fd, 65536).decode(errors="replace")))
        return bool(ready)

    def wait_until_quiet(self, end=""):
        """Waits until nothing more is written, and `end` has been written."""
        before, limit = len(self.output), time.monotonic() + LONGEST
        while self.read(QUIET) or end not in "".join(text for _, text in self.output[before:]):
            if time.monotonic() > limit:
                raise TimeoutError(f"{end!r} was not written")

    def type(self, line):
        for at in range(0, len(line), KEYS):
            os.write(self.fd, line[at : at + KEYS].encode())
            pause_ends = time.monotonic() + PAUSE
            while (left := pause_ends - time.monotonic()) > 0:
                self.read(left)
        os.write(self.fd, b"\r")

    def save(self, path):
        head = {"version": 2, "width": self.columns, "height": self.rows}
        lines = [head, *([round(now, 3), "o", text] for now, text in self.output)]
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def draw(recording, picture, title):
    command = [ROOT / "build/venv/bin/python", "-m", "termtosvg", "render", recording, picture]
    command += ["-t", ROOT / "tools/terminal.svg", "-m", "50", "-M", str(SHOWN), "-D", str(LAST)]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    text = picture.read_text()
    # It starts with the last screen, which is also what readers without animations see.
    frames = re.findall(r"([\d.]+)%\s*\{transform:translateY\((-?\d+)px\)", text)
    end = frames[-1][1]
    length = int(re.search(r"animation-duration: (\d+)ms", text)[1])
    before = next(float(at) for at, place in frames if place == end) / 100 * length
    style = f"#screen_view {{animation-delay: -{before + 1:.0f}ms; transform: translateY({end}px)}}"
    still = "@media (prefers-reduced-motion: reduce) {#screen_view {animation: none}}"
    style += f"\n            {still}"
    text = re.sub(r"(<svg [^>]*>)", rf"\1<title>{title}</title>", text, count=1)
    text = re.sub(r"(\s*</style>\s*</defs>)", rf"\n            {style}\1", text, count=1)
    picture.write_text(text)


def record(name, title, command, size, prompt, lines, end="", **environment):
    terminal = Terminal(command, *size, **environment)
    terminal.wait_until_quiet(prompt)
    for line in lines:
        terminal.type(line)
        terminal.wait_until_quiet(end)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "recording.cast"
        terminal.save(path)
        draw(path, DOCS / "images" / f"{name}.svg", title)
    os.close(terminal.fd)
    print(f"docs/images/{name}.svg")


def main():
    lua, history = os.environ["LUA"], os.devnull
    record(
        "prompt-python",
        "A session at the Python prompt",
        [sys.executable, "-m", "readyq"],
        (84, 21),
        ">>>",
        session("prompt-python"),
        PROMPT_TOOLKIT_COLOR_DEPTH="DEPTH_4_BIT",
        PROMPT_TOOLKIT_NO_CPR="1",  # this terminal does not report the position of its cursor
        READYQ_HISTORY=history,
    )
    record(
        "prompt-lua",
        "A session at the Lua prompt",
        [lua, "-l", "readyq.repl"],
        (84, 26),
        ">",
        session("prompt-lua"),
        READYQ_LUA_HISTORY=history,
    )
    record(
        "make-demo",
        "What make demo prints",
        ["sh"],
        (90, 30),
        "$",
        ["make demo"],
        end="build/demo.json",
        PS1="$ ",
    )


if __name__ == "__main__":
    main()
