"""Unpacking a package: what is written to the disk is what is hashed, and what the developer's signature covers."""

import errno
import hashlib
import json
import os
import stat
import unicodedata
import zlib
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from typing import Any, NoReturn
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from cryptography.exceptions import InvalidSignature

from mosis_device import keys
from mosis_device.document import Release
from mosis_device.fetch import CHUNK, Bounds
from mosis_device.refusals import Refused

SIGNATURE = "META-INF/mosis.sig"
MANIFEST = "manifest.json"
FORBIDDEN = frozenset('\\<>:"|?*')
INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})  # categories: controls, formats, separators of lines
JOINERS = "\u200c\u200d"  # which scripts and emoji need; some file systems ignore them
DEEPEST, LONGEST = 32, 512  # components, bytes
END = Struct("<4s4H2LH")  # the end record: signature, disks, entries twice, size and offset of the directory, comment
ENTRY_MAX = 46 + 2 * LONGEST + 128  # bytes in the directory: what is fixed, the path, extra fields, the path again
DAMAGED = (BadZipFile, zlib.error, EOFError, RuntimeError, ValueError, FileNotFoundError, IsADirectoryError)


@dataclass(frozen=True)
class Content:
    """The manifest and the signature file of an unpacked package, and the lines of its statement."""

    manifest: dict[str, Any]
    signature: dict[str, Any]
    lines: bytes

    @property
    def statement(self) -> bytes:
        """What a signature of this content signs."""
        identity = (self.manifest["id"], self.manifest["version_name"], self.manifest["version_code"])
        return "MOSIS-PACKAGE-V1\n{}\n{}\n{}\n".format(*identity).encode() + self.lines


def unpack(package: Path, target: Path, bounds: Bounds) -> Content:
    """Write the files of `package` below the new directory `target`. Raises Refused, OSError."""
    try:
        _require_small_directory(package, bounds)
        with ZipFile(package) as archive:
            entries = archive.infolist()
            _check(entries, bounds)
            target.mkdir(parents=True)
            written = {entry.filename: _write(archive, entry, target) for entry in entries}
        manifest, signature = (json.loads((target / name).read_bytes()) for name in (MANIFEST, SIGNATURE))
    except DAMAGED as error:
        _refuse(f"it is damaged ({error})")
    except OSError as error:
        if error.errno == errno.EINVAL:  # zipfile went to where the file says, which is before it begins
            _refuse(f"it is damaged ({error})")
        raise
    del written[SIGNATURE]
    lines = b"".join(written[name] for name in sorted(written, key=str.encode))
    if not isinstance(manifest, dict) or not isinstance(signature, dict):
        _refuse("its manifest or its signature is not an object of JSON")
    return Content(manifest, signature, lines)


def verify(content: Content, app_id: str, release: Release, public_key: bytes) -> None:
    """Check that the content is this release, signed with this key. Raises Refused."""
    manifest, signature = content.manifest, content.signature
    named = {"id": app_id, **{name: getattr(release, name) for name in ("version_code", "version_name", "min_api")}}
    for name, value in named.items():
        if manifest.get(name) != value:
            _refuse(f"its manifest says {name} {manifest.get(name)!r}, the catalogue {value!r}")
    if not signature.get("key_id") == release.key_id == keys.key_id(public_key):
        raise Refused("key-changed", f"The package is signed with key {signature.get('key_id')}, which this device has"
                      f" no proof for; it trusts {keys.key_id(public_key)}.")  # fmt: skip
    try:
        keys.verify(public_key, str(signature.get("signature")), content.statement)
    except (InvalidSignature, ValueError, KeyError):
        raise Refused("bad-signature", "The content of the package is not what its developer signed.") from None
    if hashlib.sha256(content.statement).hexdigest() != release.statement_sha256:
        raise Refused("bad-signature", "The developer signed this content, but the catalogue names another.")


def _refuse(what: str) -> NoReturn:
    raise Refused("bad-package", f"The package is not installed: {what}.")


def _require_small_directory(package: Path, bounds: Bounds) -> None:
    """Refuse a directory of more entries than may be written: zipfile reads all of it into memory.

    By its size, since zipfile goes by that, and from an end record at the very end, as every package has it.
    """
    with package.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - END.size))
        end = file.read(END.size)
    if len(end) < END.size or not end.startswith(b"PK\5\6"):
        _refuse("it is damaged (no end record)")
    directory, start = END.unpack(end)[5:7]
    if directory > bounds.entries * ENTRY_MAX:
        _refuse("it unpacks to more than this device takes")
    if start + directory + END.size != size:  # a ZIP64 record in between names another directory
        _refuse("it is damaged (its directory does not end with the file)")


def _check(entries: list[ZipInfo], bounds: Bounds) -> None:
    """Refuse what would leave the directory, write a file twice, or fill the disk."""
    if len(entries) > bounds.entries or sum(entry.file_size for entry in entries) > bounds.unpacked:
        _refuse("it unpacks to more than this device takes")
    seen: dict[str, tuple[str, bool]] = {}  # by what a file system that ignores case takes for the same
    listed: set[str] = set()
    for entry in entries:
        if fault := _fault(entry):
            _refuse(f"{entry.filename!r} {fault}")
        components = entry.filename.removesuffix("/").split("/")
        folded = ""
        for depth, component in enumerate(components, start=1):
            path = "/".join(components[:depth])
            folded += "/" + _folded(component)  # once: a whole path would be folded at each of its directories
            node = (path, entry.is_dir() or depth < len(components))
            if seen.setdefault(folded, node) != node:
                _refuse(f"{path!r} and {seen[folded][0]!r} would be the same file")
        if entry.filename in listed:
            _refuse(f"{entry.filename!r} is there twice")
        listed.add(entry.filename)


def _fault(entry: ZipInfo) -> str | None:
    name, kind = entry.filename, stat.S_IFMT(entry.external_attr >> 16)
    components = name.removesuffix("/").split("/")
    if name != entry.orig_filename or any(map(_is_invisible, name)) or FORBIDDEN & {*name}:
        return "has characters that no path may have"
    if any(component in ("", ".", "..") for component in components):
        return "leads out of its directory"
    if len(components) > DEEPEST or len(name.encode()) > LONGEST:
        return "is too long a path"
    if kind not in (0, stat.S_IFDIR if entry.is_dir() else stat.S_IFREG):
        return "is a link or a device"
    if entry.flag_bits & 1 or entry.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
        return "is encrypted or compressed in another way than deflate"
    return None


def _is_invisible(character: str) -> bool:
    return unicodedata.category(character) in INVISIBLE and character not in JOINERS


def _folded(path: str) -> str:
    visible = "".join(character for character in path if character not in JOINERS)
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", visible).casefold())


def _write(archive: ZipFile, entry: ZipInfo, target: Path) -> bytes:
    """Write one entry, at most as long as it says; its line of the statement."""
    path, sha256, size = target / entry.filename, hashlib.sha256(), 0
    if entry.is_dir():
        path.mkdir(parents=True, exist_ok=True)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(entry) as source, path.open("xb") as file:
            while chunk := source.read(CHUNK):
                size += file.write(chunk)
                sha256.update(chunk)
        path.chmod(0o755 if entry.external_attr >> 16 & stat.S_IXUSR else 0o644)
    return f"{sha256.hexdigest()}  {size}  {entry.filename}\n".encode()
