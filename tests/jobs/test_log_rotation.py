"""nginx's log is set aside when it is large and nginx runs; tests/deploys/test_local.py has the deployed nginx."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from portal.jobs import log_rotation
from tests.support.nginx import NGINX, running
from tests.support.patience import PATIENCE

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


CONFIG = """daemon off; pid {0}/nginx.pid; error_log stderr; events {{}}
http {{ access_log {0}/access.log; client_body_temp_path {0}/t; proxy_temp_path {0}/t; fastcgi_temp_path {0}/t;
uwsgi_temp_path {0}/t; scgi_temp_path {0}/t; server {{ listen 127.0.0.1:{1}; }} }}"""


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Path]:
    """The log of an nginx that runs."""
    with running(lambda port: CONFIG.format(tmp_path, port), tmp_path):
        yield tmp_path / "access.log"


def until_there(path: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.skipif(NGINX is None, reason="nginx is not installed")
def test_a_log_that_a_killed_run_set_aside_is_opened_anew(log: Path) -> None:
    """Otherwise nginx writes to `LOG.1` for ever, and no later run finds a log to rotate."""
    log.rename(log.with_name("access.log.1"))
    assert log_rotation.rotate(log, log.with_name("nginx.pid"))
    until_there(log)
    assert not log_rotation.rotate(log, log.with_name("nginx.pid"))
