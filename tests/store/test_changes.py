"""What a reviewer sees of a version against the published one."""

import json
import zipfile
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from portal.packages import build
from portal.store import app_keys, apps, changes, keys, uploads, versions
from portal.store.clock import now
from portal.store.errors import Refused
from portal.store.files import Received, digest
from portal.store.store import Store
from portal.store.versions import PlacedVersion
from tests.packages.samples import APP_ID, KEY, manifest
from tests.support.portal import add_developer, registration
from tests.support.publishing import OWNER, add_app, change


def upload(
    store: Store, code: int, contents: dict[str, bytes], key: Ed25519PrivateKey = KEY, **described: object
) -> PlacedVersion:
    with uploads.receiving(store, apps.get(store.db.read(), APP_ID)) as incoming:
        with zipfile.ZipFile(incoming.package, "w") as archive:
            archive.writestr("manifest.json", json.dumps(manifest(id=APP_ID, version_code=code, **described)))
            for name, content in contents.items():
                archive.writestr(name, content)
        build.sign(incoming.package, key)
        received = Received(incoming.package.stat().st_size, digest(incoming.package))
        return uploads.complete(store, OWNER, incoming, received)


@pytest.fixture
def published(store: Store) -> Store:
    add_developer(store, "acme")
    add_app(store, APP_ID)
    upload(store, 1, {"a.txt": b"a", "b.txt": b"old", "c.txt": b"same"}, permissions=["camera"], author="Ann")
    for action in ("submit", "publish"):
        change(store, APP_ID, 1, action)
    return store


def test_files_are_told_apart_by_their_digests(published: Store) -> None:
    version = upload(published, 2, {"b.txt": b"new", "c.txt": b"same", "d.txt": b"four"})
    found = changes.files(published, version, changes.overview(published.db.read(), version).published)
    assert [(file.path, file.size) for file in found.added] == [("d.txt", 4)]
    assert [(file.path, file.size_before) for file in found.removed] == [("a.txt", 1)]
    assert [file.path for file in found.changed] == ["b.txt", "manifest.json"]
    assert found.numbers == {"added": 1, "removed": 1, "changed": 2}


def test_permissions_size_and_members_of_the_manifest(published: Store) -> None:
    version = upload(published, 2, {"a.txt": b"a"}, permissions=["camera", "location"], license="MIT")
    found = changes.overview(published.db.read(), version)
    assert found.published == versions.get(published.db.read(), APP_ID, 1)
    assert (found.new_permissions, found.key) == (["location"], "same")
    assert found.size_change == version.size - found.published.size
    members = {one.name: (one.before, one.after) for one in changes.members(version, found.published)}
    assert members == {
        "author": ("Ann", None), "license": (None, "MIT"), "permissions": (["camera"], ["camera", "location"]),
    }  # fmt: skip


def test_of_the_first_version_everything_is_new(store: Store) -> None:
    add_developer(store, "acme")
    add_app(store, APP_ID)
    version = upload(store, 1, {"a.txt": b"a"}, permissions=["camera"])
    found = changes.overview(store.db.read(), version)
    assert (found.published, found.size_change, found.new_permissions, found.key) == (None, None, ["camera"], "first")
    assert [file.path for file in changes.files(store, version, None).added] == ["a.txt", "manifest.json"]


def test_a_key_that_is_replaced_before_the_review_shows(published: Store) -> None:
    other = Ed25519PrivateKey.generate()
    version = upload(published, 2, {"a.txt": b"a"})
    with published.db.write() as tx:
        key = keys.register(tx, OWNER, "acme", **registration("acme", other))
        app_keys.add(tx, APP_ID, "recovery", key.key_id, 1, now())
    assert changes.overview(published.db.read(), version).key == "other"


def test_a_package_that_is_damaged_says_so(published: Store) -> None:
    version = upload(published, 2, {"a.txt": b"a"})
    path: Path = published.layout.package("acme", APP_ID, 2)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(Refused, match="cannot be read"):
        changes.files(published, version, None)
