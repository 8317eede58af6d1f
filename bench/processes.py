"""Programs that a benchmark starts, and stops by their own process ids."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

READY_SECONDS = 30.0
POLL_SECONDS = 0.01


class BenchError(Exception):
    """The benchmark cannot run; the message is one sentence for who started it."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def running(
    command: Sequence[str | Path],
    log: Path,
    place: int | Path,
    *,
    environment: Mapping[str, str] | None = None,
    given: str = "",
) -> Iterator[int]:
    """The process id of `command` while it listens at `place`, a port of the loopback or a Unix socket.

    `given` is its standard input. Raises BenchError.
    """
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=output, stderr=output, text=True
        )
    try:
        process.stdin.write(given)
        process.stdin.close()
        _listening(process, place, log)
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(READY_SECONDS)
        except subprocess.TimeoutExpired:
            for pid in tree(process.pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.wait()


def _listening(process: subprocess.Popen, place: int | Path, log: Path) -> None:
    family, address = (
        (socket.AF_UNIX, str(place)) if isinstance(place, Path) else (socket.AF_INET, ("127.0.0.1", place))
    )
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        with suppress(OSError), socket.socket(family) as probe:
            probe.connect(address)
            return
        time.sleep(POLL_SECONDS)
    raise BenchError(f"{process.args[0]} did not listen at {place}: {log.read_text()[-1000:]}")


def tree(pid: int) -> list[int]:
    """A process and everything below it."""
    found = [pid]
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += tree(int(child))
    return found


def processor_time(pids: Sequence[int]) -> float:
    """Seconds of processor time of these processes and their children so far."""
    ticks = 0
    for pid in (below for root in pids for below in tree(root)):
        with suppress(OSError):  # gone meanwhile
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def memory(pids: Sequence[int]) -> int:
    """Bytes of memory of these processes and their children, pages that several share counted once (PSS)."""
    total = 0
    for pid in (below for root in pids for below in tree(root)):
        with suppress(OSError):  # gone meanwhile
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
    return total
