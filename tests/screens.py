# SPDX-License-Identifier: MIT
"""The screen of a terminal while a timer prints "tick 1", "tick 2" ... above the edited line."""


def wrapped(text, columns):
    """The lines that a text takes on the screen."""
    return [text[at : at + columns].rstrip() for at in range(0, len(text), columns)]


class Ticks:
    """A prompt at which a command has started such a timer."""

    def __init__(self, prompt, command):
        self.prompt, self.command = prompt, command

    def is_right(self, screen, text, columns):
        """Whether the screen shows ticks, each once and in order, and then the prompt and the text.
        The first ones may have left the screen at its top."""
        prompt = wrapped(f"{self.prompt} {text}", columns)
        lines = screen.splitlines()
        command = wrapped(f"{self.prompt} {self.command}", columns)[-1]
        start = lines.index(command) + 1 if command in lines else 0
        ticks, shown = lines[start : -len(prompt)], lines[-len(prompt) :]
        first = 1 if start or not ticks else int(ticks[0].partition("tick ")[2] or 0)
        return shown == prompt and ticks == [f"tick {first + one}" for one in range(len(ticks))]

    def expect_right(self, console, text, columns):
        """Waits for more ticks, and then for the right screen: an error in it would stay."""
        seen = console.screen().count("\ntick")
        console.wait_until(lambda: console.screen().count("\ntick") > seen + 3, "four ticks")
        console.wait_until(lambda: self.is_right(console.screen(), text, columns), text)
