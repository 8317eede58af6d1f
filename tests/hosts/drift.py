"""What takes a host away from what is declared, and what a dry run and a run owe then."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from shlex import quote

from tests.hosts.machine import Machine
from tests.hosts.pyinfra_run import Result


@dataclass(frozen=True)
class Drift:
    """Shell commands of root: one that does the damage, one that succeeds when it is mended. `operations` are those
    that mend it; `named` is what `mosis status` on the host says of it."""

    damage: str
    mended: str
    operations: tuple[str, ...]
    named: str = ""


def edited(path: str) -> str:
    """A command that changes a file and leaves its time, as a copy from a backup has it."""
    return f"touch -r {path} /tmp/time && echo '# x' >>{path} && touch -r /tmp/time {path}"


def drift(machine: Machine, drifts: Iterable[Drift]) -> None:
    """Do all the damage. Raises CommandError."""
    for each in drifts:
        machine.ssh(f"sudo sh -c {quote(each.damage)}")


def does_what_the_dry_run_told(deploy: Callable[..., Result], **how: object) -> Result:
    """A run, with the same operations changed as its dry run told, and none by another one. Raises AssertionError."""
    told = deploy(dry=True, **how)
    done = deploy(**how)
    if set(told.changed) != set(done.changed) or not done.changed:
        raise AssertionError(f"told {sorted(told.changed)}, done {sorted(done.changed)}")
    if again := deploy(**how).changed:
        raise AssertionError(f"a run after that changed {sorted(again)}")
    return done


def is_mended(machine: Machine, deploy: Callable[..., Result], drifts: Iterable[Drift], **how: object) -> Result:
    """A dry run tells exactly the operations that mend the drifts, and a run does. Raises AssertionError."""
    drifts = tuple(drifts)
    done = does_what_the_dry_run_told(deploy, **how)
    if set(done.changed) != {name for each in drifts for name in each.operations}:
        raise AssertionError(f"changed {sorted(done.changed)}")
    for each in drifts:
        machine.ssh(f"sudo sh -c {quote(each.mended)}")
    return done
