"""`mosis schedule` and `rotate`: what cron and logrotate do on other hosts, for the runtime `local`."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from cronsim import CronSim, CronSimError

from portal import settings
from portal.cli.lazy import example
from portal.jobs import log_rotation, scheduler


def _line(value: str) -> str:
    try:
        CronSim(scheduler.Entry.parse(value).time, datetime.now())  # noqa: DTZ005 - local time, as cron
    except (ValueError, CronSimError):
        raise typer.BadParameter(f"{value!r} is not a line such as '30 2 * * * backup database'.") from None
    return value


def add(app: typer.Typer) -> None:
    """Declare the commands."""
    app.command(epilog=example("schedule '30 2 * * * backup database' '17 * * * * cleanup'"))(schedule)
    app.command(epilog=example("rotate log/access.log run/nginx.pid"))(rotate)


def schedule(
    lines: Annotated[
        list[str], typer.Argument(parser=_line, metavar="LINE...", help="Times and commands, as in a crontab.")
    ],
) -> None:
    """Run commands at their times until stopped."""
    scheduler.serve(settings.load(), lines)


def rotate(
    log: Annotated[Path, typer.Argument(help="nginx's log.")],
    pid_file: Annotated[Path, typer.Argument(help="The file with nginx's process id.")],
) -> None:
    """Set nginx's log aside if it is large, and let nginx open a new one."""
    if log_rotation.rotate(log, pid_file):
        print(f"rotated {log}")
