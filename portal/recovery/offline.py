"""The store while neither a portal nor Litestream runs: a restore holds their locks."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from portal.recovery.errors import BackupError
from portal.settings import Settings, config_path
from portal.store import writing
from portal.store.layout import Layout
from portal.store.locks import lock

SYSTEMD = Path("/run/systemd/system")  # sd_booted(3)
STOP = {
    "local": "make down",
    "systemd": "sudo systemctl stop mosis-portal mosis-litestream",
    "compose": "docker stop mosis-portal-1 mosis-litestream-1",
    "a NAS": "sudo /usr/local/bin/docker stop mosis-portal-1 mosis-litestream-1",
}


@contextmanager
def held(settings: Settings) -> Iterator[None]:
    """Keep portals, Litestream and all writers away meanwhile. Raises BackupError, which names what stops them."""
    layout = Layout(settings.root)
    with layout.serve_lock.open("a") as portals, layout.replicate_lock.open("a") as litestream:
        _lock(portals, "The portal is running, or another restore is", settings)
        _lock(litestream, "Litestream is running", settings)
        with writing.barred(layout.database) as barred:
            if not barred:
                raise BackupError("A command is writing to the database: end it, then run this again.")
            yield


def _lock(file: TextIO, running: str, settings: Settings) -> None:
    if not lock(file):
        raise BackupError(f"{running}: stop portal and Litestream with `{stop(settings)}`.")


def stop(settings: Settings) -> str:
    """The command that stops portal and Litestream on this host."""
    return STOP[_runtime(settings)]


def _runtime(settings: Settings) -> str:
    config = config_path()
    if config.is_relative_to(settings.root):
        return "local"  # alone there the settings are inside the root
    if config.parts[1].startswith("volume"):
        return "a NAS"
    return "systemd" if SYSTEMD.is_dir() else "compose"  # containers have no systemd
