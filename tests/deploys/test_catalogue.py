"""The deploy makes the keys of the catalogue where there are none, and where there have been none."""

import shutil
import subprocess
from pathlib import Path

from deploys.services.catalogue import INIT, KeysToMake
from portal.store.store import Store
from tests.support.portal import MOSIS, environ, mosis


def wanted(command: Path, store: Store) -> bool:
    fact = KeysToMake()
    asked = fact.command(str(command), str(store.settings.catalogue_key_directory))
    done = subprocess.run(["sh", "-c", asked], capture_output=True, text=True, check=True, env=environ(store))
    return fact.process(done.stdout.splitlines())


def test_keys_are_made_once_and_not_in_place_of_lost_ones(store: Store, tmp_path: Path) -> None:
    assert wanted(tmp_path / "mosis", store), "nothing is installed yet"
    older = tmp_path / "older"
    older.write_text("#!/bin/sh\necho No such command. >&2; exit 2\n")
    older.chmod(0o755)
    assert wanted(older, store), "a release without the command"
    assert wanted(MOSIS, store)
    assert mosis(store, *INIT.split()).returncode == 0
    assert not wanted(MOSIS, store)
    shutil.rmtree(store.settings.catalogue_key_directory)
    assert not wanted(MOSIS, store)
    assert "has had keys" in mosis(store, *INIT.split()).stderr
