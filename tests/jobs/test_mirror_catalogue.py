"""The catalogue in the bucket never leads a device to something that is not there, whatever happens during a copy."""

import json
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import Self

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from securesystemslib.signer import CryptoSigner

from portal.jobs import catalogue, catalogue_keys, mirror
from portal.jobs.mirror import DELETE_AFTER_SECONDS
from portal.mirror import catalogue as module
from portal.mirror import objects
from portal.mirror.client import Bucket, MirrorError
from portal.mirror.record import Record
from portal.settings import S3
from portal.store import audit
from portal.store.store import Store
from tests.jobs.test_mirror import bucket_of, in_bucket, in_store, pending, through, yank
from tests.mirror.r2_like import r2_like
from tests.support.catalogues import SignedCatalogue, documents_of
from tests.support.clock import move
from tests.support.many import OWNER, add_version, fill, flip
from tests.support.patience import PATIENCE
from tests.support.portal import MOSIS, environ, make_store, mosis
from tests.support.tuf_device import TufDevice

pytestmark = pytest.mark.seconds(100)

TIMESTAMP = module.TIMESTAMP
FIRST = "org.example.app0"


@pytest.fixture
def filled(tmp_path: Path, empty: S3) -> Iterator[Store]:
    store = make_store(tmp_path / "store", mirror=empty.model_dump(mode="json"))
    fill(store, 3, 3)
    yield store
    store.db.close()


@pytest.fixture
def signed(filled: Store) -> SignedCatalogue:
    """A catalogue of everything that is published."""
    made = SignedCatalogue(filled.layout.root)
    made.publish(documents_of(filled))
    return made


def catalogue_in(bucket: dict[str, bytes]) -> dict[str, bytes]:
    return {key: body for key, body in bucket.items() if key.startswith("catalogue/")}


def catalogue_on_disk(store: Store) -> dict[str, bytes]:
    root = store.layout.root
    return {str(path.relative_to(root)): path.read_bytes() for path in (root / "catalogue").rglob("*.json")}


def reachable(bucket: Bucket) -> dict[str, bytes]:
    """Follows the timestamp in the bucket as a device does. Raises AssertionError for what is not there."""
    found: dict[str, bytes] = {}

    def get(key: str) -> dict:
        content = objects.content(bucket, key)
        assert content is not None, f"the catalogue leads to {key}, which is not there"
        found[key] = content
        return json.loads(content)

    def meta(name: str, version: int) -> dict:
        return get(f"catalogue/metadata/{version}.{name}")["signed"]

    if objects.content(bucket, TIMESTAMP) is None:
        return found
    snapshot = meta("snapshot.json", get(TIMESTAMP)["signed"]["meta"]["snapshot.json"]["version"])
    for name, info in snapshot["meta"].items():
        for path, target in meta(name, info["version"]).get("targets", {}).items():
            document = get(f"catalogue/targets/apps/{target['hashes']['sha256']}.{PurePosixPath(path).name}")
            for release in document["releases"]:
                [key] = [path for path in release["paths"] if path.startswith("packages/")]
                head = bucket.call("head_object", Key=key)
                assert head["Metadata"]["sha256"] == release["sha256"]
    return found


def test_the_bucket_gets_the_same_files(filled: Store, signed: SignedCatalogue) -> None:
    done = mirror.mirror(filled)
    assert catalogue_in(in_bucket(filled)) == catalogue_on_disk(filled)
    assert len(done.copied) == len(set(done.copied)) == len(in_bucket(filled))
    assert len(catalogue_in(reachable(bucket_of(filled)))) == 1 + 1 + 5 + 3
    assert mirror.mirror(filled) == mirror.mirror(filled, verify=True) == mirror.Report()


