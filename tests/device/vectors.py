"""Makes docs/vectors/: `python -m tests.device.vectors`. Every run makes the same bytes."""

import json
import shutil
import stat
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zipfile import ZipInfo

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from securesystemslib.signer import CryptoSigner

from mosis_device import document
from portal.packages import signature
from tests.device.shelf import ROTATED_KEY, Shelf, described_file, make_hostile, pin, rotation
from tests.packages.samples import KEY, manifest
from tests.support.catalogues import SignedCatalogue

VECTORS = Path(__file__).parents[2] / "docs/vectors"
EXPIRES = datetime(2030, 1, 31, tzinfo=UTC)  # of every timestamp: signed on the first of the month
NOW, LATER = "2030-01-02T00:00:00+00:00", "2030-03-01T00:00:00+00:00"
HELLO = [("lib/reader.txt", b"Hello\n")]
NAMES = ["\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645.txt", "\U0001f469\u200d\U0001f4bb.txt", "a\u00a0b"]
"""Persian with its joiner, an emoji of two, and a no-break space."""
SECRETS = [bytes(16), bytes(range(16)), bytes([255] * 16)]
Entries = list[tuple[ZipInfo | str, bytes]]
Case = dict[str, Any]


def signer(number: int) -> CryptoSigner:
    return CryptoSigner(Ed25519PrivateKey.from_private_bytes(bytes([number] * 32)))


