"""Work in a process of its own, which dies before one of its system calls, or in which one fails or does nothing."""

import ctypes
import os
import re
import shutil
import socket
import subprocess
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

CHANGING = (
    "openat", "write", "pwrite64", "ftruncate", "fallocate", "fchmod", "mkdir", "mkdirat", "link", "linkat", "rename",
    "renameat", "renameat2", "unlink", "unlinkat", "rmdir", "fsync", "fdatasync",
)  # fmt: skip
"""System calls that create, change, move, delete or flush files."""

PR_SET_PTRACER, ANY = 0x59616D61, -1
CALL = re.compile(r"^(\w+)\(", re.MULTILINE)
FLUSH = re.compile(r"^f(?:data)?sync\(\d+<(.+)>\)", re.MULTILINE)


@dataclass(frozen=True)
class Point:
    """The `number`-th call of the name `call` that the work makes."""

    call: str
    number: int

    def killed(self) -> str:
        return f"{self.call}:signal=SIGKILL:when={self.number}"

    def failing(self, error: str) -> str:
        return f"{self.call}:error={error}:when={self.number}"

    def omitted(self) -> str:
        """The call does nothing and succeeds."""
        return f"{self.call}:retval=0:when={self.number}"


def require_strace(directory: Path) -> None:
    """Skip the test where strace is missing or may not look into a process."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    try:
        run(lambda: lambda: None, directory / "log")
    except RuntimeError as error:
        pytest.skip(str(error))


Work = Callable[[], object]
Prepare = Callable[[], Work]
"""Returns work; what it does itself is not traced."""


def points(prepare: Prepare, directory: Path) -> list[Point]:
    """Each changing call that the work makes, which must succeed, in order."""
    log, numbers, found = directory / "log", Counter[str](), []
    assert run(prepare, log) == 0, (directory / "error").read_text()
    for call in CALL.findall(log.read_text()):
        numbers[call] += 1
        found.append(Point(call, numbers[call]))
    return found


def flushed(prepare: Prepare, directory: Path) -> list[Path]:
    """Each file and directory that the work flushes, in order."""
    log = directory / "log"
    assert run(prepare, log, None, "--decode-fds=path") == 0, (directory / "error").read_text()
    return [Path(path) for path in FLUSH.findall(log.read_text())]


def run(prepare: Prepare, log: Path, inject: str | None = None, *options: str) -> int:
    """Do the work in a child, with its calls in `log`; 0 if it succeeded, 1 if it raised, or minus a signal."""
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        _child(prepare, theirs, log.with_name("error"))
    theirs.close()
    with ours:
        if not ours.recv(1):
            os.waitpid(child, 0)
            raise RuntimeError(log.with_name("error").read_text())
        with Traced(child, log, inject, options):
            ours.send(b".")
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _child(prepare: Prepare, parent: socket.socket, error: Path) -> None:
    code = 1
    try:
        ctypes.CDLL(None).prctl(PR_SET_PTRACER, ANY, 0, 0, 0)
        work = prepare()
        parent.send(b".")
        parent.recv(1)
        work()
        code = 0
    except BaseException as raised:
        with suppress(OSError):
            error.write_text(repr(raised))
    finally:
        os._exit(code)


class Traced:
    def __init__(self, child: int, log: Path, inject: str | None, options: Sequence[str]) -> None:
        calls = ",".join(f"?{call}" for call in CHANGING)
        injected = ["-e", f"inject={inject}"] if inject else []
        command = ["strace", "-o", str(log), "-e", f"trace={calls}", *injected, *options, "-p", str(child)]
        self._child = child
        self._strace = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)

    def __enter__(self) -> None:
        assert self._strace.stderr
        line = self._strace.stderr.readline()
        if "attached" not in line:
            os.kill(self._child, 9)
            os.waitpid(self._child, 0)
            self._end()
            raise RuntimeError(f"strace does not work here: {line.strip()}")

    def __exit__(self, *_: object) -> None:
        self._end()

    def _end(self) -> None:
        assert self._strace.stderr
        self._strace.wait()
        self._strace.stderr.close()