def test_files_arrive_in_the_order_in_which_devices_may_come_upon_them(filled: Store, signed: SignedCatalogue) -> None:
    def kind(key: str) -> int:
        order = (
            "package.mosis",
            "manifest.json",
            "/targets/",
            "00.json",
            ".targets.json",
            "snapshot",
            "timestamp",
            "root",
        )
        return next((number for number, part in enumerate(order) if part in key), 0)

    kinds = [min(kind(key), 3) if "targets.json" in key else kind(key) for key in mirror.mirror(filled).copied]
    assert kinds == sorted(kinds)
    assert set(kinds) == {0, 1, 2, 3, 5, 6, 7}


def test_a_change_of_keys_leaves_no_moment_in_which_devices_trust_neither(store: Store, tmp_path: Path) -> None:
    """Signatures of the old keys are valid under the new root, but not the other way round: the root comes last."""
    old, new = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    catalogue_keys.make(store, [old])
    catalogue.catalogue(store)
    there = tmp_path / "bucket/catalogue"
    shutil.copytree(store.layout.catalogue, there)
    phone = TufDevice(there)
    phone.updated()
    catalogue_keys.renew(store, [old], new_root_keys=[new], new_store_key=True)
    catalogue.catalogue(store)
    with closing(Record.open(store.layout)) as record:
        found = module.state(store.layout, record, module.timestamp(store.layout))
    for one in (one for stage in found.stages for one in stage):
        (there.parent / one.key).write_bytes(one.content)
        for device in (phone.copy(), TufDevice(there)):
            device.updated()
    assert phone.updated()._trusted_set.root.version == 2


def test_only_the_timestamp_is_ever_written_twice(filled: Store, signed: SignedCatalogue) -> None:
    mirror.mirror(filled)
    signed.publish({"org.example.app9": {"releases": []}})
    copied = mirror.mirror(filled).copied
    assert [key for key in copied if key.endswith("timestamp.json")] == [TIMESTAMP]
    assert len(copied) == len(set(copied)) == 1 + 1 + 1 + 1 + 1, "document, bin, targets, snapshot, timestamp"
    head = bucket_of(filled).call("head_object", Key=TIMESTAMP)
    assert (head["CacheControl"], head["ContentType"]) == ("public, max-age=60", "application/json")
    head = bucket_of(filled).call("head_object", Key="catalogue/metadata/1.root.json")
    assert head["CacheControl"] == "public, max-age=31536000, immutable"


def test_without_a_change_the_bucket_is_not_asked_about_it(filled: Store, signed: SignedCatalogue, empty: S3) -> None:
    mirror.mirror(filled)
    with r2_like(empty) as proxy:
        mirror.mirror(through(filled, proxy.engine))
    assert len(proxy.requests) == 1


def test_a_new_root_is_copied_by_itself(filled: Store, signed: SignedCatalogue) -> None:
    mirror.mirror(filled)
    signed.rotate()
    assert mirror.mirror(filled).copied == ["catalogue/metadata/2.root.json"]


def test_a_catalogue_that_names_what_is_not_there_waits(filled: Store, signed: SignedCatalogue) -> None:
    mirror.mirror(filled)
    before = catalogue_in(in_bucket(filled))
    package = filled.layout.package("acme", FIRST, 4)
    with filled.db.write() as tx:
        tx.execute("UPDATE versions SET version_code = 4, version_id = 'x' WHERE version_id = ?", (f"{FIRST}-3",))
    filled.layout.package("acme", FIRST, 3).parent.rename(package.parent)
    signed.publish(documents_of(filled))
    lines: list[str] = []
    mirror.mirror(filled, report=lambda verb, key: lines.append(f"{verb} {key}"))
    assert f"waiting for downloads/acme/{FIRST}/4/package.mosis" in lines, "no row of the log names it"
    assert (catalogue_in(in_bucket(filled)), pending(filled)) == (before, 1)


def test_one_damaged_package_keeps_the_whole_state_back(filled: Store, signed: SignedCatalogue) -> None:
    package = filled.layout.package("acme", FIRST, 3)
    flip(package, 8)
    with pytest.raises(MirrorError, match="is damaged in the store"):
        mirror.mirror(filled)
    assert catalogue_in(in_bucket(filled)) == {}
    flip(package, 8)
    mirror.mirror(filled)
    assert catalogue_in(in_bucket(filled)) == catalogue_on_disk(filled)


