"""A host's own network: a namespace whose only way out is a veth pair to this machine."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from tests.hosts.shell import CommandError, run

RUN = Path("/run/mosis-test-hosts")
SUBNETS = range(1, 255)


@contextmanager
def number() -> Iterator[int]:
    """A number N that no other host uses: it names all its parts, and its network is 10.77.N.0/24.

    The lock ends with this process, so that whatever is found under a free number is what a killed run left.
    """
    RUN.mkdir(parents=True, exist_ok=True)
    routes = run("ip", "-4", "route", "show", "table", "all")
    for candidate in SUBNETS:
        lock = (RUN / f"{candidate}.lock").open("w")
        if _locked(lock) and (
            f"10.77.{candidate}." not in routes or namespace(candidate) in run("ip", "netns", "list")
        ):
            with lock:
                yield candidate
            return
        lock.close()
    raise LookupError("every network of 10.77.1.0/24 to 10.77.254.0/24 is in use on this machine.")


def _locked(lock: TextIO) -> bool:
    with suppress(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def namespace(number: int) -> str:
    """Name of the network namespace, of its veth end on this machine, and of the host itself."""
    return f"mosis-test-{number}"


@contextmanager
def network(number: int) -> Iterator[str]:
    """The network of host `number`; yields the host's address. This machine has the .1 beside it."""
    name = namespace(number)
    _remove(name)
    try:
        run("ip", "netns", "add", name)
        run("ip", "link", "add", name, "type", "veth", "peer", "name", "host0", "netns", name)
        run("ip", "addr", "add", f"10.77.{number}.1/24", "dev", name)
        run("ip", "link", "set", name, "up")
        run("ip", "-n", name, "addr", "add", f"10.77.{number}.2/24", "dev", "host0")
        run("ip", "-n", name, "link", "set", "host0", "up")
        run("ip", "-n", name, "link", "set", "lo", "up")
        yield f"10.77.{number}.2"
    finally:
        _remove(name)


def link(one: tuple[str, str], other: tuple[str, str]) -> None:
    """A wire between two hosts, each told by name and address; it goes when one of them goes."""
    ends = [(one, other, "peer1"), (other, one, "peer2")]
    (first, _), (second, _) = one, other
    run("ip", "link", "add", "peer1", "netns", first, "type", "veth", "peer", "name", "peer2", "netns", second)
    for (name, address), (_, far), device in ends:
        run("ip", "-n", name, "link", "set", device, "up")
        run("ip", "-n", name, "route", "add", far, "dev", device, "src", address)


def _remove(name: str) -> None:
    for thing in (("link",), ("netns",)):
        with suppress(CommandError):
            run("ip", *thing, "del", name)
