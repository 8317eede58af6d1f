"""The help of every command, as people see it on a terminal of 80 columns."""

import re
from pathlib import Path

import pytest
from typer._click import Command, Context

from portal.cli.table import COMMANDS, DEVELOPER
from tests.cli.commands import leaves

TRANSCRIPT = Path(__file__).with_name("help_for_developers.txt")
LEAVES = list(leaves())
OF_DEVELOPERS = {row.name for row in COMMANDS if row.reader == DEVELOPER}
RAW = ("<bool>", "None", "typing", "Annotated", "pydantic", "\\b", "Value error")


def shown(words: tuple[str, ...], command: Command) -> str:
    context = Context(command, info_name=" ".join(("mosis", *words)), terminal_width=80, max_content_width=80)
    text: str = command.get_help(context)
    return f"$ mosis {' '.join(words)} --help\n{text}\n"


def test_the_help_of_developers_is_the_transcript() -> None:
    """After a change that is meant: `python -m tests.cli.test_transcript` writes it anew."""
    assert transcript() == TRANSCRIPT.read_text()


def transcript() -> str:
    return "\n".join(shown(words, command) for words, command in LEAVES if words[0] in OF_DEVELOPERS)


@pytest.mark.parametrize(("words", "command"), LEAVES, ids=[" ".join(words) for words, _ in LEAVES])
def test_every_help_can_be_read(words: tuple[str, ...], command: Command) -> None:
    if words == ("install",):
        return  # the client of devices prints its own
    text = shown(words, command)
    assert re.search(rf"^Usage: mosis {' '.join(words)}\b", text, re.MULTILINE)
    assert f"  Example:\n    mosis {' '.join(words)}" in text
    assert not [raw for raw in RAW if raw in text]
    examples = text.partition("  Example:\n")
    assert all(len(line) <= 80 for line in examples[0].splitlines())


if __name__ == "__main__":
    TRANSCRIPT.write_text(transcript())
