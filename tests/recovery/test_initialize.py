"""A store that is out of reach is never replaced by an empty one without a word from the operator."""

import json
from contextlib import closing
from pathlib import Path

import pytest

from portal.jobs import rebuild, status
from portal.recovery import initialize, records
from portal.settings import Settings, parse
from portal.store import ballast, schema
from portal.store.errors import DatabaseUnusable
from portal.store.layout import Layout
from portal.store.store import Store, open_store
from tests.support.many import fill


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Of a host whose settings are outside the store's root, as with systemd and compose."""
    (tmp_path / "etc").mkdir()
    monkeypatch.setenv("MOSIS_CONFIG", str(tmp_path / "etc/mosis.toml"))
    return parse({"root": str(tmp_path / "volume"), "litestream": False})


@pytest.fixture
def note(tmp_path: Path, settings: Settings) -> Path:
    path = tmp_path / "etc/store.json"
    path.write_text(json.dumps({"root": str(settings.root)}))
    return path


def start(settings: Settings, *, new: bool = False) -> None:
    initialize.initialize(settings, lambda line: None, new=new)


def test_a_first_store_is_started(settings: Settings) -> None:
    start(settings)
    assert schema.found(Layout(settings.root).database)


def test_room_for_a_full_disk_is_taken_at_once(settings: Settings) -> None:
    start(settings)
    assert Layout(settings.root).ballast.stat().st_blocks * 512 >= ballast.BYTES


def test_a_volume_that_is_not_mounted_is_no_new_store(settings: Settings, note: Path) -> None:
    with pytest.raises(DatabaseUnusable, match="mount its volume, or run `mosis restore`") as refused:
        start(settings)
    assert str(note) in str(refused.value)
    assert not settings.root.exists()


def test_another_root_is_no_new_store(settings: Settings, note: Path, tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnusable, match="notes a store on this host"):
        start(settings.model_copy(update={"root": tmp_path / "misspelled"}))


@pytest.mark.usefixtures("note")
def test_the_operator_may_want_a_new_one(settings: Settings) -> None:
    start(settings, new=True)
    assert schema.found(Layout(settings.root).database)


@pytest.mark.usefixtures("note")
def test_a_store_that_is_there_needs_no_word(settings: Settings) -> None:
    start(settings, new=True)
    start(settings)


def test_settings_inside_the_root_know_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The runtime `local`: with the volume the note is away too."""
    monkeypatch.setenv("MOSIS_CONFIG", str(tmp_path / "volume/etc/mosis.toml"))
    start(parse({"root": str(tmp_path / "volume"), "litestream": False}))


@pytest.mark.usefixtures("note")
def test_status_does_not_recommend_what_init_refuses(settings: Settings) -> None:
    lines = {line.name: line.text for line in status.status(settings)}
    assert "mount its volume, or run `mosis restore`" in lines["database"]
    assert lines["disk"] == f"{settings.root} is missing: mount its volume, or deploy"


def test_packages_without_a_database_are_no_new_store(settings: Settings) -> None:
    """The database was lost with every copy of it, and the next deploy started an empty store over the packages."""
    start(settings)
    layout = Layout(settings.root)
    with closing(open_store(settings).db) as db:
        fill(Store(settings, db, layout), 1)
        records.catch_up(Store(settings, db, layout))
    for path in layout.area("data").glob("portal.db*"):
        path.unlink()
    with pytest.raises(DatabaseUnusable, match=r"has packages of a store: .* `mosis rebuild`"):
        start(settings)
    assert not layout.database.exists()
    [line] = [line for line in status.status(settings) if line.name == "database"]
    assert "`mosis rebuild`" in line.text
    rebuild.rebuild(settings)
    start(settings)
