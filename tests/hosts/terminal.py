"""A shell script at a terminal, where somebody answers what it asks."""

import os
import pty
import selectors
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Session:
    """How a script ended, and everything that its terminal showed."""

    returncode: int
    output: str


def typed(
    script: str, cwd: Path, environment: Mapping[str, str], answers: Mapping[str, str], timeout: float = 900
) -> Session:
    """Run a bash script, which ends at the first command that fails, and type `answers` to what ends like their keys.

    Raises AssertionError, with what was shown so far, after `timeout` seconds.
    """
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(cwd)
        os.execvpe("bash", ["bash", "-euo", "pipefail", "-c", script], dict(environment))
    shown, deadline = "", time.monotonic() + timeout
    try:
        while text := _read(terminal, deadline):
            shown += text
            for prompt, answer in answers.items():
                if shown.endswith(prompt):
                    os.write(terminal, f"{answer}\n".encode())
    except TimeoutError:
        os.kill(pid, signal.SIGKILL)
        raise AssertionError(f"The script has not ended after {timeout:.0f} s:\n{shown[-6000:]}") from None
    finally:
        os.close(terminal)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return Session(code, shown.replace("\r\n", "\n"))


def _read(terminal: int, deadline: float) -> str:
    """What the terminal shows next, empty when the last process there has ended. Raises TimeoutError."""
    with selectors.DefaultSelector() as selector:
        selector.register(terminal, selectors.EVENT_READ)
        if not selector.select(max(0.0, deadline - time.monotonic())):
            raise TimeoutError
    try:
        return os.read(terminal, 65536).decode(errors="replace")
    except OSError:  # EIO
        return ""
