"""What an error of the system means, in a sentence."""

import errno
import os

import pytest

from portal.cli.faults import sentences
from portal.faults import OS, UNNAMED


@pytest.mark.parametrize("code", OS, ids=errno.errorcode.get)
def test_an_error_without_a_path_is_a_sentence_too(code: int) -> None:
    """As of a write to a file that is open already; the sentence names the disks that it may be on."""
    text = sentences(OSError(code, os.strerror(code)))
    assert text[0].isupper() and " A file" not in text
    assert text == UNNAMED.get(code, text) and any(what in text.lower() for what in ("a file", "a disk"))
    assert sentences(OSError(code, os.strerror(code), "nope.pem")) == OS[code].format("nope.pem")
