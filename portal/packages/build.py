"""Packing a directory and signing a package, reproducibly: the same input gives the same bytes.

Both write a temporary file and rename it, so that the output is complete or unchanged, and both read back what they
wrote, so that they never produce a package that a store would refuse.
"""

import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from portal.packages import paths, signature
from portal.packages.errors import PackageRejected, quote
from portal.packages.limits import DEFAULT_LIMITS, Limits
from portal.packages.package import Content, Package, inspect, read
from portal.packages.writer import Writer


def pack(
    directory: Path,
    output: Path,
    limits: Limits = DEFAULT_LIMITS,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Content:
    """Write the files below `directory` to an unsigned package: sorted, without times, deflated where that saves space.

    Files that operating systems create, an earlier signature and an earlier `output` are omitted. `progress` is called
    after each file with the bytes packed so far and in total. Raises PackageRejected for content that a store would
    refuse, OSError when files cannot be read or written.
    """
    earlier = Path(os.path.realpath(output))
    found = (pair for pair in _files(directory) if Path(os.path.realpath(pair[1])) != earlier)
    files = sorted(found, key=lambda pair: pair[0].encode())
    if (unpacked := sum(source.stat().st_size for _, source in files)) > limits.unpacked_bytes:
        raise PackageRejected([f"The files are {unpacked} bytes long, more than the {limits.unpacked_bytes} allowed."])
    with _replacing(output) as (file, temporary):
        writer, done = Writer(file), 0
        for path, source in files:
            with source.open("rb") as content:
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


def _files(directory: Path, prefix: str = "") -> Iterator[tuple[str, Path]]:
    for item in directory.iterdir():
        path = prefix + item.name
        if item.name != os.fsencode(item.name).decode("utf-8", "replace"):
            raise PackageRejected([f"{quote(os.fsencode(path))} is not a UTF-8 name."])
        mode = item.lstat().st_mode
        if paths.is_system_name(item.name) or path == signature.PATH:
            continue
        if stat.S_ISDIR(mode):
            yield from _files(item, path + "/")
        elif stat.S_ISREG(mode):
            yield path, item
        else:
            reason = f"{quote(os.fsencode(path))} is a link or a device; only files and directories are allowed."
            raise PackageRejected([reason])


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
