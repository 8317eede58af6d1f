"""The real Litestream, for as long as it takes."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from portal.recovery import copies, lineage
from portal.recovery.errors import BackupError
from portal.store.layout import Layout

LITESTREAM = Path(sys.executable).with_name("litestream")


def replicate(layout: Layout) -> None:
    """Let Litestream write down what is in the database."""
    subprocess.run([LITESTREAM, "replicate", "-once", "-config", _config(layout)], check=True, capture_output=True)


@contextmanager
def replicating(layout: Layout) -> Iterator[Callable[[], None]]:
    """Litestream, running beside the store; yields a function that waits until the replica has every change."""
    process = subprocess.Popen(
        [LITESTREAM, "replicate", "-config", _config(layout)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield lambda: _wait_synced(layout)
    finally:
        process.terminate()
        process.wait(30)


def _config(layout: Layout) -> Path:
    config = layout.root / "litestream.yml"
    replica = f"{{type: file, path: {layout.replica}, sync-interval: 100ms}}"
    config.write_text(f"dbs:\n  - path: {layout.database}\n    replica: {replica}\n")
    return config


def _wait_synced(layout: Layout) -> None:
    wanted, deadline = lineage.point_of(layout.database, live=True), time.monotonic() + 30
    while time.monotonic() < deadline:
        if _replicated(layout) == wanted:
            return
        time.sleep(0.05)
    raise TimeoutError("Litestream did not keep up")


def _replicated(layout: Layout) -> lineage.Point | None:
    target = layout.root / "synced.db"
    copies.discard(target)
    try:
        copies.from_replica(layout.replica, target)
        return lineage.point_of(target)
    except BackupError:
        return None
