"""What a dry run owes: the host is the same afterwards."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePath
from shlex import quote

from tests.hosts.engine import Engine
from tests.hosts.machine import Machine

MARK = "/run/mosis-tests-untouched"
ELSEWHERE = (
    "/run",
    "/tmp",
    "/var/tmp",
    "/var/log",
    "/var/lib/docker",
    "/var/lib/logrotate",
    "/var/lib/prometheus",
    "/var/lib/systemd",
)
ELSEWHERE += ("/usr/lib/look-alike/__pycache__",)
RECORDS = ("developer.json", "app.json", "version.json")  # the portal writes them seconds after a change
UNITS = "systemctl list-units --type=service --no-legend --no-pager --plain | awk '$1 !~ /^(user|systemd-)/ {print $1}'"


@contextmanager
def untouched(machine: Machine, *busy: str) -> Iterator[None]:
    """Nobody changes a file, a service or a container inside, but below the paths `busy`, where the host itself writes.

    The kernel's own change times tell, which no process can set back: they cover content, mode, owner and, by the
    directory's, what was made and removed. Raises AssertionError.
    """
    machine.ssh(f"sudo touch {MARK}")
    before = _running(machine)
    yield
    if changed := [*_changed(machine, busy), *sorted(set(before) ^ set(_running(machine)))]:
        raise AssertionError(f"{machine.name} is not what it was before: {'; '.join(changed)}")


def _changed(machine: Machine, busy: tuple[str, ...]) -> list[str]:
    skipped = " -o ".join(f"-path {quote(path)}" for path in (*ELSEWHERE, *busy))
    places = "/ $(ls -d /volume* 2>/dev/null)"
    found = machine.ssh(f"sudo find {places} -xdev \\( {skipped} \\) -prune -o -cnewer {MARK} -print").splitlines()
    records = {path for path in found if PurePath(path).name in RECORDS}
    return sorted(set(found) - records - {str(PurePath(path).parent) for path in records})


def _running(machine: Machine) -> list[str]:
    """Services with their main processes, containers with the time of their start."""
    told = machine.ssh(f"systemctl show --property=Id,ActiveState,MainPID $({UNITS})")
    if isinstance(machine, Engine):
        asked = "{{.Name}} {{.Image}} {{.State.Status}} {{.State.StartedAt}}"
        found = f"sudo {machine.DOCKER} ps -aq --filter label=com.docker.compose.project=mosis"
        told += machine.ssh(f"{found} | xargs -r sudo {machine.DOCKER} inspect --format '{asked}'")
        told += machine.docker("images --no-trunc --format '{{.ID}} {{.Repository}} {{.Tag}}'")
    return sorted(told.splitlines())
