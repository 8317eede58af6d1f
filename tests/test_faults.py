"""An error of the system is one sentence with its remedy, with or without the file at fault."""

import errno
import os
import socket

import pytest

from portal.faults import UNNAMED, sentence


@pytest.mark.parametrize("number", [*UNNAMED, errno.EACCES, errno.ENOENT], ids=errno.errorcode.get)
def test_a_sentence_names_the_file_if_the_system_does(number: int) -> None:
    assert "/portal.db" in sentence(OSError(number, os.strerror(number), "/portal.db"))
    unnamed = sentence(OSError(number, os.strerror(number)))
    assert unnamed[0].isupper() and unnamed.endswith(".") and "{}" not in unnamed


@pytest.mark.parametrize("number", UNNAMED, ids=errno.errorcode.get)
def test_what_is_wrong_with_a_disk_is_not_said_of_a_file(number: int) -> None:
    assert "of a file" not in sentence(OSError(number, os.strerror(number)))


@pytest.mark.parametrize(
    "error",
    [
        *(OSError(number, os.strerror(number)) for number in (
            errno.ECONNREFUSED, errno.ECONNRESET, errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ETIMEDOUT
        )),
        socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
    ],
    ids=str,
)  # fmt: skip
def test_an_error_of_the_network_is_not_said_of_a_file(error: OSError) -> None:
    assert sentence(error) == f"{error.strerror}."
