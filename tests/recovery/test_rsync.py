"""rsync is asked again where a file was deleted meanwhile, and its many lines become one."""

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


@pytest.mark.parametrize(("times", "copied"), [(2, True), (3, False)])
def test_a_file_that_vanished_is_no_failure_of_the_next_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int, copied: bool
) -> None:
    """A real rsync whose exit code is 24 for so many runs."""
    script, count = tmp_path / "bin" / "rsync", tmp_path / "count"
    script.parent.mkdir()
    script.write_text(
        f'#!/bin/sh\n{shutil.which("rsync")} "$@" && echo >>{count}\n[ $(wc -l <{count}) -gt {times} ] || exit 24\n'
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}:{os.environ['PATH']}")
    (tmp_path / "file").write_bytes(b"x")
    arguments = [str(tmp_path / "file"), str(tmp_path / "copy")]
    if copied:
        rsync.run("files", arguments)
        assert (tmp_path / "copy").read_bytes() == b"x"
    else:
        with pytest.raises(BackupError, match="ended with 24"):
            rsync.run("files", arguments)
