"""A release that exists only on paper, for plans that are read and never run; and a store that is really deployed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploys.plan.release import Release
from tests.deploys.local_store import LocalStore, Shared


@pytest.fixture
def release(tmp_path: Path) -> Release:
    lock = tmp_path / "portal.lock"
    lock.write_text("bottle==0.13.4\n")
    return Release("0123456789ab", tmp_path / "mosis-0.1.0-py3-none-any.whl", lock)


@pytest.fixture(scope="module")
def shared() -> Iterator[Shared]:
    shared = Shared()
    yield shared
    shared.drop()


@pytest.fixture
def deployed(shared: Shared, request: pytest.FixtureRequest) -> Iterator[LocalStore]:
    failed = request.session.testsfailed
    yield shared.get()
    if request.session.testsfailed > failed:
        shared.drop()
