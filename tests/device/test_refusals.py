"""The reasons are what the page lists, and errors of the disk have a cause and a remedy."""

import errno
import re
from typing import get_args

import pytest

from mosis_device.refusals import STORAGE, Reason, storage
from tests.support.pages import section


def test_the_page_lists_every_reason() -> None:
    listed = re.findall(r"^\| `([a-z-]+)` \|", section("docs/device-protocol.md", "Refusals"), re.MULTILINE)
    assert listed == list(get_args(Reason))


@pytest.mark.parametrize("number", [*STORAGE, errno.EIO])
def test_an_error_of_the_disk_names_its_place(number: int) -> None:
    assert "/apps" in str(storage(OSError(number, "Trouble"), "/apps"))
    assert "/apps/x" in str(storage(OSError(number, "Trouble", "/apps/x"), "/apps"))
