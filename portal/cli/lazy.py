"""Commands that are imported when they are used: most cost more to import than to run."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, cast

import typer
from typer._click import Command as ClickCommand
from typer._click import Context, HelpFormatter
from typer._click.shell_completion import CompletionItem
from typer.core import TyperGroup

from portal.cli.table import COMMANDS, Command, shown

SENTENCE_MAX = 1000  # characters: click cuts a sentence that is longer


class LazyCommands(Mapping[str, ClickCommand]):
    """Name to command, in the order of the table."""

    def __init__(self) -> None:
        self._rows: dict[str, Command] = {row.name: row for row in COMMANDS}

    def __getitem__(self, name: str) -> ClickCommand:
        declared = declaring()
        import_module(f"portal.cli.{self._rows[name].module}").add(declared)
        return typer.main.get_group(declared).commands[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)


class LazyGroup(TyperGroup):
    """`mosis` itself: its help is printed from the table."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = cast("Any", LazyCommands())

    def list_commands(self, ctx: Context) -> list[str]:
        return list(self.commands)

    def format_commands(self, ctx: Context, formatter: HelpFormatter) -> None:
        rows = shown()
        for reader in dict.fromkeys(row.reader for row in rows):
            with formatter.section(reader):
                formatter.write_dl([(row.name, row.help) for row in rows if row.reader == reader])

    def shell_complete(self, ctx: Context, incomplete: str) -> list[CompletionItem]:
        """From the table: importing each command would make Tab slow, and fail where a command needs an extra."""
        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        return [CompletionItem(row.name, help=row.help) for row in shown() if row.name.startswith(incomplete)]


class Group(TyperGroup):
    """A group whose help has the whole first sentence of each command, on several lines if it is long."""

    def format_commands(self, ctx: Context, formatter: HelpFormatter) -> None:
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, command.get_short_help_str(SENTENCE_MAX)) for name, command in self.commands.items()]
            )


def declaring(text: str | None = None) -> typer.Typer:
    """A group of commands, whose help is plain text: rich would take longer than most commands."""
    return typer.Typer(help=text, cls=Group, no_args_is_help=True, rich_markup_mode=None, add_completion=False)


def example(*lines: str) -> str:
    """An epilog of one command line per line, which is not wrapped."""
    return "\b\n" + "\n".join(("Example:", *(f"  mosis {line}" for line in lines)))
