"""A real S3 engine, one per test process."""

import uuid
from collections.abc import Iterator

import pytest

from portal.mirror.client import Bucket
from portal.settings import S3
from tests.mirror.seaweed import seaweed


@pytest.fixture(scope="session")
def engine() -> Iterator[S3]:
    """A bucket that tests share."""
    with seaweed() as running:
        yield running


@pytest.fixture
def empty(engine: S3) -> S3:
    """A bucket of the test's own, without rules."""
    own = engine.model_copy(update={"bucket": f"mosis-{uuid.uuid4().hex}"})
    Bucket(own).call("create_bucket")
    return own
