"""`mosis replicate`, with the configuration that a deploy gives to Litestream."""

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from deploys.plan.render import render
from portal.recovery import replica
from portal.recovery.replica import State
from portal.store.layout import Layout
from portal.store.store import Store
from tests.support.litestream import LITESTREAM
from tests.support.patience import PATIENCE
from tests.support.portal import MOSIS


def litestream(layout: Layout, *options: str) -> list[str | Path]:
    """The command of Litestream without `mosis replicate`."""
    return [LITESTREAM, "replicate", *options, "-config", config(layout)]


def config(layout: Layout) -> Path:
    path = layout.root / "deployed.yml"
    path.write_text(render("litestream/litestream.yml.j2", root=layout.root, port=None))
    return path


class Keeper:
    """`mosis replicate` for a store."""

    def __init__(self, store: Store) -> None:
        self.layout = store.layout
        self.log = store.layout.root / "replicate.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> "Keeper":
        with self.log.open("ab") as log:
            command = [MOSIS, "replicate", self.layout.root, config(self.layout)]
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        return self

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self.process:
            self.process.send_signal(how)
            self.process.wait(PATIENCE)
            self.process = None

    @property
    def state(self) -> State:
        return replica.read(self.layout)

    @property
    def litestreams(self) -> list[int]:
        """Processes of Litestream that replicate this store, whoever started them."""
        return [
            int(entry.name)
            for entry in Path("/proc").glob("[0-9]*")
            if _command(entry)[1:2] == ["replicate"] and _command(entry)[-1].startswith(str(self.layout.root))
            and _command(entry)[0].endswith("litestream")
        ]  # fmt: skip

    def await_(self, done: Callable[[], object], seconds: float = PATIENCE) -> None:
        """Wait until `done` returns something true."""
        deadline = time.monotonic() + seconds
        while not done():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.state}\n{self.log.read_text() if self.log.exists() else ''}")
            time.sleep(0.1)


def _command(process: Path) -> list[str]:
    try:
        return (process / "cmdline").read_bytes().decode().rstrip("\0").split("\0")
    except OSError:
        return []
