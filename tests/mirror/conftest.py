"""A real S3 engine for each test module."""

from collections.abc import Iterator

import pytest

from portal.settings import S3
from tests.mirror.seaweed import seaweed


@pytest.fixture(scope="module")
def engine() -> Iterator[S3]:
    with seaweed() as running:
        yield running
