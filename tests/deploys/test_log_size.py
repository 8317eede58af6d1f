"""The log of requests on a Debian host has a bounded size, however much strangers ask for."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from deploys.plan.render import render

MIB = 1024 * 1024
LOGROTATE = shutil.which("logrotate", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


@pytest.mark.skipif(LOGROTATE is None, reason="logrotate is not installed")
@pytest.mark.parametrize(("mebibytes", "rotations"), [(49, 0), (51, 1)])
def test_a_large_log_is_set_aside_and_nginx_opens_a_new_one(tmp_path: Path, mebibytes: int, rotations: int) -> None:
    log, pid, configuration = tmp_path / "mosis.log", tmp_path / "nginx.pid", tmp_path / "logrotate.conf"
    configuration.write_text(render("nginx/logrotate.j2", log=log, pid=pid, owner=""))
    configuration.chmod(0o644)
    asleep = ["sleep", "1000"]  # ends at the signal, as its return code shows
    with subprocess.Popen(asleep) as nginx:
        pid.write_text(f"{nginx.pid}\n")
        try:
            for _ in range(2):  # the first run may only note the time
                log.touch()
                os.truncate(log, mebibytes * MIB)
                subprocess.run([LOGROTATE, "--state", tmp_path / "state", configuration], check=True)
                if rotations:
                    assert nginx.wait(60) == -signal.SIGUSR1
                    break
        finally:
            nginx.kill()
    assert len(list(tmp_path.glob("mosis.log.*"))) == rotations
    assert log.stat().st_size == (0 if rotations else mebibytes * MIB)
    assert not rotations or log.stat().st_mode & 0o7777 == 0o640, "addresses of clients are for the operator"
