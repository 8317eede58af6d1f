"""`python -m crash`: kill a store so many times, and print what of its promises broke."""

import random
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from crash.http import Unanswered
from crash.series import KINDS, Series
from crash.stack import StackError


def main(
    runs: Annotated[int, typer.Option(min=1, help="Kills.")] = 50,
    seed: Annotated[int | None, typer.Option(help="Seed of the moments and contents; none: a new one.")] = None,
    broken: Annotated[bool, typer.Option("--broken", help="Control: a portal that acknowledges too early.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the store for a look at it.")] = False,
) -> None:
    """Kill workers, the master or everything at random moments and check from outside; exit 1 if a promise broke."""
    seed = random.SystemRandom().randrange(10**6) if seed is None else seed
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything that was started is stopped
    directory = Path(tempfile.mkdtemp(prefix="mosis-crash-"))
    series = Series(directory, seed, broken=broken)
    try:
        series.run(runs)
    except (StackError, Unanswered) as error:
        series.note([("not ready", str(error))])
    finally:
        series.close()
        print(series.table(), flush=True)
        if keep:
            print(f"Kept: {directory}")
        else:
            shutil.rmtree(directory)
    if found := [kind for kind in KINDS if series.faults[kind]]:
        print(f"crash: {', '.join(found)}: see above; again: make crash RUNS={runs} SEED={seed}", file=sys.stderr)
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
