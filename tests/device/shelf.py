"""The files of a store as a CDN has them, made without a store, and servers that bring them, well or badly."""

import base64
import gzip
import hashlib
import json
import re
import shutil
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from zipfile import ZipFile, ZipInfo

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from portal.packages import build, package, signature
from tests.packages.samples import APP_ID, KEY, manifest
from tests.support.catalogues import SignedCatalogue

ROTATED_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
FILES = {"lib/reader.txt": b"Hello\n", "bin/reader": b"#!/bin/sh\necho reader\n"}


def pin(key: Ed25519PrivateKey = KEY, kind: str = "pin", from_version_code: int = 1) -> dict[str, Any]:
    """An entry of `signing.keys`."""
    public_key = signature.raw_public_key(key)
    return {
        "kind": kind, "key_id": signature.key_id(public_key), "public_key": base64.b64encode(public_key).decode(),
        "from_version_code": from_version_code, "effective_at": "2026-01-01T00:00:00Z", "reason": "",
        "old_signature": None, "new_signature": None,
    }  # fmt: skip


def rotation(
    from_version_code: int, old: Ed25519PrivateKey = KEY, new: Ed25519PrivateKey = ROTATED_KEY, app_id: str = APP_ID
) -> dict[str, Any]:
    """A key that the old one and the new one agreed to."""
    entry = pin(new, "rotation", from_version_code)
    statement = signature.rotation_statement(app_id, pin(old)["key_id"], entry["key_id"], from_version_code)
    return entry | {"old_signature": signature.sign(old, statement), "new_signature": signature.sign(new, statement)}


class Shelf:
    """A directory with a signed catalogue, packages and nothing else."""

    def __init__(self, place: Path, catalogue: SignedCatalogue | None = None) -> None:
        self.place = place
        self.catalogue = catalogue or SignedCatalogue(place)
        self.documents: dict[str, dict[str, Any]] = {}

    def publish(
        self, version_code: int = 1, *, app_id: str = APP_ID, key: Ed25519PrivateKey = KEY,
        files: dict[str, bytes] = FILES, change: Callable[[Path], None] = lambda path: None,
        keys: list[dict[str, Any]] | None = None, **release: Any,
    ) -> dict[str, Any]:  # fmt: skip
        """Put a version on the shelf and sign the catalogue; `change` may damage the package before it is hashed."""
        path = self.package_path(version_code, app_id)
        name = f"{version_code}.0.0"
        about = manifest(id=app_id, version_code=version_code, version_name=name, min_api=release.get("min_api"))
        made = make_package(path, about, files, key)
        change(path)
        described = described_file(path, self.place, about, made.statement.decode(), made.signature, key)
        document = self.describe(app_id, described | release, keys)
        self.sign()
        return document

    def describe(
        self, app_id: str, release: dict[str, Any], keys: list[dict[str, Any]] | None = None
    ) -> dict[str, Any]:  # fmt: skip
        """Put a release into the document of the app, which is not signed yet."""
        document = self.documents.setdefault(app_id, new_document(app_id))
        document["signing"]["keys"] = keys or document["signing"]["keys"]
        document["releases"].append(release)
        document["releases"].sort(key=lambda described: -described["version_code"])
        return document

    def sign(self) -> None:
        """Sign the documents as they are now."""
        self.catalogue.publish(self.documents)

    def package_path(self, version_code: int, app_id: str = APP_ID) -> Path:
        return self.place / f"packages/acme/{app_id}/{version_code}/package.mosis"

    def copy(self, place: Path) -> Path:
        """Copy the files to another place, as they are now."""
        return Path(shutil.copytree(self.place, place))


def new_document(app_id: str) -> dict[str, Any]:
    return {
        "format": 1, "app_id": app_id, "name": "Reader", "developer_id": "acme", "developer": "Acme", "summary": "",
        "icons": [], "signing": {"keys": [pin()], "pending_recovery": None}, "releases": [], "withdrawn": [],
        "deltas": [],
    }  # fmt: skip


def make_package(
    path: Path, described_by: dict[str, object], files: dict[str, bytes], key: Ed25519PrivateKey
) -> package.Package:  # fmt: skip
    """A package as `mosis pack` and `mosis sign` make it; what is below `bin/` is executable."""
    source = path.with_suffix(".source")
    for name, content in {"manifest.json": json.dumps(described_by).encode(), **files}.items():
        file = source / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        file.chmod(0o755 if name.startswith("bin/") else 0o644)
    build.pack(source, path)
    made = build.sign(path, key)
    shutil.rmtree(source)
    return made