class Maker:
    """One catalogue that grows, copied to a directory of its own at each stage."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.catalogue = SignedCatalogue(place / "growing", (signer(1), signer(2)), EXPIRES)
        self.shelf = Shelf(place / "growing", self.catalogue)

    def add(
        self, app: str, version_code: int = 1, entries: Entries = HELLO, key: Ed25519PrivateKey = KEY, *,
        keys: list[dict[str, Any]] | None = None, altered: Entries | None = None, **described: Any,
    ) -> None:  # fmt: skip
        """A version of the app org.example.APP; `altered` is what its package has in place of what was signed."""
        app_id, name = f"org.example.{app}", f"{version_code}.0.0"
        about = manifest(id=app_id, version_code=version_code, version_name=name, min_api=described.get("min_api"))
        path = self.shelf.package_path(version_code, app_id)
        statement = make_hostile(path, about, entries, key)
        signed = signature.sign(key, statement.encode())
        if altered is not None:
            make_hostile(path, about, altered, key, signed)
        release = described_file(path, self.shelf.place, about, statement, signed, key)
        self.shelf.describe(app_id, release | described, keys)

    def stage(self, name: str, *parts: str) -> Path:
        """Sign, and copy what is current of the metadata, and of these parts."""
        self.shelf.sign()
        made = self.place / name
        for part in parts:
            shutil.copytree(self.shelf.place / part, made / part)
        shutil.copytree(self.catalogue.place / "metadata", made / "catalogue/metadata")
        prune(made / "catalogue")
        return made


def prune(catalogue: Path) -> None:
    """Remove metadata and documents that newer ones replaced."""
    snapshot = max((catalogue / "metadata").glob("*.snapshot.json"))
    named = json.loads(snapshot.read_bytes())["signed"]["meta"]
    kept = {f"{file['version']}.{name}" for name, file in named.items()} | {snapshot.name, "timestamp.json"}
    documents: set[str] = set()
    for path in (catalogue / "metadata").iterdir():
        if path.name not in kept and not path.name.endswith(".root.json"):
            path.unlink()
        else:
            targets = json.loads(path.read_bytes())["signed"].get("targets", {})
            documents |= {f"{file['hashes']['sha256']}.{name.partition('/')[2]}" for name, file in targets.items()}
    for path in (catalogue / "targets/apps").glob("*"):
        if path.name not in documents:
            path.unlink()


def make(place: Path) -> None:
    """Write every file but README.md."""
    maker = Maker(place)
    _good(maker)
    (place / "root.json").write_bytes(maker.catalogue.first_root)
    _newer(maker)
    _bad(maker)
    shutil.rmtree(place / "growing")
    cases = {"cases": list(_cases()), "rollout": list(_rollout())}
    (place / "cases.json").write_text(json.dumps(cases, indent=1) + "\n")


def _good(maker: Maker) -> None:
    link = ZipInfo("lib/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    for app in ("reader", "rotated", "unproved", "recovered"):
        maker.add(app)
    maker.add("bad-signature", altered=[("lib/reader.txt", b"Hallo\n")])
    maker.add("other-key", key=ROTATED_KEY)
    maker.add("wrong-digest", sha256="0" * 64)
    maker.add("upwards", entries=[("../evil", b"")])
    maker.add("same-name", entries=[("lib/a", b"1"), ("LIB/a", b"2")])
    maker.add("link", entries=[(link, b"/etc/passwd")])
    maker.add("names", entries=[(name, b"") for name in NAMES])
    maker.add("hidden-name", entries=[("lib/a\u200b.txt", b"")])
    maker.add("joiners", entries=[(NAMES[0], b"1"), (NAMES[0].replace("\u200c", ""), b"2")])
    maker.add("levels", 1)
    maker.add("levels", 2, min_api=30)
    maker.add("staged", 1)
    maker.add("staged", 2, percent=0)
    maker.add("withdrawn")
    maker.shelf.documents["org.example.withdrawn"]["withdrawn"] = [{"version_code": 1, "reason": "It crashes."}]
    maker.stage("good", "packages", "catalogue/targets")


def _newer(maker: Maker) -> None:
    maker.add("reader", 2)
    maker.add("rotated", 2, key=ROTATED_KEY, keys=[pin(), rotation(2, app_id="org.example.rotated")])
    maker.add("unproved", 2, key=ROTATED_KEY, keys=[pin(), rotation(2, app_id="org.example.reader")])
    maker.add("recovered", 2, key=ROTATED_KEY, keys=[pin(), pin(ROTATED_KEY, "recovery", 2)])
    newer = maker.stage("newer", "packages", "catalogue/targets")
    for old in (newer / "packages").glob("*/*/1"):
        shutil.rmtree(old)
    mixed = maker.place / "mixed"
    shutil.copytree(newer / "catalogue/metadata", mixed / "catalogue/metadata")
    for new in (mixed / "catalogue/metadata").glob(f"{maker.catalogue.version}.[0-9]*.json"):
        shutil.copy(maker.place / "good/catalogue/metadata" / f"1.{new.name.partition('.')[2]}", new)


def _bad(maker: Maker) -> None:
    catalogue = maker.catalogue
    growing, aside = maker.shelf.place, maker.place / "aside"
    shutil.copytree(growing, aside)
    ours, catalogue.signer = catalogue.signer, signer(3)
    maker.stage("forged")
    catalogue.signer = ours
    shutil.rmtree(growing)
    aside.rename(growing)
    catalogue.rotate(signer(4))
    maker.stage("new-root")
    catalogue.root_signer = signer(5)
    catalogue.rotate()
    maker.stage("forged-root")


def _step(serve: str, **more: Any) -> Case:
    return {"serve": serve, "now": NOW, "app": "reader", **more}


def _cases() -> Iterator[Case]:
    """Each begins with a new device that trusts root.json, and takes its steps in order."""
    good, newer = _step("good", installed=1), _step("newer", installed=2)
    refused = {"forged": "forged", "mixed": "mixed", "forged-root": "forged"}
    yield {"case": "an installation and an update", "steps": [good, newer, _step("newer", current=2)]}
    yield {"case": "a catalogue from before", "steps": [newer, _step("good", refused="rolled-back")]}
    yield {"case": "an expired catalogue", "steps": [good, _step("newer", now=LATER, refused="expired")]}
    yield {"case": "no clock", "steps": [_step("good", now="1970-01-01T00:00:00+00:00", installed=1)]}
    for serve, reason in refused.items():
        yield {"case": f"catalogue: {serve}", "steps": [good, _step(serve, refused=reason)]}
    yield {"case": "a new root key", "steps": [newer, _step("new-root", current=2)]}
    for app, reason in {
        "bad-signature": "bad-signature", "other-key": "key-changed", "wrong-digest": "wrong-digest",
        "upwards": "bad-package", "same-name": "bad-package", "link": "bad-package", "hidden-name": "bad-package",
        "joiners": "bad-package", "withdrawn": "withdrawn",
        "unknown": "unknown-app",
    }.items():  # fmt: skip
        yield {"case": f"package: {app}", "steps": [_step("good", app=app, refused=reason)]}
    pinned = {app: _step("good", app=app, installed=1) for app in ("rotated", "unproved", "recovered")}
    accepted = pin(ROTATED_KEY)["key_id"]
    yield {"case": "package: names", "steps": [_step("good", app="names", installed=1)]}
    yield {"case": "a key that both keys agreed to", "steps": [pinned["rotated"], newer | {"app": "rotated"}]}
    yield {"case": "a key without proof",
           "steps": [pinned["unproved"], _step("newer", app="unproved", refused="key-changed")]}  # fmt: skip
    yield {"case": "a lost key", "steps": [
        pinned["recovered"], _step("newer", app="recovered", refused="key-changed"),
        _step("newer", app="recovered", accept_key=accepted, installed=2)]}  # fmt: skip
    yield {"case": "an old device", "steps": [_step("good", app="levels", api=29, installed=1)]}
    yield {"case": "a new device", "steps": [_step("good", app="levels", api=30, installed=2)]}
    yield {"case": "a staged rollout", "steps": [_step("good", app="staged", automatic=True, installed=1)]}
    yield {"case": "a person who asks", "steps": [_step("good", app="staged", installed=2)]}


def _rollout() -> Iterator[dict[str, Any]]:
    for secret in SECRETS:
        for version_code in (1, 2, 123456789):
            bucket = document.bucket(secret, "org.example.reader", version_code)
            admitted = [percent for percent in (0, 1, 10, 50, 99, 100) if bucket * 100 < percent << 64]
            yield {"secret": secret.hex(), "app_id": "org.example.reader", "version_code": version_code,
                   "bucket": f"{bucket:016x}", "admitted_at_percent": admitted}  # fmt: skip


if __name__ == "__main__":
    target = Path(sys.argv[1]) if sys.argv[1:] else VECTORS
    readme = (target / "README.md").read_bytes()
    shutil.rmtree(target)
    target.mkdir()
    make(target)
    (target / "README.md").write_bytes(readme)
