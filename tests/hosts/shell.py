"""Commands of this machine, and waiting for what happens outside this process."""

import subprocess
import time
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")
Say = Callable[[str], None]
"""Prints one line about a step."""


class CommandError(AssertionError):
    """A command failed; the message has its exit code and the end of its output."""


def run(*command: object, stdin: str = "", timeout: float = 600, env: dict[str, str] | None = None) -> str:
    """The standard output of `command`. Raises CommandError."""
    words = [str(word) for word in command]
    done = subprocess.run(words, input=stdin, capture_output=True, text=True, timeout=timeout, env=env, check=False)
    return output_of(done)


def output_of(done: subprocess.CompletedProcess[str]) -> str:
    """The standard output of a finished command. Raises CommandError if it failed."""
    if done.returncode:
        end = (done.stdout + done.stderr)[-3000:].strip()
        raise CommandError(f"{' '.join(done.args)} failed with exit code {done.returncode}:\n{end}")
    return done.stdout


def until(what: str, check: Callable[[], Value], *, seconds: float = 60, every: float = 0.2) -> Value:
    """The first true answer of `check`; an AssertionError of `check` counts as "not yet".

    Raises AssertionError, with the last reason, when `seconds` have passed.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            answer, reason = check(), ""
        except (AssertionError, OSError, subprocess.TimeoutExpired) as error:
            answer, reason = None, f": {error}"
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not happen within {seconds:.0f} s{reason}")
        time.sleep(every)
