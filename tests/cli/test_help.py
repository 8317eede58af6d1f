"""Help is quick, whole, and says the same in each place."""

import os
import re
import shlex
import subprocess
import sys

import pytest
import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup

from portal import __version__
from portal.cli import app
from portal.cli.table import COMMANDS
from tests.cli.commands import leaves
from tests.support.portal import MOSIS

LEAVES = list(leaves())
HEAVY = {
    "PIL", "boto3", "botocore", "bottle", "cryptography", "email", "granian", "http.client",
    "importlib.metadata", "jinja2", "prometheus_client", "pydantic", "pydantic_settings", "rich", "tomli_w", "webauthn",
}  # fmt: skip
ONLY_WHERE_USED = HEAVY - {"pydantic", "tomli_w", "cryptography", "email", "http.client", "importlib.metadata"}


def imported(*words: str) -> set[str]:
    """The modules that the command has imported when it ends."""
    program = (
        "import sys; sys.argv = sys.argv[1:]\nfrom portal.cli import main\n"
        "try: main()\nfinally: print(*sys.modules, file=sys.stderr)"
    )
    ran = subprocess.run([sys.executable, "-c", program, "mosis", *words], capture_output=True, text=True)
    return set(ran.stderr.splitlines()[-1].split())


@pytest.mark.parametrize("word", ["--help", "-h", "--version"])
def test_help_imports_nothing_heavy(word: str) -> None:
    assert imported(word) & HEAVY == set()


def test_status_imports_only_what_reads_settings_before_its_work() -> None:
    assert imported("status") & ONLY_WHERE_USED == set()


def test_version() -> None:
    ran = subprocess.run([MOSIS, "--version"], capture_output=True, text=True, check=True)
    assert ran.stdout == f"mosis {__version__}\n"


def test_the_table_says_what_each_command_says() -> None:
    group = typer.main.get_command(app)
    for row in COMMANDS:
        found = group.commands[row.name]
        assert found.name == row.name
        assert isinstance(found, TyperGroup) or found.help, row
        if isinstance(found, TyperGroup):
            assert found.help == row.help


@pytest.mark.parametrize(("words", "command"), LEAVES, ids=[" ".join(words) for words, _ in LEAVES])
def test_every_command_has_an_example_that_it_would_take(words: tuple[str, ...], command: TyperCommand) -> None:
    lines = re.findall(r"^  mosis (.*)$", command.epilog or "", re.MULTILINE)
    assert lines
    for line in lines:
        given = shlex.split(line)
        assert tuple(given[: len(words)]) == words
        if "BASE64" not in given:
            command.make_context("mosis", given[len(words) :])


@pytest.mark.parametrize(("words", "command"), LEAVES, ids=[" ".join(words) for words, _ in LEAVES])
def test_every_parameter_is_explained(words: tuple[str, ...], command: TyperCommand) -> None:
    assert command.help
    for parameter in command.params:
        assert parameter.help, f"{' '.join(words)}: {parameter.name}"
        assert isinstance(parameter, TyperArgument) or any(option.startswith("--") for option in parameter.opts)


@pytest.mark.parametrize("words", sorted({words[:-1] for words, _ in LEAVES if words[1:]}), ids=" ".join)
def test_the_help_of_a_group_has_whole_sentences(words: tuple[str, ...]) -> None:
    """On a narrow terminal too."""
    ran = subprocess.run(
        [MOSIS, *words, "-h"], capture_output=True, text=True, check=True, env=os.environ | {"COLUMNS": "60"}
    )
    shown = "".join(ran.stdout.split())  # a line ends at any space and hyphen
    for leaf, command in LEAVES:
        if leaf[:-1] == words:
            sentence = re.split(r"[.](?:\s|$)", command.help or "")[0]
            assert "".join((leaf[-1] + sentence).split()) + "." in shown


def test_completion_knows_the_commands() -> None:
    ran = subprocess.run(
        [MOSIS], capture_output=True, text=True,
        env={"_MOSIS_COMPLETE": "complete_bash", "COMP_WORDS": "mosis sta", "COMP_CWORD": "1"},
    )  # fmt: skip
    assert ran.stdout.split() == ["statement", "status"]


def test_the_options_of_the_devices_client_are_completed() -> None:
    words = {"_MOSIS_COMPLETE": "complete_bash", "COMP_WORDS": "mosis install --tr", "COMP_CWORD": "2"}
    completed = subprocess.run([MOSIS], env=os.environ | words, capture_output=True, text=True)
    assert completed.stdout.split() == ["--trust-first-use"]
