"""A progress bar on a terminal; elsewhere nothing, so that logs stay plain lines."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from portal.cli.output import beneath


@contextmanager
def progress(title: str, *, sent: bool = False) -> Iterator[Callable[[int, int], None]]:
    """Yields a function that takes how much is done, and of how much; bytes that are `sent` get speed and time left."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console  # here, because cron never needs it
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    name = TextColumn("{task.description}", markup=False)
    transfer = (name, BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    console = Console(file=beneath(sys.stderr))
    with Progress(*transfer if sent else Progress.get_default_columns(), console=console) as bar:
        task = bar.add_task(title, total=None, visible=False)  # until how much there is to do is known
        yield lambda done, total: bar.update(task, completed=done, total=total, visible=True)
