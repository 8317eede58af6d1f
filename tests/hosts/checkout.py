"""Copies of this checkout that other releases are deployed from."""

import shutil
from pathlib import Path

from tests.hosts.pyinfra_run import REPOSITORY

NOT_DEPLOYED = (".*", "var", "tests", "bench", "__pycache__")


class Checkout:
    """What a deploy needs of this checkout, in a directory of its own; each method makes another release of it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        shutil.copytree(REPOSITORY, path, ignore=shutil.ignore_patterns(*NOT_DEPLOYED))
        (path / ".cache").mkdir()

    def change(self, text: str) -> None:
        """A release that does the same."""
        (self.path / "portal/release_marker.py").write_text(f'"""{text}"""\n')

    def break_portal(self) -> None:
        """A release whose portal starts and is never ready."""
        app = self.path / "portal/app.py"
        app.write_text(f'raise RuntimeError("broken on purpose")\n{app.read_text()}')