def test_an_icon_that_was_replaced_before_it_was_copied_holds_up_nothing(
    filled: Store, signed: SignedCatalogue
) -> None:  # fmt: skip
    documents = documents_of(filled)
    gone = {"size": 64, "paths": [f"assets/{FIRST}/icon-64.{'0' * 16}.png"], "sha256": "0" * 64, "bytes": 5}
    documents[FIRST]["icons"] = [gone]
    signed.publish(documents)
    mirror.mirror(filled)
    assert in_bucket(filled)[TIMESTAMP] == catalogue_on_disk(filled)[TIMESTAMP]


def test_a_damaged_catalogue_never_reaches_a_cache(filled: Store, signed: SignedCatalogue) -> None:
    """Under a name that caches keep for a year."""
    for path in sorted(signed.place.rglob("*.json")):
        content = path.read_bytes()
        for damaged in (content.replace(b"0", b"1", 1), content[:-1], b"", b"[]"):
            path.write_bytes(damaged)
            with pytest.raises(MirrorError, match=r"damaged, so it is not copied: .*verify` writes it again"):
                mirror.mirror(filled)
        path.unlink()
        if path.name != "timestamp.json":
            with pytest.raises(MirrorError, match="The catalogue is damaged"):
                mirror.mirror(filled)
        path.write_bytes(content)
        assert catalogue_in(in_bucket(filled)) == {}


def test_the_catalogue_in_the_bucket_never_goes_back(filled: Store, signed: SignedCatalogue, tmp_path: Path) -> None:
    shutil.copytree(signed.place, tmp_path / "older")
    signed.publish({"org.example.app9": {"releases": []}})
    mirror.mirror(filled)
    before = catalogue_in(in_bucket(filled))
    shutil.rmtree(signed.place)
    shutil.copytree(tmp_path / "older", signed.place)
    with pytest.raises(MirrorError, match="in the bucket has version 2, and that of the store 1"):
        mirror.mirror(filled)
    signed.publish({"org.example.app9": {"releases": [], "name": "another"}})
    (filled.layout.area("data") / "mirror.db").unlink()
    signed.version = 1
    signed.publish({})
    with pytest.raises(MirrorError, match="in the bucket has version 2, and that of the store 2"):
        mirror.mirror(filled)
    assert catalogue_in(in_bucket(filled)) == before
    signed.publish({})
    mirror.mirror(filled)
    assert in_bucket(filled)[TIMESTAMP] == (signed.place / "metadata/timestamp.json").read_bytes()


def test_a_timestamp_from_the_future_holds_up_nothing_once_its_key_is_not_trusted(
    filled: Store, signed: SignedCatalogue, tmp_path: Path
) -> None:  # fmt: skip
    thief = SignedCatalogue(tmp_path / "thief", (signed.root_signer, signed.signer))
    thief.version = 10**9
    thief.publish({})
    future = (thief.place / "metadata/timestamp.json").read_bytes()
    bucket_of(filled).call("put_object", Key=TIMESTAMP, Body=future)
    with pytest.raises(MirrorError, match="renew --new-store-key"):
        mirror.mirror(filled, adopt=True)
    signed.signer = CryptoSigner.generate_ed25519()
    signed.expires += timedelta(days=1)  # so that all bins are signed with it
    signed.rotate()
    signed.publish({})
    mirror.mirror(filled)
    assert in_bucket(filled)[TIMESTAMP] == catalogue_on_disk(filled)[TIMESTAMP]


