"""A catalogue that is not the store's newest is refused, each kind with its reason; the last good one stays."""

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from securesystemslib.signer import CryptoSigner

from mosis_device.fetch import Bounds
from tests.device.conftest import Phone
from tests.device.shelf import Copy, Shelf, serving
from tests.support.catalogues import SignedCatalogue

METADATA = "catalogue/metadata"
DAYS = timedelta(days=1)


def forged(shelf: Shelf) -> None:
    """Somebody without the store's keys publishes."""
    shelf.catalogue.signer = CryptoSigner.generate_ed25519()
    shelf.publish(2)


def expired(shelf: Shelf) -> None:
    shelf.catalogue.expires = datetime.now(UTC).replace(microsecond=0) - DAYS
    shelf.publish(2)


def rolled_back(shelf: Shelf) -> None:
    """Everything of an hour ago, as it was signed then."""
    shutil.rmtree(shelf.place)
    shelf.place.with_name("earlier").rename(shelf.place)


def mixed_bins(shelf: Shelf) -> None:
    """The new snapshot, with all bins from before under their new names."""
    shelf.publish(2)
    [new] = shelf.place.glob(f"{METADATA}/{shelf.catalogue.version}.[0-9]*.json")
    old = max(path for path in shelf.place.glob(f"{METADATA}/*.{new.name.partition('.')[2]}") if path != new)
    shutil.copy(old, new)


def mixed_snapshot(shelf: Shelf) -> None:
    """The new timestamp, with the snapshot from before under the new name."""
    shelf.publish(2)
    metadata, version = shelf.place / METADATA, shelf.catalogue.version
    shutil.copy(metadata / f"{version - 1}.snapshot.json", metadata / f"{version}.snapshot.json")


def mixed_document(shelf: Shelf) -> None:
    shelf.publish(2)
    for path in (shelf.place / "catalogue/targets/apps").iterdir():
        path.write_bytes(path.read_bytes().replace(b"Reader", b"Raider"))


def foreign(shelf: Shelf) -> None:
    """The catalogue of another store."""
    shutil.rmtree(shelf.place / "catalogue")
    shelf.catalogue = SignedCatalogue(shelf.place)
    for _ in range(5):
        shelf.sign()


def forged_root(shelf: Shelf) -> None:
    """A next root that only its own new key signed."""
    shelf.catalogue.root_signer = CryptoSigner.generate_ed25519()
    shelf.catalogue.rotate()
    shelf.publish(2)


def a_login_page(shelf: Shelf) -> None:
    for path in (shelf.place / METADATA).iterdir():
        path.write_text("<html>Please log in.</html>")


def endless(shelf: Shelf) -> None:
    with (shelf.place / METADATA / "timestamp.json").open("ab") as file:
        file.write(b" " * 1_000_000)


def cut_short(shelf: Shelf) -> None:
    path = shelf.place / METADATA / "timestamp.json"
    path.write_bytes(path.read_bytes()[:200])


BAD = {
    forged: "forged", foreign: "forged", forged_root: "forged", expired: "expired", rolled_back: "rolled-back",
    mixed_bins: "mixed", mixed_snapshot: "mixed", mixed_document: "mixed", a_login_page: "malformed",
    endless: "malformed", cut_short: "malformed",
}  # fmt: skip


@pytest.fixture
def seen(shelf: Shelf, phone: Phone) -> Phone:
    """A device that has installed version 1 from a catalogue newer than the directory `earlier`."""
    shelf.publish(1)
    shelf.copy(shelf.place.with_name("earlier"))
    shelf.sign()
    with serving(shelf.place) as good:
        assert phone.install(good).outcome == "installed"
    return phone


@pytest.mark.parametrize("spoil", BAD, ids=lambda spoil: spoil.__name__)
def test_a_bad_catalogue_is_refused_with_its_reason(
    shelf: Shelf, copy: Copy, seen: Phone, spoil: Callable[[Shelf], None]
) -> None:
    before = sorted(path.name for path in seen.directory.glob("apps/*/*"))
    spoil(shelf)
    assert seen.refusal(copy) == BAD[spoil]
    assert sorted(path.name for path in seen.directory.glob("apps/*/*")) == before


@pytest.mark.parametrize("spoil", BAD, ids=lambda spoil: spoil.__name__)
def test_a_good_copy_is_taken_where_another_one_is_bad(
    shelf: Shelf, seen: Phone, tmp_path: Path, spoil: Callable[[Shelf], None]
) -> None:
    catalogue, kept = shelf.catalogue, dict(vars(shelf.catalogue))
    clean, bad = shelf.copy(tmp_path / "clean"), tmp_path / "bad"
    spoil(shelf)
    shelf.place.rename(bad)
    clean.rename(shelf.place)
    shelf.catalogue = catalogue
    vars(catalogue).update(kept | {"version": catalogue.version})
    shelf.publish(3)
    with serving(bad) as bad_copy, serving(shelf.place) as good_copy:
        assert seen.install(bad_copy, good_copy).version_code == 3


