"""The document of an app (docs/device-protocol.md): what a device needs to choose a package and to verify it."""

import base64
import hashlib
import json
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from portal.catalogue.withdrawals import is_back
from portal.faults import Fault, sentence
from portal.packages import package as packages
from portal.packages import signature as signatures
from portal.packages.errors import PackageRejected
from portal.store import app_keys, apps, asset_rows, developers, keys, releases, tombstones, versions
from portal.store.app_keys import AppKey
from portal.store.clock import rfc3339
from portal.store.layout import Layout
from portal.store.versions import PlacedVersion

FORMAT = 1
CHANNEL = "stable"
SUMMARY_MAX = 200  # characters
YANKED = (
    f"SELECT {versions.COLUMNS} FROM versions WHERE app_id = ? AND {versions.PLACED} AND +status = 'yanked'"
    " ORDER BY version_code DESC"
)


Release = dict[str, object]
Entry = dict[str, object]


class DocumentError(Fault):
    """A package that a document has to describe is missing or damaged."""


@dataclass(frozen=True)
class Document:
    """`code` is the highest version code that devices may install, 0 if there is none; `fault` a sentence about a
    package that cannot be described.
    """

    code: int
    content: bytes
    fault: str = ""


class Author:
    """Makes documents."""

    def __init__(self, db: sqlite3.Connection, layout: Layout) -> None:
        self._db, self._layout = db, layout

    def document(self, app_id: str, before: bytes | None = None) -> Document | None:
        """The document of an app; None if nothing of it was ever published, or it was deleted.

        `before` is its document until now, which saves reading packages again, and has what a damaged one cannot say.
        Raises DocumentError if there is nothing to say.
        """
        if tombstones.has_app(self._db, app_id):
            return None
        current = releases.of_app(self._db, app_id)
        withdrawn = [PlacedVersion(*row) for row in self._db.execute(YANKED, (app_id,))]
        if not current and not withdrawn and not tombstones.of_versions(self._db, app_id):
            return None
        gone = self._withdrawn(app_id, withdrawn, before)
        described, faults = self._releases(current, gone.keys(), before)
        trusted, forgotten = self._trusted(app_id, before)
        app, pending = apps.get(self._db, app_id), app_keys.pending(self._db, app_id)
        found = {
            "format": FORMAT,
            "app_id": app_id,
            "name": app.name,
            "developer_id": app.developer_id,
            "developer": developers.get(self._db, app.developer_id).name,
            "summary": next(iter(app.description.strip().splitlines()), "")[:SUMMARY_MAX],
            "icons": list(self._icons(app_id)),
            "signing": {
                "keys": trusted,
                "pending_recovery": _key(pending) if pending else None,
            },
            "releases": described,
            "withdrawn": [gone[code] for code in sorted(gone, reverse=True)],
            "deltas": [],
        }
        content = json.dumps(found, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        code = max((int(str(release["version_code"])) for release in described), default=0)
        return Document(code, content.encode(), next(iter(faults + forgotten), ""))

    def _trusted(self, app_id: str, before: bytes | None) -> tuple[list[Entry], list[str]]:
        """The keys, and what the database, put back from an earlier time, does not know of them: devices do."""
        here = [_key(key) for key in app_keys.history(self._db, app_id)]
        known: list[Entry] = json.loads(before)["signing"]["keys"] if before else []
        both = [*zip(here, known, strict=False)]
        if any(_identity(key) != _identity(earlier) for key, earlier in both):
            return here, []
        revoked = [earlier for key, earlier in both if earlier.get("revoked_at") and not key["revoked_at"]]
        for key, earlier in both:
            key["revoked_at"] = earlier.get("revoked_at") or key["revoked_at"]  # it may have been revoked again
        lost = known[len(here) :]
        return [*here, *lost], [
            *(
                f"The database, perhaps an older copy, does not know the {key['kind']} of {app_id} to the key"
                f" {key['key_id']} from version {key['from_version_code']}, which devices know: repeat it."
                for key in lost
            ),
            *(
                f"The key {key['key_id']} of {app_id} was revoked, which this database, perhaps an older copy, does"
                " not know: revoke it again."
                for key in revoked
            ),
        ]

    def _withdrawn(self, app_id: str, yanked: Sequence[PlacedVersion], before: bytes | None) -> dict[int, Entry]:
        """By version code. What was withdrawn stays so, even if an older database was put back, until an unyank."""
        known: list[Entry] = json.loads(before)["withdrawn"] if before else []
        found = {int(str(one["version_code"])): one for one in known if not is_back(self._db, app_id, one)}
        deleted = {
            code: {"version_code": code, "reason": reason}
            for code, reason in tombstones.of_versions(self._db, app_id).items()
        }
        return found | deleted | {version.version_code: _withdrawal(version) for version in yanked}

    def _releases(
        self, current: Sequence[PlacedVersion], withdrawn: Collection[int], before: bytes | None
    ) -> tuple[list[Release], list[str]]:
        """The releases, and what is wrong with packages: then those of `before` stay, but for withdrawn ones."""
        known: list[Release] = json.loads(before)["releases"] if before else []
        statements = {str(release["sha256"]): str(release["statement_sha256"]) for release in known}
        described: dict[object, Release] = {}
        faults: list[str] = []
        for version in current:
            if version.version_code in withdrawn:
                faults.append(
                    f"{version.app_id} {version.version_code} was yanked, and this database, perhaps from before that,"
                    " has it as published: yank it again."
                )
                continue
            try:
                described[version.version_code] = self._release(version, statements)
            except DocumentError as error:
                faults.append(sentence(error))
                if before is None:
                    raise
        if faults:
            stay = {release["version_code"]: release for release in known if release["version_code"] not in withdrawn}
            described = stay | described
        return sorted(described.values(), key=lambda release: -int(str(release["version_code"]))), faults

    def _release(self, version: PlacedVersion, known: Mapping[str, str]) -> Release:
        manifest = json.loads(version.manifest)
        path = self._layout.package(version.developer_id, version.app_id, version.version_code)
        self._require(version, path)
        below = f"{version.developer_id}/{version.app_id}/{version.version_code}/{path.name}"
        return {
            "version_code": version.version_code,
            "version_name": version.version_name,
            "channel": CHANNEL,
            "percent": 100,
            "critical": False,
            "min_api": manifest.get("min_api"),
            "permissions": manifest.get("permissions", []),
            "size": version.size,
            "sha256": version.sha256,
            "statement_sha256": known.get(version.sha256) or self._statement(version, path),
            "signature": version.signature,
            "key_id": version.key_id,
            "paths": [f"packages/{below}", f"downloads/{below}"],
            "published_at": rfc3339(version.published_at or 0),
            "changelog": manifest.get("changelog"),
        }

    def _require(self, version: PlacedVersion, path: Path) -> None:
        try:
            size = path.stat().st_size
        except FileNotFoundError:
            size = None
        if size != version.size:
            what = "is missing" if size is None else f"has {size} bytes instead of {version.size}"
            raise DocumentError(f"{path} {what}: run `mosis scrub --repair`.")

    def _statement(self, version: PlacedVersion, path: Path) -> str:
        try:
            statement = packages.accepted_statement(path)
            signatures.verify(keys.get(self._db, version.key_id).public_key, version.signature, statement)
        except PackageRejected as error:
            raise DocumentError(f"{path} is damaged: run `mosis scrub --repair`. {sentence(error)}") from None
        return hashlib.sha256(statement).hexdigest()

    def _icons(self, app_id: str) -> Iterator[dict[str, object]]:
        icons = [asset for asset in asset_rows.of_app(self._db, app_id) if asset.name.startswith("icon-")]
        for size, icon in sorted((int(icon.name[len("icon-") : -len(".png")]), icon) for icon in icons):
            path = self._layout.image(app_id, icon.name, icon.sha256).relative_to(self._layout.root)
            yield {"size": size, "paths": [str(path)], "sha256": icon.sha256, "bytes": icon.size}


def _withdrawal(version: PlacedVersion) -> Entry:
    return {
        "version_code": version.version_code,
        "reason": " ".join(json.loads(version.reasons)),
        "yanked_at": rfc3339(version.status_at),
    }


def _identity(entry: Entry) -> tuple[object, ...]:
    """What devices compare."""
    return entry["kind"], entry["key_id"], entry["from_version_code"]


def _key(key: AppKey) -> Entry:
    return {
        "kind": key.kind,
        "key_id": key.key_id,
        "public_key": base64.b64encode(key.public_key).decode(),
        "from_version_code": key.from_version_code,
        "effective_at": rfc3339(key.effective_at),
        "reason": key.reason,
        "old_signature": key.old_signature,
        "new_signature": key.new_signature,
        "revoked_at": None if key.revoked_at is None else rfc3339(key.revoked_at),
    }
