"""What really runs: facts about a process, and operations that restart it when it is not what was declared.

A deploy that failed between writing a file and restarting its reader leaves nothing changed for the next deploy to see.
So no restart hangs on a change of this run: the process itself is asked for the stamp it was started with, and for
files that are younger than it.
"""

from collections.abc import Generator
from dataclasses import dataclass
from shlex import join, quote

from pyinfra import host
from pyinfra.api import FactBase, operation
from pyinfra.facts.systemd import SystemdEnabled

from deploys.host import files
from deploys.plan.model import Plan, Service


@dataclass(frozen=True)
class Running:
    """A process: the MOSIS_STAMP it was started with, and whether it is suspended, or older than a file it reads."""

    stamp: str = ""
    stale: bool = False


class Process(FactBase[Running | None]):
    """The process whose id the command `pid` prints, None when it does not run. `files`: what the process reads."""

    def command(self, pid: str, files: list[str]) -> str:
        return f"""pid=$({pid} 2>/dev/null)
if [ "${{pid:-0}}" -gt 0 ] 2>/dev/null && [ -d "/proc/$pid" ]; then
    echo "stamp=$(tr '\\0' '\\n' <"/proc/$pid/environ" 2>/dev/null | sed -n 's/^MOSIS_STAMP=//p')"
    case "$(sed 's/.*) //' "/proc/$pid/stat")" in [TtZ]*) echo stale ;; esac
    ticks=$(sed 's/.*) //' "/proc/$pid/stat" | cut -d' ' -f20)
    started=$(awk -v now="$(date +%s.%N)" -v ticks="$ticks" -v hz="$(getconf CLK_TCK)" \
        '{{printf "%.3f", now - $1 + ticks / hz}}' /proc/uptime)
    for file in {join(files)}; do
        if [ -z "$(find "$file" -maxdepth 0 ! -newermt "@$started" 2>/dev/null)" ]; then echo stale; fi
    done
fi"""

    def process(self, output: list[str]) -> Running | None:
        stamps = [line.removeprefix("stamp=") for line in output if line.startswith("stamp=")]
        return Running(stamps[0], "stale" in output) if stamps else None


@dataclass(frozen=True)
class Health:
    """Two shell commands: one succeeds when the service answers now, one waits for that or shows why it does not."""

    asked: str
    awaited: str


def awaited(command: str, log: str) -> str:
    """A command that, if `command` fails, shows the output of `log` and, as the last line, what `command` printed."""
    return f'fault=$({command} 2>&1) || {{ {log} >&2; echo "$fault" >&2; exit 1; }}'


def portal_health(plan: Plan, log: str) -> Health:
    """The portal's; the command `log` prints its last lines."""
    mosis = quote(plan.mosis)
    return Health(f"{mosis} status --wait 2", awaited(f"{mosis} status --wait 30", log))


class Succeeds(FactBase[bool]):
    """Whether a shell command does."""

    default = bool

    def command(self, command: str) -> str:
        return f"if {command} >/dev/null 2>&1; then echo yes; fi"

    def process(self, output: list[str]) -> bool:
        return "yes" in output


@operation()
def unit_running(
    unit: str, service: Service, health: Health | None = None, exchange: str | None = None
) -> Generator[str]:
    """The unit is enabled, runs with exactly the files and the stamp of `service`, and answers.

    It is asked in every deploy: a start that did not work fails each of them, not just the first. A unit that runs as
    something else, or does not answer, is restarted, or the script `exchange` does that.
    """
    main = f"systemctl show --property MainPID --value {quote(unit)}"
    if not host.get_fact(SystemdEnabled, services=[unit]).get(unit):
        yield f"systemctl daemon-reload && systemctl enable --quiet {quote(unit)}"
    running = host.get_fact(Process, pid=main, files=service.paths)
    current = running == Running(service.stamp) and not files.drifted(service.files)
    if current and (health is None or host.get_fact(Succeeds, command=health.asked)):
        return
    if running and exchange:
        yield exchange
    else:
        yield f"systemctl daemon-reload && systemctl restart {quote(unit)}"
    if health:
        yield health.awaited


@operation()
def unit_stopped(unit: str, command: str) -> Generator[str]:
    """The unit does not run; `command` stops it."""
    if host.get_fact(Process, pid=f"systemctl show --property MainPID --value {quote(unit)}", files=[]):
        yield command
