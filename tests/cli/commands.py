"""The tree of commands, for tests that look at each."""

from collections.abc import Iterator

import typer
from typer.core import TyperCommand, TyperGroup

from portal.cli import app


def leaves() -> Iterator[tuple[tuple[str, ...], TyperCommand]]:
    """Every command that does something, with its words after `mosis`."""
    yield from _below(typer.main.get_command(app), ())


def _below(group: TyperGroup, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], TyperCommand]]:
    for name, found in group.commands.items():
        if isinstance(found, TyperGroup):
            yield from _below(found, (*words, name))
        else:
            yield (*words, name), found