def test_a_store_without_a_catalogue_leaves_the_one_in_the_bucket(
    filled: Store, signed: SignedCatalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror.mirror(filled)
    before = in_bucket(filled)
    shutil.rmtree(signed.place)
    mirror.mirror(filled)
    move(monkeypatch, DELETE_AFTER_SECONDS + 60)
    assert mirror.mirror(filled, verify=True, force=True) == mirror.Report()
    assert in_bucket(filled) == before


def test_what_the_catalogue_names_is_not_deleted_however_long_it_is_gone(
    filled: Store, signed: SignedCatalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror.mirror(filled)
    yank(filled, FIRST, 3)
    mirror.mirror(filled)
    move(monkeypatch, 2 * DELETE_AFTER_SECONDS)
    deleted = mirror.mirror(filled, force=True).deleted
    assert deleted == [f"packages/acme/{FIRST}/3/manifest.json"], "the job that makes the catalogue does not run"
    reachable(bucket_of(filled))
    signed.publish(documents_of(filled))
    assert mirror.mirror(filled, force=True).deleted == []
    move(monkeypatch, 3 * DELETE_AFTER_SECONDS + 60)
    gone: set[str] = set()
    for _ in range(4):
        gone |= set(mirror.mirror(filled, force=True).deleted)
        reachable(bucket_of(filled))
    kept = in_bucket(filled)
    assert f"packages/acme/{FIRST}/3/package.mosis" in gone
    assert {"catalogue/metadata/1.snapshot.json", "catalogue/metadata/1.targets.json"} <= gone
    assert not any("root.json" in key for key in gone)
    assert len([key for key in kept if "/targets/" in key]) == 3
    assert len([key for key in kept if key.endswith(".snapshot.json")]) == 1


def test_an_old_document_that_is_wanted_again_stays(
    filled: Store, signed: SignedCatalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror.mirror(filled)
    before = dict(signed.documents)
    signed.publish({FIRST: {"releases": [], "name": "for a while"}})
    mirror.mirror(filled)
    signed.documents = before
    signed.publish({})
    move(monkeypatch, DELETE_AFTER_SECONDS + 60)
    for _ in range(3):
        mirror.mirror(filled, force=True)
    assert len([key for key in reachable(bucket_of(filled)) if "/targets/" in key]) == 3


def test_what_somebody_deleted_in_the_bucket_comes_back(filled: Store, signed: SignedCatalogue) -> None:
    mirror.mirror(filled)
    whole = in_bucket(filled)
    for key in whole:
        bucket_of(filled).call("delete_object", Key=key)
        if key.startswith("catalogue/"):
            mirror.mirror(filled, verify=True)
    mirror.mirror(filled, verify=True)
    assert in_bucket(filled) == whole


def test_a_lost_record_is_made_again(filled: Store, signed: SignedCatalogue) -> None:
    mirror.mirror(filled)
    before = in_bucket(filled)
    (filled.layout.area("data") / "mirror.db").unlink()
    mirror.mirror(filled)
    assert in_bucket(filled) == before
    with closing(Record.read(filled.layout)) as record:
        assert record.named(f"catalogue/targets/apps/{next(iter((signed.place / 'targets/apps').iterdir())).name}")
    assert mirror.mirror(filled, verify=True) == mirror.Report()


def test_a_dry_run_names_the_files(filled: Store, signed: SignedCatalogue) -> None:
    shown = {line.split()[-1] for line in mosis(filled, "mirror", "--dry-run").stdout.splitlines()}
    copied = set(mirror.mirror(filled).copied)
    assert shown == copied
    signed.publish({FIRST: {"releases": []}})
    shown = {line.split()[-1] for line in mosis(filled, "mirror", "--dry-run").stdout.splitlines()}
    assert shown == set(mirror.mirror(filled).copied)


@dataclass
class Watcher:
    """Follows the catalogue in the bucket again and again, as devices do."""

    bucket: Bucket
    seen: set[bytes] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> None:
        while not self.stop.is_set():
            try:
                self.seen.add(reachable(self.bucket).get(TIMESTAMP, b""))
            except (AssertionError, MirrorError) as error:
                self.faults.append(str(error))

    def wait_for(self, timestamp: bytes) -> None:
        deadline = time.monotonic() + PATIENCE
        while timestamp not in self.seen and not self.faults:
            assert time.monotonic() < deadline

    def __enter__(self) -> Self:
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.thread.join()


def test_a_device_that_follows_the_catalogue_always_arrives(filled: Store, signed: SignedCatalogue) -> None:
    """During publishes, and runs that are killed later and later."""
    killed = 0
    with Watcher(bucket_of(filled)) as watcher:
        for code in range(4, 16):
            with filled.db.write() as tx:
                add_version(filled, tx, FIRST, code)
                audit.append(tx, OWNER, "publish", f"{FIRST}/{code}")
            signed.publish(documents_of(filled))
            with subprocess.Popen([MOSIS, "mirror"], stdout=subprocess.PIPE, text=True, env=environ(filled)) as process:
                for number, _ in enumerate(process.stdout):
                    if number == code % 6:  # of seven files or more
                        process.kill()
            killed += process.returncode != 0
            if code % 4 == 3:
                mirror.mirror(filled)
                watcher.wait_for((signed.place / "metadata/timestamp.json").read_bytes())
    assert watcher.faults == []
    assert killed > 6
    assert reachable(bucket_of(filled)).items() <= catalogue_on_disk(filled).items()
    assert mirror.mirror(filled, verify=True).strangers == []


def test_a_lost_record_makes_nothing_of_the_catalogue_a_stranger_or_written_again(
    filled: Store, signed: SignedCatalogue, empty: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What earlier states have left goes late; what is no file of a catalogue stays, and so do all roots."""
    mirror.mirror(filled)
    earlier = catalogue_in(in_bucket(filled)).keys()
    signed.rotate()
    yank(filled, FIRST, 1)
    signed.publish(documents_of(filled))
    mirror.mirror(filled)
    for path in filled.layout.area("data").glob("mirror.db*"):
        path.unlink()
    bucket_of(filled).call("put_object", Key="catalogue/notes.json", Body=b"{}", Metadata={"sha256": "0" * 64})
    with r2_like(empty) as proxy:
        done = mirror.mirror(through(filled, proxy.engine))
    assert [path.rsplit("/", 1)[1] for method, path, _ in proxy.requests if method == "PUT"] == ["mosis-mirror.json"]
    assert done.strangers == ["catalogue/notes.json"]
    reachable(bucket_of(filled))
    move(monkeypatch, DELETE_AFTER_SECONDS + 60)
    done = mirror.mirror(filled, force=True)
    assert done.strangers == ["catalogue/notes.json"]
    left = catalogue_in(in_bucket(filled)).keys()
    current = reachable(bucket_of(filled)).keys() | {"catalogue/metadata/1.root.json", "catalogue/metadata/2.root.json"}
    assert left == current | {"catalogue/notes.json"}
    assert earlier - left, "files of the earlier state"


def test_a_state_that_is_being_replaced_is_left_to_the_next_run(
    filled: Store, signed: SignedCatalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run has read the timestamp, and comes late to the snapshot."""
    before, read = module.timestamp(filled.layout), module.timestamp
    (signed.place / "metadata/1.snapshot.json").unlink()
    with pytest.raises(MirrorError, match="The catalogue is damaged"):
        mirror.mirror(filled)
    signed.publish({})
    answers = iter([before])
    monkeypatch.setattr(module, "timestamp", lambda layout: next(answers, None) or read(layout))
    mirror.mirror(filled)
    assert catalogue_in(in_bucket(filled)) == {}
    mirror.mirror(filled)
    assert reachable(bucket_of(filled))[TIMESTAMP] == read(filled.layout)


def test_a_timestamp_that_cannot_be_read_keeps_no_package_away(filled: Store, signed: SignedCatalogue) -> None:
    timestamp = signed.place / "metadata/timestamp.json"
    timestamp.unlink()
    timestamp.mkdir()
    with pytest.raises(MirrorError, match="is a directory"):
        mirror.mirror(filled)
    assert in_bucket(filled) == in_store(filled)
