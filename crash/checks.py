"""What a store must look like after a crash: over HTTP, in its database, in its directories, in its replica."""

import base64
import json
import re
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from crash import content
from crash.clients import JSON, TUS
from crash.facts import CHANGED, DELETED, REJECTED, App, Facts, Placed, Upload
from crash.http import Answer, Client
from portal.images.dimensions import ICON_SIZES
from portal.recovery.copies import discard, from_replica
from portal.recovery.errors import BackupError
from portal.store import audit
from portal.store.layout import PROPOSED, Layout, image_name

SWEEP_SECONDS = 5.0  # in which a start has finished or undone what a crash left
REPLICA_SECONDS = 90.0  # in which the replica has the last change, whatever had to be healed
ABSENT = {404: "NOT_FOUND", 410: "YANKED"}
IMAGES = (*(f"icon-{edge}.png" for edge in ICON_SIZES), *(f"screenshots/{number}.png" for number in range(1, 6)))
PROOF = "replica-proof"  # below temp/, of `mosis replicate`, which may be at it
PARTIAL = re.compile(r"(temp|data)/\..+\.[0-9]+\.[0-9a-f]{8}")
STORED_IMAGE = re.compile(r"(?P<stem>.+?)(\.(?P<digest>[0-9a-f]{16}))?\.png")
IMAGE_ROWS = (
    "SELECT app_id, name, sha256 FROM assets"
    f" UNION ALL SELECT app_id, '{PROPOSED}' || name, sha256 FROM proposed_assets WHERE sha256 <> ''"
)

Fault = tuple[str, str]
"""Kind and detail."""


def observe(client: Client, app: App) -> tuple[Facts, list[Fault]]:
    """The facts of an app as the store shows them to its owner, and images that are not what they claim to be."""
    seen: Facts = {}
    for version in versions(client, app.app_id):
        if version["version_code"] is not None:
            seen[f"version {version['version_code']}"] = Placed(version["status"], version["sha256"])
    shown = client.insist("GET", f"/api/store/apps/{app.app_id}")
    seen["current"] = json.loads(shown.body)["version_code"] if shown.status == 200 else None
    faults = []
    for name in IMAGES:
        digest, fault = fetch(client.insist, f"/assets/{app.app_id}/{name}")
        seen[name] = digest
        faults += [fault] if fault else []
    images = json.loads(client.insist("GET", f"/api/apps/{app.app_id}/images").body)
    seen[REJECTED] = images["reason"] or None
    after, public = ({image["name"]: image["sha256"] for image in images[kind]} for kind in ("assets", "published"))
    for name in {name for name, _ in after.items() ^ public.items()}:
        seen[CHANGED + name] = DELETED
        if name in after:
            seen[CHANGED + name], fault = fetch(client.insist, f"/assets/{app.app_id}/{image_name(name, after[name])}")
            faults += [fault] if fault else []
    return seen, faults


def versions(client: Client, app_id: str) -> Iterator[dict[str, Any]]:
    """All pages of the list."""
    cursor = ""
    while cursor is not None:
        page = json.loads(client.insist("GET", f"/api/apps/{app_id}/versions?cursor={cursor}").body)
        yield from page["versions"]
        cursor = page["cursor"]


def fetch(ask: Callable[[str, str], Answer], path: str) -> tuple[str | None, Fault | None]:
    """The SHA-256 of the body, None where there is none, and the fault if the header fields do not describe it."""
    answer = ask("GET", path)
    if answer.status in ABSENT and json.loads(answer.body)["code"] == ABSENT[answer.status]:
        return None, None
    found = content.sha256(answer.body)
    digest = f"sha-256=:{base64.b64encode(bytes.fromhex(found)).decode()}:"
    claimed = answer.headers.get("ETag"), answer.headers.get("Repr-Digest")
    if answer.status != 200:
        return None, ("partial visible", f"GET {path}: {answer.status} {answer.body[:200]!r}")
    if claimed != (f'"{found}"', digest):
        return found, ("partial visible", f"GET {path}: the body has SHA-256 {found}, its fields say {claimed}")
    return found, None


def packages(client: Client, developer: str, app: App, names: Iterable[str]) -> Iterator[Fault]:
    """Downloads versions, which must be byte for byte what was acknowledged."""
    for name in names:
        value = app.facts.get(name)
        if not isinstance(value, Placed):
            continue
        path = f"/downloads/{developer}/{app.app_id}/{name.removeprefix('version ')}/package.mosis"
        found, fault = fetch(client.insist, path)
        if fault:
            yield fault
        elif found != value.sha256:
            yield "lost", f"GET {path}: SHA-256 {found}, acknowledged {value.sha256}"


