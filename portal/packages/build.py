"""Packing a directory and signing a package, reproducibly: the same input gives the same bytes.

Both write a temporary file and rename it, so that the output is complete or unchanged, and both read back what they
wrote, so that they never produce a package that a store would refuse.
"""

import os
import re
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from portal.packages import ignored, paths, signature
from portal.packages.errors import PackageRejected, quote
from portal.packages.ignored import Ignored
from portal.packages.limits import DEFAULT_LIMITS, Limits
from portal.packages.package import Content, Package, inspect, read
from portal.packages.writer import Writer
from portal.sizes import excess

_SEARCHED = 64 * 1024  # bytes at the start of a file: what people keep secrets in is small
_SECRETS = {
    "a private key": re.compile(rb"^[ \t]*-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----[ \t\r]*$", re.MULTILINE),
    "a token of a store": re.compile(rb"\bmosis_[0-9a-f]{16}_[A-Za-z0-9_-]{43}"),
}
"""A key as PEM (RFC 7468), of OpenSSH or PGP, also below a certificate or the attributes that OpenSSL writes."""


def pack(
    directory: Path,
    output: Path,
    limits: Limits = DEFAULT_LIMITS,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Content:
    """Write the files below `directory` to an unsigned package: sorted, without times, deflated where that saves space.

    Files that operating systems create, an earlier signature, packages and what `.mosisignore` names are omitted.
    `progress` is called after each file with the bytes packed so far and in total. Raises PackageRejected for content
    that a store would refuse, for private keys and tokens, OSError when files cannot be read or written.
    """
    earlier = Path(os.path.realpath(output))
    found = (pair for pair in _files(directory, _ignored(directory)) if Path(os.path.realpath(pair[1])) != earlier)
    files = sorted(found, key=lambda pair: pair[0].encode())
    if (unpacked := sum(source.stat().st_size for _, source in files)) > limits.unpacked_bytes:
        raise PackageRejected([f"The files have {excess(unpacked, limits.unpacked_bytes)}."])
    with _replacing(output) as (file, temporary):
        writer, done = Writer(file), 0
        for path, source in files:
            with source.open("rb") as content:
                if secret := _secret(content.read(_SEARCHED)):
                    reason = f"{quote(path)} has {secret}, which everybody could read in the package: move it away."
                    raise PackageRejected([reason])
                content.seek(0)
                executable = bool(os.fstat(content.fileno()).st_mode & stat.S_IXUSR)
                writer.add(path, content, ratio=limits.ratio, executable=executable)
                done += content.tell()
            progress(done, unpacked)
        writer.close()
        return inspect(temporary, limits)


def sign(
    package: Path, private_key: Ed25519PrivateKey, output: Path | None = None, limits: Limits = DEFAULT_LIMITS
) -> Package:
    """Sign `package` in place or to `output`, replacing an earlier signature and keeping all other bytes.

    Raises PackageRejected for a package that a store would refuse, OSError when it cannot be read or written.
    """
    content = inspect(package, limits)
    signed = signature.SignatureFile(
        alg="ed25519",
        key_id=signature.key_id(signature.raw_public_key(private_key)),
        signature=signature.sign(private_key, content.statement),
    )
    with package.open("rb") as source, _replacing(output or package) as (file, temporary):
        writer = Writer(file)
        for entry in content.entries:
            if entry.path != signature.PATH:
                writer.copy(entry, source)
        writer.add_bytes(signature.PATH, signed.to_json(), ratio=limits.ratio)
        writer.close()
        return read(temporary, limits)


def _ignored(directory: Path) -> Ignored:
    try:
        return ignored.of(directory)
    except UnicodeDecodeError:
        raise PackageRejected([f"{ignored.PATH} is not UTF-8."]) from None


def _files(directory: Path, left_out: Ignored, prefix: str = "") -> Iterator[tuple[str, Path]]:
    for item in directory.iterdir():
        name = _utf8_name(item)
        path = prefix + name
        if left_out.matches(path) or paths.is_system_name(name) or path == signature.PATH:
            continue
        mode = item.lstat().st_mode
        if stat.S_ISDIR(mode):
            yield from _files(item, left_out, path + "/")
        elif stat.S_ISREG(mode):
            yield path, item
        else:
            reason = f"{quote(path)} is a link or a device; only files and directories are allowed."
            raise PackageRejected([reason])


def _utf8_name(item: Path) -> str:
    """The name whatever the locale, which may make another one of its bytes. Raises PackageRejected."""
    try:
        return os.fsencode(item.name).decode()
    except UnicodeDecodeError:
        raise PackageRejected([f"{quote(os.fsencode(item))} is not a UTF-8 name."]) from None


def _secret(start: bytes) -> str | None:
    return next((name for name, pattern in _SECRETS.items() if pattern.search(start)), None)


@contextmanager
def _replacing(output: Path) -> Iterator[tuple[BinaryIO, Path]]:
    """A new file that replaces `output` when the block ends without an exception."""
    descriptor, name = tempfile.mkstemp(prefix=f".{output.name}.", dir=output.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "w+b") as file:
            yield file, temporary
            os.fchmod(descriptor, 0o644)
            os.fsync(descriptor)
        temporary.replace(output)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
