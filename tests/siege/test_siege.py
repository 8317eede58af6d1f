"""The control of `make siege`: a harness that cannot fail proves nothing. `.ci/run` runs the short form itself."""

import subprocess
import sys

import pytest

from tests.support.nginx import NGINX

pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")


def test_a_store_that_keeps_answers_on_the_disk_is_found_out() -> None:
    command = [sys.executable, "-m", "siege", "--quick", "--weak", "H1"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert ran.returncode == 1, ran.stdout
    assert ran.stderr == "siege: broken: H1 answers that nobody reads\n", ran.stderr