def resume(client: Client, app: App) -> Iterator[Fault]:
    """Asks for every open upload, and completes those that may have been completed when the store died."""
    for upload in list(app.uploads.values()):
        if upload.completing:
            yield from finish(client, app, upload)
            continue
        answer = client.insist("HEAD", upload.url, headers=TUS)
        offset = int(answer.headers.get("Upload-Offset", -1))
        if answer.status != 200 or not upload.acknowledged <= offset <= len(upload.data):
            del app.uploads[upload.upload_id]
            yield "lost", f"upload {upload.upload_id}: {answer.status}, offset {offset} of {upload.acknowledged}"
        else:
            upload.acknowledged = offset if upload.tus or offset == len(upload.data) else 0


def finish(client: Client, app: App, upload: Upload) -> Iterator[Fault]:
    """Sends what is missing of an upload and completes it."""
    del app.uploads[upload.upload_id]
    if not upload.whole:
        client.insist("PUT", upload.url, upload.data, {"Content-Type": "application/octet-stream"})
    answer = client.insist("POST", f"/api/uploads/{upload.upload_id}/complete", b"", JSON)
    if answer.status == 201:
        name = f"version {upload.code}"
        app.facts.setdefault(name, Placed("draft", content.sha256(upload.data)))
        app.changed.add(name)
    else:
        yield "lost", f"upload {upload.upload_id}: whole, but to complete it: {answer.status} {answer.body[:200]!r}"


def leftovers(layout: Layout, known: set[str]) -> set[str]:
    """Paths that nothing owns, beyond the `known` ones; waits a while until there are none."""
    deadline = time.monotonic() + SWEEP_SECONDS
    while found := {path for path in _unowned(layout) if not PARTIAL.fullmatch(path)} - known:
        if time.monotonic() > deadline:
            return found
        time.sleep(0.2)
    return set()


def partial(layout: Layout) -> list[Path]:
    """Files that a process was writing beside their place. Only their age tells that it does not write any more."""
    return [layout.root / path for path in _unowned(layout) if PARTIAL.fullmatch(path)]


def _unowned(layout: Layout) -> Iterator[str]:
    with closing(_read_only(layout.database)) as db:
        owned = {row[0] for row in db.execute("SELECT upload_id FROM uploads")} | {PROOF}
        placed = {
            f"{row[0]}/{row[1]}/{row[2]}"
            for row in db.execute(
                "SELECT developer_id, app_id, version_code FROM versions WHERE status NOT IN ('uploading', 'failed')"
            )
        }
        images = {f"{row[0]}/{row[1]}": row[2] for row in db.execute(IMAGE_ROWS)}
    yield from (f"temp/{path.name}" for path in layout.area("temp").iterdir() if path.name not in owned)
    for directory in layout.area("packages").glob("*/*/*"):
        name = directory.relative_to(layout.area("packages")).as_posix()
        if directory.is_dir() and name not in placed:
            yield f"packages/{name}"
    for path in layout.area("assets").rglob("*.png"):
        name = path.relative_to(layout.area("assets")).as_posix()
        match = STORED_IMAGE.fullmatch(name)
        row = images.get(f"{match['stem']}.png") if match else None
        if match is None or row is None or not row.startswith(match["digest"] or ""):
            yield f"assets/{name}"
    for area in ("packages", "assets", "temp", "secrets", "backups/snapshots"):
        yield from (str(path.relative_to(layout.root)) for path in (layout.root / area).rglob(".*"))
    yield from (f"data/{path.name}" for path in (layout.root / "data").glob(".*") if "litestream" not in path.name)


def database(layout: Layout) -> Iterator[Fault]:
    """SQLite's own check, foreign keys, and the chain of the audit log."""
    with closing(_read_only(layout.database)) as db:
        if (found := db.execute("PRAGMA integrity_check").fetchone()[0]) != "ok":
            yield "database", f"integrity_check: {found}"
        if rows := db.execute("PRAGMA foreign_key_check").fetchall():
            yield "database", f"foreign_key_check: {len(rows)} rows"
        if (row := audit.first_fault(db)) is not None:
            yield "audit log", f"row {row} is missing or changed"


def replica(layout: Layout, scratch: Path, supervise: Callable[[], object]) -> Iterator[Fault]:
    """The replica must restore to the store's own audit head; asked until it does, or time is over.

    `supervise` starts what has ended meanwhile, as a host does.
    """
    with closing(_read_only(layout.database)) as db:
        head = audit.head(db)
    deadline, fault = time.monotonic() + REPLICA_SECONDS, ""
    target = scratch / "replica.db"
    while time.monotonic() < deadline:
        try:
            discard(target)
            from_replica(layout.replica, target)
            with closing(_read_only(target)) as copy:
                whole, found = copy.execute("PRAGMA integrity_check").fetchone()[0], audit.head(copy)
            if whole == "ok" and found == head:
                return
            fault = f"integrity_check {whole[:200]}, audit head {found.seq} of {head.seq}"
        except (BackupError, sqlite3.Error, subprocess.SubprocessError) as error:
            fault = str(error)[-300:]
        supervise()
        time.sleep(0.2)
    yield "replica", fault


def _read_only(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=30)
    connection.row_factory = sqlite3.Row
    return connection
