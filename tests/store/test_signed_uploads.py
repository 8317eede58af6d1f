"""Bodies in pieces: what is acknowledged is on the disk, and nothing else counts."""

import dataclasses
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from portal.jobs import cleanup
from portal.store import apps, audit, retention, signed_uploads, uploads
from portal.store.clock import now
from portal.store.errors import Refused
from portal.store.store import Store
from tests.packages.samples import APP_ID, make_package
from tests.support.portal import add_developer

DEVELOPER = audit.Actor("acme", "developer", None, "test")


@pytest.fixture
def app(store: Store) -> apps.App:
    add_developer(store, "acme")
    with store.db.write() as tx:
        return apps.add(tx, DEVELOPER, APP_ID, "Reader", "")


def file_of(store: Store, transfer: signed_uploads.Transfer) -> Path:
    return store.layout.staging(transfer.upload_id) / "package.mosis"


def refusal(call: object, *arguments: object) -> str:
    with pytest.raises(Refused) as refused:
        call(*arguments)
    return refused.value.code


def test_bytes_are_flushed_before_they_are_acknowledged(
    store: Store, app: apps.App, monkeypatch: pytest.MonkeyPatch
) -> None:
    transfer = signed_uploads.issue(store, app, 3 * signed_uploads.CHECKPOINT, None)
    seen: list[tuple[int, int]] = []
    real = os.fdatasync

    def fdatasync(descriptor: int) -> None:
        real(descriptor)
        row = signed_uploads.find(store.db.read(), transfer.upload_id)
        seen.append((os.fstat(descriptor).st_size, row.received))

    monkeypatch.setattr(os, "fdatasync", fdatasync)
    chunk = bytes(signed_uploads.CHECKPOINT // 2)
    with signed_uploads.held(store, transfer.upload_id) as upload:
        upload.append(chunk for _ in range(5))
    size = signed_uploads.CHECKPOINT
    assert seen == [(size, 0), (2 * size, size), (2 * size + len(chunk), 2 * size)]
    assert signed_uploads.find(store.db.read(), transfer.upload_id).received == 2 * size + len(chunk)


def test_a_tail_that_nobody_was_told_of_is_cut_off(store: Store, app: apps.App) -> None:
    transfer = signed_uploads.issue(store, app, 10, None)
    with signed_uploads.held(store, transfer.upload_id) as upload:
        upload.append([b"01234"])
    with file_of(store, transfer).open("ab") as file:
        file.write(b"from a crash")
    with signed_uploads.held(store, transfer.upload_id) as upload:
        upload.append([b"5"])
        assert upload.transfer.received == 6
    assert file_of(store, transfer).read_bytes() == b"012345"


def failing(*chunks: bytes) -> Iterator[bytes]:
    yield from chunks
    raise Refused("DIGEST_MISMATCH", "not what was announced")


def test_an_atomic_piece_is_all_or_nothing(store: Store, app: apps.App) -> None:
    transfer = signed_uploads.issue(store, app, 2 * signed_uploads.CHECKPOINT, None)
    with signed_uploads.held(store, transfer.upload_id) as upload:
        upload.append([b"01234"])
        piece = bytes(signed_uploads.CHECKPOINT)
        with pytest.raises(Refused):
            upload.append(failing(piece, b"x"), atomic=True)
        assert signed_uploads.find(store.db.read(), transfer.upload_id).received == 5
        with pytest.raises(Refused):
            upload.append(failing(piece, b"x"))
        assert signed_uploads.find(store.db.read(), transfer.upload_id).received == 5 + signed_uploads.CHECKPOINT


def test_only_one_has_it(store: Store, app: apps.App) -> None:
    store = dataclasses.replace(store, settings=store.settings.model_copy(update={"open_uploads_max": 2}))
    transfer = signed_uploads.issue(store, app, 10, None)

    def hold() -> None:
        with signed_uploads.held(store, transfer.upload_id, wait=0):
            pass

    with signed_uploads.held(store, transfer.upload_id):
        assert refusal(hold) == "UPLOAD_LOCKED"
        with store.db.write() as tx:
            tx.execute("UPDATE uploads SET expires_at = 0")
        signed_uploads.issue(store, app, 10, None)  # does not take it away from the one who has it
        assert signed_uploads.find(store.db.read(), transfer.upload_id) is not None
    hold()
    signed_uploads.issue(store, app, 10, None)  # now it does, for want of room
    assert refusal(hold) == "NOT_FOUND"


def test_an_upload_is_renewed_as_long_as_it_is_kept(store: Store, app: apps.App) -> None:
    upload_id = signed_uploads.issue(store, app, 10, None).upload_id
    valid, kept = store.settings.upload_url_seconds, retention.UPLOAD_SECONDS
    for age, left in ((0, valid), (valid + 1, valid), (kept - 100, 100)):
        with store.db.write() as tx:
            tx.execute("UPDATE versions SET created_at = ?", (now() - age,))
            tx.execute("UPDATE uploads SET expires_at = created_at + ? FROM versions", (valid,))
        assert signed_uploads.renew(store, upload_id).expires_at - now() in (left - 1, left)
    with store.db.write() as tx:
        tx.execute("UPDATE versions SET created_at = ?", (now() - kept,))
    assert refusal(signed_uploads.renew, store, upload_id) == "UPLOAD_EXPIRED"


def test_retention_takes_the_row_and_the_directory(store: Store, app: apps.App) -> None:
    transfer = signed_uploads.issue(store, app, 10, None)
    with signed_uploads.held(store, transfer.upload_id) as upload:
        store.db.read().execute("UPDATE versions SET status_at = ?", (now() - 3600,))
        deletions: list[cleanup.Deletion] = []
        cleanup.cleanup(store, report=deletions.append)
        assert [deletion.label for deletion in deletions] == ["uploading"]
        assert refusal(upload.append, [b"0"]) == "UPLOAD_EXPIRED"
    assert store.db.read().execute("SELECT count(*) FROM uploads").fetchone()[0] == 0
    assert not file_of(store, transfer).parent.exists()
    assert refusal(signed_uploads.terminate, store, transfer.upload_id) == "NOT_FOUND"


def test_a_directory_that_is_gone_is_said(store: Store, app: apps.App) -> None:
    transfer = signed_uploads.issue(store, app, 10, None)
    file_of(store, transfer).unlink()
    assert refusal(signed_uploads.terminate, store, transfer.upload_id) == "NOT_FOUND"


@pytest.mark.parametrize("pieces", [1, 2])
def test_the_whole_is_verified_whether_it_came_whole_or_not(
    store: Store, app: apps.App, tmp_path: Path, pieces: int
) -> None:
    make_package(tmp_path / "p.mosis")
    body = (tmp_path / "p.mosis").read_bytes()
    transfer = signed_uploads.issue(store, app, len(body), None)
    step = -(-len(body) // pieces)
    for start in range(0, len(body), step):
        with signed_uploads.held(store, transfer.upload_id) as upload:
            upload.append([body[start : start + step]])
    row = signed_uploads.find(store.db.read(), transfer.upload_id)
    assert (row.digest is None) == (pieces > 1)
    version = signed_uploads.complete(store, DEVELOPER, transfer.upload_id)
    assert (version.status, version.size) == ("draft", len(body))
    assert store.db.read().execute("SELECT count(*) FROM uploads").fetchone()[0] == 0


def test_an_upload_whose_removal_was_cut_short_is_gone_and_frees_its_quota(store: Store, app: apps.App) -> None:
    transfer = signed_uploads.issue(store, app, 10, None)
    shutil.rmtree(store.layout.staging(transfer.upload_id))
    assert refusal(signed_uploads.terminate, store, transfer.upload_id) == "NOT_FOUND"
    assert store.db.read().execute("SELECT count(*) FROM uploads").fetchone()[0] == 0


@pytest.mark.parametrize("by", ["a request", "cleanup"])
def test_an_upload_whose_files_an_older_portal_moves_back_is_kept(
    store: Store, app: apps.App, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    """It moves them before its COMMIT, in its turn, and back where that fails."""
    transfer = signed_uploads.issue(store, app, 8, None)
    with signed_uploads.held(store, transfer.upload_id) as upload:
        upload.append([b"half"])
    directory, away = file_of(store, transfer).parent, store.layout.area("packages") / "moved"
    directory.rename(away)
    forget = uploads.forget

    def in_its_turn(store: Store, upload_id: str) -> bool:
        away.rename(directory)
        return forget(store, upload_id)

    monkeypatch.setattr(uploads, "forget", in_its_turn)
    if by == "cleanup":
        cleanup.cleanup(store)
    with signed_uploads.held(store, transfer.upload_id) as upload:
        assert upload.transfer.received == 4
    assert file_of(store, transfer).read_bytes() == b"half"


def test_uploads_are_kept_while_the_disk_of_temp_is_away(store: Store, app: apps.App) -> None:
    transfer = signed_uploads.issue(store, app, 8, None)
    temp = store.layout.area("temp")
    away = temp.rename(temp.with_name("unmounted"))
    with pytest.raises(FileNotFoundError), signed_uploads.held(store, transfer.upload_id):
        pass
    away.rename(temp)
    with signed_uploads.held(store, transfer.upload_id) as upload:
        upload.append([b"complete"])
