"""Processes that end with the one that started them, however that ends. Only for a program of one thread."""

import ctypes
import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

PR_SET_PDEATHSIG = 1  # prctl(2)
PROGRAM_SECONDS = 20  # that a program has to end when it is asked to
STOPPED = ("T", "t")  # states of proc(5)


class Program:
    """A program that runs as a child."""

    def __init__(self, command: Sequence[str | Path], *, keeps: int) -> None:
        """Start it; it has the descriptor `keeps` open."""
        parent = os.getpid()
        self._process = subprocess.Popen(command, pass_fds=(keeps,), preexec_fn=lambda: end_with(parent))  # noqa: PLW1509 - one thread

    @property
    def ended(self) -> int | None:
        """Its exit status, negative for a signal; None while it runs."""
        return self._process.poll()

    @property
    def suspended(self) -> bool:
        """Whether somebody stopped it without ending it (SIGSTOP)."""
        try:
            stat = Path(f"/proc/{self._process.pid}/stat").read_text()
        except OSError:
            return False
        return stat.rpartition(")")[2].split()[0] in STOPPED

    def end(self) -> None:
        """Ask it to end, and kill it if it does not."""
        self._process.terminate()
        try:
            self._process.wait(PROGRAM_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


class Forked:
    """A function that runs as a child, at low priority, and returns some text."""

    def __init__(self, work: Callable[[], str]) -> None:
        parent = os.getpid()
        self._output, entrance = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            _run(work, entrance, parent)
        os.close(entrance)

    def result(self) -> str | None:
        """What it returned, empty if it was killed or raised; None while it runs."""
        if os.waitpid(self._pid, os.WNOHANG) == (0, 0):
            return None
        with os.fdopen(self._output, "rb") as output:
            return output.read().decode()

    def kill(self) -> None:
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self._output)


def _run(work: Callable[[], str], entrance: int, parent: int) -> None:
    """The rest of a forked process."""
    status = 1
    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        end_with(parent)
        with suppress(OSError):
            os.nice(10)
        os.write(entrance, work().encode())
        status = 0
    finally:
        os._exit(status)


def end_with(parent: int) -> None:
    """Let the kernel kill this process when its parent ends."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it has ended already
        os._exit(1)
