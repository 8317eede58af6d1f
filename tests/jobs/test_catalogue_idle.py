"""A run with nothing to do ends soon; whatever there is to do, it is not taken for nothing."""

import shutil
from collections.abc import Callable

import pytest

from portal.jobs import catalogue_idle, catalogue_keys
from portal.jobs.catalogue import catalogue
from portal.store import audit, job_runs
from portal.store.clock import now
from portal.store.store import Store
from tests.packages.samples import APP_ID, KEY
from tests.support.clock import move
from tests.support.portal import add_developer, mosis
from tests.support.publishing import add_app, change, publish

TOO_HEAVY = ("tuf.api", "securesystemslib", "boto3")


@pytest.fixture
def signed(store: Store) -> Store:
    catalogue_keys.make(store, [KEY])
    add_developer(store, "acme")
    add_app(store, APP_ID)
    publish(store, APP_ID, 1)
    catalogue(store)
    return store


def lose(pattern: str) -> Callable[[Store], None]:
    return lambda store: [path.unlink() for path in store.layout.root.glob(pattern)].clear()


def empty(pattern: str) -> Callable[[Store], None]:
    return lambda store: [path.write_bytes(b"") for path in store.layout.root.glob(pattern)].clear()


WORK = {
    "a publish": lambda store: publish(store, APP_ID, 2),
    "a yank": lambda store: change(store, APP_ID, 1, "yank", "It loses data."),
    "a new root": lambda store: catalogue_keys.renew(store, [KEY]),
    "the lost timestamp": lose("catalogue/metadata/timestamp.json"),
    "the emptied timestamp": empty("catalogue/metadata/timestamp.json"),
    "the lost snapshot": lose("catalogue/metadata/*.snapshot.json"),
    "a lost bin": lose("catalogue/metadata/*.0*.json"),
    "an emptied bin": empty("catalogue/metadata/*.0*.json"),
    "lost targets": lose("catalogue/metadata/*.targets.json"),
    "a lost root": lose("catalogue/metadata/1.root.json"),
    "the lost catalogue": lambda store: shutil.rmtree(store.layout.catalogue),
    "the lost record": lose("data/catalogue.json"),
}


@pytest.mark.parametrize("work", WORK.values(), ids=WORK)
def test_what_there_is_to_do_is_not_taken_for_nothing(work: Callable[[Store], object], signed: Store) -> None:
    assert catalogue_idle.ran(signed)
    work(signed)
    assert not catalogue_idle.ran(signed)
    catalogue(signed)
    assert catalogue_idle.ran(signed)


def test_a_recovery_that_comes_into_force_is_not_taken_for_nothing(signed: Store) -> None:
    """The log had its row when it was announced."""
    with signed.db.write() as tx:
        tx.execute("UPDATE app_keys SET kind = 'recovery', effective_at = ?", (now(),))
    assert not catalogue_idle.ran(signed)


def test_lost_keys_are_not_taken_for_nothing(signed: Store) -> None:
    shutil.rmtree(signed.settings.catalogue_key_directory)
    assert not catalogue_idle.ran(signed)


def test_once_a_day_everything_is_compared(signed: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    move(monkeypatch, catalogue_idle.CHECK_SECONDS)
    assert not catalogue_idle.ran(signed)


def test_an_idle_run_is_a_success_and_loads_no_tuf(signed: Store) -> None:
    with signed.db.write() as tx:
        tx.execute("UPDATE job_runs SET success_at = 1, failure = 'The disk was full.', failure_at = 2")
    ran = mosis(signed, "catalogue", PYTHONPROFILEIMPORTTIME="1")
    assert (ran.returncode, ran.stdout) == (0, "")
    assert "portal.jobs.catalogue_idle" in ran.stderr
    assert [name for name in TOO_HEAVY if name in ran.stderr] == []
    run = job_runs.every(signed.db.read())["catalogue"]
    assert run.success_at != 1 and run.failure is None


def test_a_change_is_done_by_the_command(signed: Store) -> None:
    head = audit.head(signed.db.read())
    publish(signed, APP_ID, 2)
    assert audit.head(signed.db.read()) != head
    assert "wrote targets/apps/" in mosis(signed, "catalogue").stdout
    assert mosis(signed, "catalogue").stdout == ""
