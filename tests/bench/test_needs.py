"""What a benchmark needs is asked for before it begins, by the lines that were chosen."""

import os
import subprocess
import sys

import pytest

from bench.lines import LINES, Line
from bench.stack import NEEDED


def bench(*names: str) -> "subprocess.CompletedProcess[str]":
    """A run on a machine with no program at all."""
    command = [sys.executable, "-m", "bench", "--quick", "--output", os.devnull, *names]
    environment = os.environ | {"PATH": "/nonexistent"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def test_what_is_missing_is_named_at_once() -> None:
    ran = bench("icons", "raw-nosync")
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.startswith("bench: Missing: ")
    assert "go, " in ran.stderr
    assert "apt-get install golang-go" in ran.stderr


def test_a_line_that_needs_none_runs() -> None:
    ran = bench("start-help")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("start-help ")


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.name)
def test_each_need_can_be_installed(line: Line) -> None:
    assert set(line.needs) <= NEEDED.keys()
