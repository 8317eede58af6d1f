"""The control of `make crash`: a harness that cannot fail proves nothing. `.ci/run` runs the short form itself."""

import subprocess
import sys

import pytest

from tests.support.nginx import NGINX


@pytest.mark.skipif(NGINX is None, reason="nginx is not installed")
def test_a_store_that_acknowledges_too_early_is_found_out() -> None:
    command = [sys.executable, "-m", "crash", "--runs", "200", "--seed", "1", "--broken"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert ran.returncode == 1, ran.stdout
    assert ran.stderr.startswith("crash: lost"), ran.stderr