def make_hostile(
    path: Path, described_by: dict[str, Any], entries: list[tuple[ZipInfo | str, bytes]], key: Ed25519PrivateKey = KEY,
    signed: str | None = None,
) -> str:  # fmt: skip
    """A signed archive of any entries, which a store might not take; every run makes the same. Its statement."""
    contents = [("manifest.json", json.dumps(described_by).encode()), *entries]
    infos = [(name if isinstance(name, ZipInfo) else ZipInfo(name), content) for name, content in contents]
    statement = signature.statement(
        described_by["id"], described_by["version_name"], described_by["version_code"],
        [signature.ContentDigest(info.filename, len(content), hashlib.sha256(content).hexdigest())
         for info, content in infos],
    )  # fmt: skip
    file = signature.SignatureFile(
        alg="ed25519", key_id=pin(key)["key_id"], signature=signed or signature.sign(key, statement)
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with ZipFile(path, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a name that occurs twice
        for info, content in [*infos, (ZipInfo(signature.PATH), file.to_json())]:
            archive.writestr(info, content)
    return statement.decode()


def described_file(
    path: Path, place: Path, about: dict[str, Any], statement: str, signed: str, key: Ed25519PrivateKey
) -> dict[str, Any]:
    """The release of a package file."""
    below = path.relative_to(place).as_posix()
    return {
        "version_code": about["version_code"], "version_name": about["version_name"], "channel": "stable",
        "percent": 100, "critical": False, "min_api": about.get("min_api"), "permissions": [],
        "size": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "statement_sha256": hashlib.sha256(statement.encode()).hexdigest(), "signature": signed,
        "key_id": pin(key)["key_id"], "paths": [below, below.replace("packages/", "downloads/", 1)],
        "published_at": "2026-01-01T00:00:00Z", "changelog": None,
    }  # fmt: skip


@dataclass
class Copy:
    """A server of a directory: ranges, strong entity tags, gzip, and what goes wrong with it."""

    root: Path
    url: str = ""
    cuts: list[int] = field(default_factory=list)
    """Bytes of a package after which the connection ends, one per request."""
    status: int | None = None
    """Every request is answered with it."""
    etag: str | None = None
    shift: int = 0
    """Ranges begin so many bytes later than asked for."""
    redirects: str | None = None
    """The base where packages are."""
    drips: bool = False
    """Every body is endless, a byte at a time."""
    endless: bytes = b""
    """Sent again and again, after `begin`, instead of every answer."""
    begin: bytes = b""
    before: Callable[[str], None] = lambda path: None
    requests: list[str] = field(default_factory=list)
    ranges: list[tuple[str | None, str | None]] = field(default_factory=list)
    """`Range` and `If-Range` of each request for a package."""
    sent: int = 0
    """Bytes of bodies."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        pass  # a client may go at any time


@contextmanager
def serving(root: Path, **faults: Any) -> Iterator[Copy]:
    """Serve a directory on a port of the loopback."""
    copy = Copy(root, **faults)

    class Handler(_Handler):
        served = copy

    server = _Server(("127.0.0.1", 0), Handler)
    copy.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield copy
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    served: Copy

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        copy, path = self.served, self.path
        copy.requests.append(path)
        copy.before(path)
        file = copy.root / path.lstrip("/")
        if copy.endless:
            self._never_end(copy.begin, copy.endless)
        elif copy.drips:
            self._drip()
        elif copy.status is not None or not file.is_file():
            self._answer(copy.status or 404, b"no", {"Retry-After": "2"} if copy.status == 503 else {})
        elif copy.redirects and path.endswith(".mosis"):
            self._answer(302, b"", {"Location": copy.redirects + path})
        elif path.endswith(".mosis"):
            self._package(file.read_bytes())
        else:
            self._json(file.read_bytes())

    def _never_end(self, begin: bytes, endless: bytes) -> None:
        self.close_connection = True
        with suppress(OSError):  # the client has gone
            self.wfile.write(begin)
            while True:
                self.wfile.write(endless)
                time.sleep(0.05)

    def _drip(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000000000")
        self.end_headers()
        with suppress(OSError):  # the client has gone
            while True:
                self.wfile.write(b" ")
                time.sleep(0.05)

    def _json(self, content: bytes) -> None:
        if "gzip" in self.headers.get("Accept-Encoding", ""):
            self._answer(200, gzip.compress(content, mtime=0), {"Content-Encoding": "gzip"})
        else:
            self._answer(200, content)

    def _package(self, content: bytes) -> None:
        copy, wanted, condition = self.served, self.headers.get("Range"), self.headers.get("If-Range")
        copy.ranges.append((wanted, condition))
        etag = f'"{len(content)}"' if copy.etag is None else copy.etag
        fields = {"ETag": etag} if etag else {}
        start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1]) if wanted and condition == etag else 0
        if start:
            start += copy.shift
            fields["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self._answer(206 if start else 200, content[start:], fields, cut=copy.cuts.pop(0) if copy.cuts else None)

    def _answer(self, status: int, body: bytes, fields: dict[str, str] | None = None, cut: int | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(fields or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.served.sent += len(body[:cut])
        self.wfile.write(body[:cut])
        self.close_connection |= cut is not None
