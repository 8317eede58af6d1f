"""What clients upload, reproducibly: signed packages, and images whose stored form is known beforehand."""

import hashlib
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from random import Random

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from PIL import Image

from portal.images import convert
from portal.packages import build

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
SIZES = (300, 3_000, 30_000, 300_000)  # bytes of content; the last takes several reads of the server
WEIGHTS = (4, 4, 3, 1)
PIXELS_MAX = 4096 * 4096
IMAGES = 6


@dataclass(frozen=True)
class Picture:
    """An image as it is uploaded, and the SHA-256 of each file that the store makes of it, by name."""

    body: bytes
    stored: dict[str, str]


def package(scratch: Path, rng: Random, app_id: str, code: int, size: int | None = None) -> bytes:
    """A signed package of random content, and of random size where none is given in bytes."""
    path = scratch / f"{app_id}-{code}.mosis"
    manifest = {
        "manifest_version": 1,
        "id": app_id,
        "name": app_id,
        "version_name": f"{code}.0.0",
        "version_code": code,
    }
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("manifest.json", json.dumps(manifest))
        archive.writestr("data.bin", rng.randbytes(size or rng.choices(SIZES, WEIGHTS)[0]))
    build.sign(path, KEY)
    try:
        return path.read_bytes()
    finally:
        path.unlink()


def digest_of_images(images: Mapping[str, str]) -> str:
    """What a reviewer names in a decision, as docs/publishing.md describes it; `images` are digests by name."""
    return sha256("".join(f"{digest}  {name}\n" for name, digest in sorted(images.items())).encode())


def icons(rng: Random) -> list[Picture]:
    bodies = [_png((48, 48), rng) for _ in range(IMAGES)]
    return [
        Picture(
            body, {f"icon-{edge}.png": sha256(png) for edge, png in convert.icon(body, max_pixels=PIXELS_MAX).items()}
        )
        for body in bodies
    ]


def screenshots(rng: Random) -> list[Picture]:
    """Each is stored under a number that the client chooses: its one name here is empty."""
    bodies = [_png((1280, 720), rng) for _ in range(IMAGES)]
    return [Picture(body, {"": sha256(convert.screenshot(body, max_pixels=PIXELS_MAX))}) for body in bodies]


def sha256(data: bytes) -> str:
    """In hex."""
    return hashlib.sha256(data).hexdigest()


def _png(size: tuple[int, int], rng: Random) -> bytes:
    """A picture with a random patch: a few kilobytes, all of different size."""
    image = Image.new("RGB", size, tuple(rng.randbytes(3)))
    edge = rng.randrange(16, 48)
    image.paste(Image.frombytes("RGB", (edge, edge), rng.randbytes(3 * edge * edge)), (0, 0))
    target = BytesIO()
    image.save(target, "PNG")
    return target.getvalue()
