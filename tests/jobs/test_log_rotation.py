"""nginx's log is set aside when it is large and nginx runs; tests/deploys/test_local.py has the real nginx."""

import os
from pathlib import Path

import pytest

from portal.jobs import log_rotation

CONTENTS = {"missing": None, "empty": "", "text": "no number", "another": str(os.getpid()), "ended": "99999999"}


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
def test_without_nginx_nothing_is_signalled_or_moved(content: str | None, tmp_path: Path) -> None:
    """After a crash the number in the file may belong to another process, such as this one."""
    log, pid_file = tmp_path / "access.log", tmp_path / "nginx.pid"
    log.touch()
    os.truncate(log, log_rotation.BYTES_MAX + 1)
    if content is not None:
        pid_file.write_text(content)
    assert not log_rotation.rotate(log, pid_file)
    assert [path.name for path in tmp_path.glob("access*")] == ["access.log"]
