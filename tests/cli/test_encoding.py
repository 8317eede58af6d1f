"""A character that the locale cannot write is written as an escape; it never ends a command."""

import subprocess
from pathlib import Path

import pytest

from portal.store import audit, developers, schema
from portal.store.store import Store
from tests.support.portal import MOSIS, environ, make_store

NARROW = [
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    {"PYTHONIOENCODING": "latin-1"},
    {"PYTHONIOENCODING": "ascii:strict"},
]


def run(store: Store, narrow: dict[str, str], *words: str) -> "subprocess.CompletedProcess[str]":
    environment = {name: value for name, value in environ(store).items() if not name.startswith(("LC_", "LANG"))}
    return subprocess.run(
        [MOSIS, *words], capture_output=True, encoding="latin-1", env=environment | narrow, check=False
    )


@pytest.mark.parametrize("narrow", NARROW, ids=str)
def test_on_standard_output_and_standard_error(store: Store, narrow: dict[str, str]) -> None:
    with store.db.write() as tx:
        developers.add(tx, audit.OPERATOR, "acme", "→ 店")
    listed = run(store, narrow, "developer", "list")
    assert (listed.returncode, listed.stdout) == (0, "acme\t\\u2192 \\u5e97\tenabled\n")
    failed = run(store, narrow, "pack", "/nowhere/→", "/tmp/none.mosis")
    assert failed.returncode == 1
    assert "does not exist" in failed.stderr


@pytest.mark.parametrize("narrow", NARROW, ids=str)
def test_a_migration_ends_well(tmp_path: Path, narrow: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    steps = schema.migrations()
    monkeypatch.setattr(schema, "migrations", lambda: steps[:-1])
    store = make_store(tmp_path / "store")
    store.db.close()
    monkeypatch.undo()
    done = run(store, narrow, "setup")
    assert done.returncode == 0, done.stderr
    assert f"schema {len(steps) - 1} -> {len(steps)}" in done.stdout
