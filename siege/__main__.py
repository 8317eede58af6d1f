"""`python -m siege [NAME …]`: one line an attack; exit 1 if one hurt honest people or filled the disk."""

import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from bench.processes import BenchError
from crash.stack import StackError
from siege.attacks import ATTACKS
from siege.siege import Siege


def main(
    names: Annotated[list[str] | None, typer.Argument(help="Words in the names of the attacks; none: all.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="The short form, of less than a minute.")] = False,
    weak: Annotated[bool, typer.Option("--weak", help="Control: nginx keeps what nobody reads.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the store for a look at it.")] = False,
) -> None:
    """Attack a store as the deploy configures it, with honest people beside; exit 1 if it does not hold."""
    chosen = [attack for attack in ATTACKS if not names or any(name in attack.name for name in names)]
    if not chosen:
        raise typer.BadParameter("No attack has such a name.")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything that was started is stopped
    directory = Path(tempfile.mkdtemp(prefix="mosis-siege-"))
    os.environ["XDG_CACHE_HOME"] = str(directory / "cache")
    try:
        with Siege(directory, is_weak=weak).begun() as siege:
            broken = [attack.name for attack in chosen if not siege.held(attack, is_short=quick)]
    except (StackError, BenchError) as error:
        print(f"siege: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
    finally:
        if keep:
            print(f"Kept: {directory}")
        else:
            shutil.rmtree(directory)
    if broken:
        print(f"siege: broken: {', '.join(broken)}", file=sys.stderr)
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
