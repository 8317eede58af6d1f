"""What an error of the system means, in a sentence."""

import errno
import os
import sys

import pytest

from portal import cli
from portal.cli.faults import sentences
from portal.faults import OS, UNNAMED


@pytest.mark.parametrize("code", OS, ids=errno.errorcode.get)
def test_an_error_without_a_path_is_a_sentence_too(code: int) -> None:
    """As of a write to a file that is open already; the sentence names the disks that it may be on."""
    text = sentences(OSError(code, os.strerror(code)))
    assert text[0].isupper() and " A file" not in text
    assert text == UNNAMED.get(code, text) and any(what in text.lower() for what in ("a file", "a disk"))
    assert sentences(OSError(code, os.strerror(code), "nope.pem")) == OS[code].format("nope.pem")


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        (("push", "--nope"), "There is no option --nope: check its spelling."),
        (("push", "--submt"), "There is no option --submt: do you mean --bump, --submit?"),
        (("push", "a", "b"), "Too many arguments: leave b out, or quote spaces."),
        (("push", "--key"), "--key requires a value: write it after the option."),
        (("versions",), "APP_ID is missing: give it as the usage above shows."),
        (("nope",), "There is no command nope: check its spelling."),
        (("audit", "nope"), "There is no command nope: check its spelling."),
        (("developer", "disable", "acme"), "--reason is missing: this command requires it."),
        (("token", "create", "acme", "--days", "x"), "Invalid value for '--days': must be a whole number."),
    ],
)
def test_a_wrong_command_line_is_answered_with_the_remedy(
    words: tuple[str, ...], remedy: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["mosis", *words])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.endswith(f"Error: {remedy}\n")
    assert len(said.splitlines()) <= 4
