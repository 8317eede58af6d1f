"""Copies of this checkout that other releases are deployed from."""

import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

from tests.hosts.pyinfra_run import REPOSITORY

NOT_DEPLOYED = (".*", "var", "tests", "bench", "__pycache__")


IN_USE = "c82cd58"
"""Commit of the release that stores run today; an upgrade from it is a plain deploy."""


def released(commit: str, path: Path) -> Path:
    """The tree of `commit` at `path`, to deploy from. Raises AssertionError where this clone does not contain it."""
    done = subprocess.run(
        ["git", "archive", commit, ":!tests", ":!bench"], cwd=REPOSITORY, capture_output=True, check=False
    )
    reason = done.stderr.decode(errors="replace").strip()
    assert done.returncode == 0, (
        f"This clone does not contain commit {commit}, from which hosts are upgraded: "
        f"fetch the whole history, as by `git fetch --unshallow`. git: {reason}"
    )
    with tarfile.open(fileobj=BytesIO(done.stdout)) as tree:
        tree.extractall(path, filter="data")
    (path / ".cache").mkdir()
    return path


class Checkout:
    """What a deploy needs of this checkout, in a directory of its own; each method makes another release of it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        shutil.copytree(REPOSITORY, path, ignore=shutil.ignore_patterns(*NOT_DEPLOYED))
        (path / ".cache").mkdir()

    @property
    def schema(self) -> int:
        """How many migrations the release knows."""
        return len(list(self._migrations.glob("*.sql")))

    def change(self, text: str) -> None:
        """A release that does the same."""
        (self.path / "portal/release_marker.py").write_text(f'"""{text}"""\n')

    def expand(self) -> None:
        """A release with a migration that releases of this checkout's schema do not mind: a column and a table more."""
        number = self.schema + 1
        column = f"ALTER TABLE versions ADD COLUMN later_{number} TEXT;"
        table = f"CREATE TABLE later_{number} AS SELECT version_id FROM versions;"
        self._migrate(f"{column} {table}", oldest=_own_schema())

    def contract(self) -> None:
        """A release with a migration after which only the release before it may come back."""
        self._migrate(f"DROP TABLE later_{self.schema};", oldest=self.schema)

    @contextmanager
    def broken_migration(self) -> Iterator[None]:
        """Inside: a release whose migration ends with an error, when it has done much of its work."""
        sql = "UPDATE versions SET status = 'yanked'; INSERT INTO absent VALUES (1);"
        path = self._migrate(sql, oldest=_own_schema())
        yield
        path.unlink()

    @contextmanager
    def broken_portal(self) -> Iterator[None]:
        """Inside: a release whose portal starts and is never ready."""
        app = self.path / "portal/app.py"
        mended = app.read_text()
        app.write_text(f'raise RuntimeError("broken on purpose")\n{mended}')
        yield
        app.write_text(mended)

    @property
    def _migrations(self) -> Path:
        return self.path / "portal/store/migrations"

    def _migrate(self, sql: str, oldest: int) -> Path:
        number = self.schema + 1
        path = self._migrations / f"{number:04}_later.sql"
        path.write_text(f"{sql}\nINSERT INTO migrations VALUES ({number}, {oldest});\n")
        return path


def _own_schema() -> int:
    return len(list((REPOSITORY / "portal/store/migrations").glob("*.sql")))
