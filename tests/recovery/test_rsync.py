"""A file that was deleted meanwhile fails no copy, and the many lines of rsync become one."""

import os
import shutil
from pathlib import Path

import pytest

from portal.recovery import rsync
from portal.recovery.errors import BackupError


def test_a_failure_is_one_line_and_the_number_of_others(tmp_path: Path) -> None:
    sources = [str(tmp_path / name) for name in "abc"]
    with pytest.raises(BackupError) as failed:
        rsync.run("files", [*sources, f"{tmp_path}/"])
    assert str(failed.value).startswith("rsync of files ended with 23: ")
    assert str(failed.value).endswith("(and 2 more)") and "\n" not in str(failed.value)


@pytest.mark.parametrize(("times", "runs"), [(2, 3), (3, 3)])
def test_files_that_vanish_fail_no_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int, runs: int) -> None:
    """A real rsync whose exit code is 24 for so many runs: a store that changes all the time ends none without it."""
    script, count = tmp_path / "bin" / "rsync", tmp_path / "count"
    script.parent.mkdir()
    script.write_text(
        f'#!/bin/sh\n{shutil.which("rsync")} "$@" && echo >>{count}\n[ $(wc -l <{count}) -gt {times} ] || exit 24\n'
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}:{os.environ['PATH']}")
    (tmp_path / "file").write_bytes(b"x")
    arguments = [str(tmp_path / "file"), str(tmp_path / "copy")]
    rsync.run("files", arguments)
    assert (tmp_path / "copy").read_bytes() == b"x"
    assert len(count.read_text().splitlines()) == runs
