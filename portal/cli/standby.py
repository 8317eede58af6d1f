"""`mosis follow` and `promote`: the two ends of a standby."""

import typer

from portal import settings
from portal.cli.lazy import example
from portal.jobs import follow as following
from portal.jobs import standby
from portal.recovery import initialize, lineage
from portal.store import files
from portal.store.clock import rfc3339
from portal.store.layout import Layout
from portal.store.store import open_store


def add(app: typer.Typer) -> None:
    """Declare the commands."""
    app.command(epilog=example("follow"))(follow)
    app.command(epilog=example("promote"))(promote)


def follow() -> None:
    """Copy the store that this standby follows, once. Prints nothing on success."""
    chosen = settings.load()
    if (copy := following.follow(chosen)) and copy.success_at:
        from portal.metrics import standby_exposition  # here, because a pull under way needs no metrics

        files.write_file(Layout(chosen.root).standby_metrics, standby_exposition(chosen, copy.success_at))


def promote() -> None:
    """Make a standby's copy a store of its own, as the deploy does; on a store it does nothing."""
    chosen = settings.load()
    with standby.promotion(chosen) as copy:
        if copy is None or copy.success_at is None:
            return
        initialize.initialize(chosen, print)
        with open_store(chosen).db.write() as tx:
            timeline = lineage.point(tx).timeline + 1
            lineage.begin(tx, lineage.PROMOTED, copy.store, timeline, copied_at=copy.success_at)
    print(f"promoted: this host has the data of {copy.store} as of {rfc3339(copy.success_at)}")
