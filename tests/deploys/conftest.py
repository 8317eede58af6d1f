"""A release that exists only on paper, for plans that are read and never run."""

from pathlib import Path

import pytest

from deploys.plan.release import Release


@pytest.fixture
def release(tmp_path: Path) -> Release:
    lock = tmp_path / "portal.lock"
    lock.write_text("bottle==0.13.4\n")
    return Release("0123456789ab", tmp_path / "mosis-0.1.0-py3-none-any.whl", lock)
