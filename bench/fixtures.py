"""What a benchmark stores: packages of 50 MB, an icon, an app that is published, a catalogue of many."""

import base64
import json
import os
import zipfile
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from PIL import Image

from portal.packages import build, signature
from portal.store import apps, assets, developers, files, keys, search, tokens, uploads, versions
from portal.store.audit import OPERATOR, Actor
from portal.store.files import Sink
from portal.store.store import Store

DEVELOPER = "acme"
APP = "org.acme.published"
UPLOADS_MAX = 16
PACKAGE_BYTES = 50_000_000
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
SOME_WORDS = ("alarm", "book", "chess", "diary", "egg", "flute", "garden", "harbour", "island", "jazz")


def upload_app(number: int) -> str:
    return f"org.acme.upload{number}"


def catalogue_app(number: int) -> str:
    return f"org.acme.app{number:06}"


def make_packages(directory: Path) -> None:
    """Signed packages that do not compress: one for the published app, one for each upload at a time."""
    directory.mkdir()
    content = os.urandom(PACKAGE_BYTES - 1000)
    for app_id in (APP, *map(upload_app, range(UPLOADS_MAX))):
        manifest = {"manifest_version": 1, "id": app_id, "name": app_id, "version_name": "1.0.0", "version_code": 1}
        with zipfile.ZipFile(package_in(directory, app_id), "w") as archive:
            archive.writestr("manifest.json", json.dumps(manifest))
            archive.writestr("data.bin", content)
        build.sign(package_in(directory, app_id), KEY)


def package_in(directory: Path, app_id: str) -> Path:
    return directory / f"{app_id}.mosis"


def fill(store: Store, packages: Path) -> str:
    """A developer whose token is returned, a published app with an icon, and apps to upload to."""
    actor = Actor(DEVELOPER, "admin", None, "bench")
    public = signature.raw_public_key(KEY)
    statement = signature.registration_statement(DEVELOPER, signature.key_id(public))
    with store.db.write() as tx:
        developers.add(tx, OPERATOR, DEVELOPER, "Acme")
        keys.register(tx, OPERATOR, DEVELOPER, base64.b64encode(public).decode(), signature.sign(KEY, statement))
        token = tokens.issue(tx, OPERATOR, DEVELOPER, "admin", 1)[1]
        for app_id in (APP, *map(upload_app, range(UPLOADS_MAX))):
            apps.add(tx, actor, app_id, app_id, "")
    app = apps.get(store.db.read(), APP)
    with uploads.receiving(store, app) as incoming:
        sink = Sink(incoming.package, store.settings.package_max_bytes)
        sink.write(package_in(packages, APP).read_bytes())
        uploads.complete(store, actor, incoming, sink.finish())
    for action in ("submit", "publish"):
        with store.db.write() as tx:
            versions.change(tx, actor, apps.get(tx, APP), 1, action)
    assets.put_icon(store, actor, app, {64: _icon(store.layout.area("temp") / "icon.png")})
    return token


def _icon(path: Path) -> bytes:
    """A PNG of 64 by 64 pixels and some 4 kB."""
    Image.frombytes("L", (64, 64), os.urandom(64 * 64)).save(path)
    return path.read_bytes()


def forget_uploads(store: Store) -> None:
    """Make room for the same packages again, and give back the disk and the memory that the last ones took."""
    for (upload_id,) in store.db.read().execute("SELECT upload_id FROM uploads").fetchall():
        files.discard(store.layout.staging(upload_id))
    with store.db.write() as tx:
        tx.execute("DELETE FROM uploads")
        tx.execute("DELETE FROM versions WHERE app_id LIKE 'org.acme.upload%'")
    for number in range(UPLOADS_MAX):
        files.discard(store.layout.package_directory(DEVELOPER, upload_app(number), 1))


def add_catalogue(store: Store, number: int, versions_each: int = 10) -> None:
    """So many published apps with so many versions each, as rows only."""
    row = dict(store.db.read().execute("SELECT * FROM versions WHERE app_id = ?", (APP,)).fetchone())
    fixed = {name: value for name, value in row.items() if name not in ("version_id", "app_id", "version_code")}
    columns = ", ".join(("version_id", "app_id", "version_code", *fixed))
    marks = ", ".join("?" * (3 + len(fixed)))
    with store.db.write() as tx:
        for app in range(number):
            app_id, words = catalogue_app(app), [SOME_WORDS[app // 10**digit % 10] for digit in range(4)]
            tx.execute(
                "INSERT INTO apps (app_id, developer_id, name, description, published_code, created_at, updated_at)"
                " VALUES (?, ?, ?, ?, ?, 0, 0)",
                (app_id, DEVELOPER, " ".join(words).title(), f"An app for {' and '.join(words)}.", versions_each),
            )
            tx.executemany(
                f"INSERT INTO versions ({columns}) VALUES ({marks})",
                [(f"{app_id}-{code}", app_id, code, *fixed.values()) for code in range(1, versions_each + 1)],
            )
        search.refresh(tx)
        tx.execute("ANALYZE")
