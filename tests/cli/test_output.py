"""What commands print: plain text, tables for people, fields for programs."""

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout

import pytest
import typer
from rich.console import Console

from portal import cli
from portal.cli.output import beneath, newest_first, plain, table
from portal.cli.progress import progress
from portal.faults import Fault

EVIL = "\x1b]0;owned\x07\x1b[2J\u202eexe.\x9b31m\r"


class Terminal(io.TextIOWrapper):
    """A stream that says it is a terminal; `seen` is what arrived."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO(), "utf-8", write_through=True)

    def isatty(self) -> bool:
        return True

    @property
    def seen(self) -> str:
        return self.buffer.getvalue().decode()


@contextmanager
def terminal() -> Iterator[Terminal]:
    """Not a fixture: pytest exchanges the streams between the phases of a test."""
    stream = Terminal()
    with redirect_stdout(stream), redirect_stderr(stream):
        yield stream


def evil(how: str) -> None:
    if how == "print":
        print(EVIL)
    elif how == "echo":
        typer.echo(EVIL, err=True)
    elif how == "fault":
        raise Fault(EVIL)
    elif how == "usage":
        raise typer.BadParameter(EVIL)
    elif how == "writelines":
        sys.stdout.writelines([EVIL])
    elif how == "rich":
        Console(markup=False, highlight=False).print(EVIL)


@pytest.mark.parametrize("how", ["print", "echo", "fault", "usage", "writelines", "rich"])
def test_whichever_way_text_is_printed_it_controls_no_terminal(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "app", lambda standalone_mode: evil(how))
    with terminal() as shown:
        with pytest.raises(SystemExit):
            cli.main()
        assert sys.stdout is shown and not shown.closed
    assert "owned" in shown.seen
    assert not set(shown.seen) & set("\x1b\x07\u202e\x9b\r")


def test_a_progress_bar_still_draws_and_shows_no_amount_that_it_does_not_know(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    with terminal() as shown, plain(), progress("Uploading", sent=True) as show:
        show(0, 2000)
        show(2000, 2000)
    assert "\x1b[" in shown.seen
    assert "2.0/2.0 kB" in shown.seen
    assert "0/100 bytes" not in shown.seen


def test_a_table_has_heads_on_a_terminal() -> None:
    with terminal() as shown:
        with plain():
            assert beneath(sys.stdout) is shown
        table(("app", "code"), [("org.example.reader", 1), ("a\tb\nc", None)])
    assert shown.seen == "APP                 CODE\norg.example.reader  1\na\\tb\\nc             -\n"


def test_elsewhere_a_row_is_a_line_and_a_field_is_a_field(capsys: pytest.CaptureFixture[str]) -> None:
    table(("app", "code"), [("a\tb\nc", 1)])
    assert capsys.readouterr().out == "a\\tb\\nc\t1\n"


def test_versions_come_newest_first_and_what_has_no_code_before_them() -> None:
    class Version:
        def __init__(self, version_code: int | None) -> None:
            self.version_code = version_code

    assert [one.version_code for one in newest_first(map(Version, (2, 10, None, 9)))] == [None, 10, 9, 2]