def test_the_app_is_updated_once_the_catalogue_is_good_again(shelf: Shelf, copy: Copy, seen: Phone) -> None:
    mixed_bins(shelf)
    assert seen.refusal(copy) == "mixed"
    shelf.publish(3)
    assert seen.install(copy).version_code == 3


def test_new_root_keys_are_followed(shelf: Shelf, copy: Copy, seen: Phone) -> None:
    for _ in range(3):
        shelf.catalogue.rotate(CryptoSigner.generate_ed25519())
    shelf.catalogue.signer = CryptoSigner.generate_ed25519()
    shelf.catalogue.rotate()
    shelf.publish(2)
    assert seen.install(copy).version_code == 2


def test_an_old_bound_copy_without_a_root_in_between_is_refused(shelf: Shelf, copy: Copy, seen: Phone) -> None:
    for _ in range(2):
        shelf.catalogue.rotate(CryptoSigner.generate_ed25519())
    (shelf.place / METADATA / "2.root.json").unlink()
    shelf.publish(2)
    assert seen.refusal(copy) == "forged"


def test_an_app_that_the_catalogue_does_not_have(shelf: Shelf, copy: Copy, phone: Phone) -> None:
    shelf.publish(1)
    outcome = phone.install(copy, app_id="org.example.unknown")
    assert outcome.reason == "unknown-app"


def test_a_device_without_a_clock_takes_the_latest_time_that_it_saw_signed(
    shelf: Shelf, copy: Copy, phone: Phone
) -> None:  # fmt: skip
    clock = {"clock": lambda: datetime(1970, 1, 1, tzinfo=UTC)}
    shelf.publish(1)
    assert phone.install(copy, **clock).outcome == "installed"
    seen = datetime.fromisoformat(json.loads((phone.directory / "device.json").read_text())["seen"])
    assert seen == shelf.catalogue.expires - 30 * DAYS
    expires = shelf.catalogue.expires
    shelf.catalogue.expires = seen - DAYS
    shelf.publish(2)
    assert phone.refusal(copy, **clock) == "expired"
    shelf.catalogue.expires = expires
    shelf.publish(3)
    assert phone.install(copy, **clock).version_code == 3


def test_a_time_that_a_thief_of_the_key_signed_ends_with_the_key(shelf: Shelf, copy: Copy, seen: Phone) -> None:
    """As TUF ends what a fast-forward attack did to versions."""
    expires = shelf.catalogue.expires
    shelf.catalogue.expires = expires + 10_000 * DAYS
    shelf.publish(2)
    assert seen.install(copy).version_code == 2
    shelf.catalogue.expires, shelf.catalogue.signer = expires, CryptoSigner.generate_ed25519()
    shelf.catalogue.rotate()
    shelf.publish(3)
    assert seen.install(copy).version_code == 3


def test_a_catalogue_that_nobody_signed_for_a_week_is_said(shelf: Shelf, copy: Copy, phone: Phone) -> None:
    shelf.catalogue.expires = datetime.now(UTC).replace(microsecond=0) + 22 * DAYS
    shelf.publish(1)
    assert phone.install(copy).outcome == "installed"
    [line] = phone.said
    assert "signed nothing since" in line


def test_a_base_that_sends_without_end_or_hope_is_left(shelf: Shelf, copy: Copy, phone: Phone) -> None:
    shelf.publish(1)
    with serving(shelf.place, drips=True) as slow:
        assert phone.install(slow, copy, bounds=Bounds(silence=5, slowest=10**9)).outcome == "installed"
    assert len(slow.requests) == 1


@pytest.mark.parametrize(
    ("begin", "endless"),
    [
        (b"HTTP/1.1 200 OK\r\nX: ", b"x"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X: x\r\n"),
        (b"HTTP/1.1 404 No\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X: x\r\n"),
    ],
)
def test_an_answer_whose_headers_or_trailers_never_end_is_left(
    begin: bytes, endless: bytes, shelf: Shelf, copy: Copy, phone: Phone
) -> None:
    shelf.publish(1)
    with serving(shelf.place, begin=begin, endless=endless) as hostile:
        assert phone.install(hostile, copy, bounds=Bounds(silence=0.3, slowest=10**9)).outcome == "installed"
