"""The script that replaces a running portal: one state machine, with the verbs of each runtime.

Booted hosts run it for real, under a client that never rests (tests/hosts/test_upgrades.py). Here it runs among
programs that record how they were called, and fail where the test says so.
"""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploys.plan import plan
from deploys.plan.model import File
from deploys.plan.release import Release

PROGRAM = """#!/bin/sh
called="${0##*/} $* ${MOSIS_SOCKET:-}"
echo "$called" >>"$CALLS"
[ -z "$FAILS" ] || ! echo "$called" | grep -Eq -e "$FAILS" || exit 1
case "$called" in docker\\ compose\\ ps*) echo mosis-portal-1 ;; systemctl\\ is-failed*) exit 1 ;; esac
"""
PROGRAMS = ("systemctl", "journalctl", "docker", "mosis", "sleep")


@dataclass(frozen=True)
class Runtime:
    """`directories` are those that the script works in, `steps` patterns of the calls that each of its steps makes."""

    data: dict[str, object]
    script: str
    directories: tuple[str, ...]
    steps: dict[str, str]


RUNTIMES = {
    "systemd": Runtime(
        {"mosis_runtime": "systemd"},
        "/opt/mosis/exchange",
        ("/opt/mosis", "/etc/", "/run/mosis"),
        {
            "end second": r"^systemctl stop mosis-portal-bridge",
            "migrate": r"^mosis setup",
            "start second": r"^systemctl restart mosis-portal-bridge",
            "second answers": r"^mosis status .*bridge\.sock",
            "start first": r"^systemctl restart mosis-portal\.service",
            "first answers": r"^mosis status .*portal\.sock",
            "show log": r"^journalctl",
        },
    ),
    "compose": Runtime(
        {"mosis_runtime": "compose", "mosis_share": "mosis", "mosis_root": "/volume1/mosis"},
        "/volume1/@mosis/bin/exchange",
        ("/volume1/@mosis",),
        {
            "end second": r"^docker stop .*mosis-bridge",
            "migrate": r"^mosis setup",
            "start second": r"^docker compose run .*mosis-bridge",
            "second answers": r"^docker exec mosis-bridge curl .*bridge\.sock",
            "start first": r"^docker compose up .*portal",
            "first answers": r"^docker exec mosis-portal-1 curl .*portal\.sock",
            "show log": r"^docker logs",
        },
    ),
}
WHOLE = ["end second", "migrate", "start second", "second answers", "start first", "first answers", "end second"]


@dataclass(frozen=True)
class Ran:
    returncode: int
    steps: list[str]
    stderr: str


class Exchange:
    """The script of a runtime in a directory of its own, every path in it moved there."""

    def __init__(self, runtime: Runtime, release: Release, place: Path) -> None:
        self.runtime, self.place = runtime, place
        wanted = plan(runtime.data, release)
        files: list[File] = [f for service in wanted.services.values() for f in service.files]
        files += wanted.stack.files if wanted.stack else ()
        (text,) = [file.content for file in files if file.path == runtime.script]
        text = re.sub(r"(?m)^export PATH=.*$", "", text)
        text = re.sub(r"(?<=-ge )\d+", "4", text)  # seconds; here nothing sleeps
        self.text = text.replace(wanted.mosis, "mosis")
        for directory in runtime.directories:
            self.text = self.text.replace(directory, f"{place}{directory}")
        (place / "script").write_text(self.text)
        for name in PROGRAMS:
            program = place / "bin" / name
            program.parent.mkdir(exist_ok=True)
            program.write_text(PROGRAM)
            program.chmod(0o755)

    def run(self, *words: str, fails: str = "") -> Ran:
        """Run it; the steps that match `fails` exit with 1."""
        calls = self.place / "calls"
        calls.write_text("")
        environment = os.environ | {"PATH": f"{self.place}/bin:{os.environ['PATH']}", "CALLS": str(calls)}
        done = subprocess.run(
            ["sh", self.place / "script", *words],
            env=environment | {"FAILS": self.runtime.steps.get(fails, "")},
            capture_output=True,
            text=True,
            timeout=120,
        )
        named = (self._step(call) for call in calls.read_text().splitlines())
        steps = [step for step in named if step]
        return Ran(done.returncode, [a for a, b in zip(steps, ["", *steps], strict=False) if a != b], done.stderr)

    def _step(self, call: str) -> str:
        return next((step for step, pattern in self.runtime.steps.items() if re.search(pattern, call)), "")


@pytest.fixture(params=RUNTIMES.values(), ids=RUNTIMES)
def exchange(request: pytest.FixtureRequest, release: Release, tmp_path: Path) -> Exchange:
    made = Exchange(request.param, release, tmp_path)
    (tmp_path / "volume1/@mosis/etc").mkdir(parents=True)
    return made


@pytest.mark.parametrize("shell", ["sh", "dash", "bash"])
def test_it_is_of_any_shell(exchange: Exchange, shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    subprocess.run([shell, "-n", exchange.place / "script"], check=True)


def test_the_second_portal_serves_while_the_first_is_replaced(exchange: Exchange) -> None:
    assert exchange.run() == Ran(0, WHOLE, "")


@pytest.mark.parametrize(
    ("fails", "done"),
    [
        ("migrate", ["end second", "migrate", "end second"]),
        ("start second", ["end second", "migrate", "start second", "end second"]),
        ("second answers", [*WHOLE[:4], "show log", "end second"]),
    ],
)
def test_a_second_portal_that_is_not_ready_leaves_the_first(exchange: Exchange, fails: str, done: list[str]) -> None:
    ran = exchange.run(fails=fails)
    assert (ran.returncode, ran.steps) == (1, done)
    assert ran.stderr.endswith("The new portal is not ready: the previous one keeps running.\n")


def test_its_files_are_restored(exchange: Exchange) -> None:
    """Not the socket's: the first portal has it open."""
    place = exchange.place
    path = place / ("etc/mosis/mosis.toml" if "systemctl" in exchange.text else "volume1/@mosis/etc/mosis.toml")
    good = next(iter(re.findall(r"\[ ! -d (\S+) \]", exchange.text)))
    for file, content in ((path, "new"), (Path(f"{good}{path}"), "previous")):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    (Path(good + str(path)).parents[1] / "bin").mkdir(exist_ok=True)
    exchange.run()
    assert path.read_text() == "new"
    exchange.run(fails="second answers")
    assert path.read_text() == "previous"


@pytest.mark.parametrize("fails", ["start first", "first answers"])
def test_a_first_portal_that_is_not_ready_leaves_the_second(exchange: Exchange, fails: str) -> None:
    ran = exchange.run(fails=fails)
    assert ran.returncode == 1 and ran.steps.count("end second") == 1
    assert re.search(r"The portal is not ready: the second one, mosis-\S+, serves in its place\.$", ran.stderr)


def test_what_an_interrupted_run_left_is_ended(exchange: Exchange) -> None:
    assert exchange.run("--end") == Ran(0, ["end second"], "")
