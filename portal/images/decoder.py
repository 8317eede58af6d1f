"""Runs the conversion of each image in a process of its own, which a hostile image can use up or take over alone.

A new process per image, not one that stays: it costs 50 ms of processor time where an icon is rarely uploaded, holds
no memory between two images, and no image meets what another one left. It is spawned, since a worker has threads.
"""

import errno
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import BinaryIO

from portal.images import png
from portal.images.dimensions import ICON_SIZES, SCREENSHOT_SIZES
from portal.images.errors import DISK_FULL, REFUSED, DecoderLost, ImageRejected
from portal.images.limits import CPU_SECONDS, WALL_SECONDS

COMMAND = (sys.executable, "-I", "-W", "ignore", "-m", "portal.images.child")
FROM_OUTSIDE = (signal.SIGTERM, signal.SIGKILL, signal.SIGINT, signal.SIGHUP)
CODES = ("INVALID_IMAGE", "INVALID_DIMENSIONS")
MESSAGE_MAX = 500  # characters
REFUSAL_MAX = 20 * MESSAGE_MAX  # bytes, of a message that JSON escapes
OUTPUT_SHOWN = 2000  # bytes of what a decoder printed before it crashed


def icon(path: Path, *, max_pixels: int) -> dict[int, bytes]:
    """Scale a square image to PNGs, by edge length: 32, 64 and 128 pixels; a smaller image is enlarged.

    Raises ImageRejected, DecoderLost; OSError if there is no room beside the image.
    """
    found = _converted("icon", path, max_pixels)
    if list(found) != [(edge, edge) for edge in ICON_SIZES]:
        raise _untrue()
    return {width: image for (width, _), image in found.items()}


def screenshot(path: Path, *, max_pixels: int) -> bytes:
    """Convert a screenshot of exactly 1280x720 or 720x1280 pixels to PNG.

    Raises as `icon` does.
    """
    found = _converted("screenshot", path, max_pixels)
    if len(found) != 1 or not found.keys() <= set(SCREENSHOT_SIZES):
        raise _untrue()
    return next(iter(found.values()))


def _converted(kind: str, path: Path, max_pixels: int) -> dict[tuple[int, int], bytes]:
    """By width and height. The answer goes to a file, whose size the kernel limits, beside the image."""
    with path.open("rb") as image, tempfile.TemporaryFile(dir=path.parent) as output:
        status = _run([*COMMAND, kind, str(max_pixels)], image, output)
        output.seek(0)
        if status == 0:
            return pngs(output.read())
        if status == REFUSED:
            raise refusal(output.read(REFUSAL_MAX))
        raise _failure(status, output.read(OUTPUT_SHOWN))


def _run(command: list[str], image: BinaryIO, output: BinaryIO) -> int:
    """Exit status, negative for a signal. The environment is empty: it may contain secrets."""
    try:
        done = subprocess.run(
            command, stdin=image, stdout=output, stderr=output, env={}, cwd="/", timeout=WALL_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise DecoderLost(f"The image was not decoded within {WALL_SECONDS} seconds.") from None
    except OSError as error:
        raise DecoderLost(f"The process that decodes images did not start: {error}.") from error
    return done.returncode


def pngs(answer: bytes) -> dict[tuple[int, int], bytes]:
    """The PNGs that a child wrote, each behind its length, by width and height. Raises DecoderLost for anything else.

    A child that an image has taken over may write what it likes: what is stored is an image without metadata even so.
    """
    found, position = {}, 0
    while position < len(answer):
        length = int.from_bytes(answer[position : position + 4], "big")
        one = answer[position + 4 : position + 4 + length]
        position += 4 + length
        size = png.plain_size(one)
        if len(one) != length or size is None:
            raise _untrue()
        found[size] = one
    return found


def refusal(answer: bytes) -> ImageRejected:
    """As a child wrote it. Raises DecoderLost for anything else: the code becomes a label of a metric."""
    try:
        code, message = json.loads(answer)
    except (ValueError, TypeError, RecursionError):
        raise _untrue() from None
    if code not in CODES or not isinstance(message, str) or len(message) > MESSAGE_MAX or not message.isprintable():
        raise _untrue()
    return ImageRejected(code, message)


def _untrue() -> DecoderLost:
    return DecoderLost("The process that decodes images answered what it never does.")


def _failure(status: int, printed: bytes) -> Exception:
    """What the end of a child means that neither converted nor refused."""
    if status == DISK_FULL:
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if status == -signal.SIGXCPU:
        return ImageRejected(
            "INVALID_IMAGE", f"The image takes more than {CPU_SECONDS} seconds to decode: export it again."
        )
    if -status in FROM_OUTSIDE:
        return DecoderLost(f"The process that decodes images was ended by {signal.Signals(-status).name}.")
    if status < 0:
        return ImageRejected("INVALID_IMAGE", "The image cannot be decoded: it makes the decoder crash.")
    return DecoderLost(f"The process that decodes images failed: {printed.decode(errors='replace')!r}.")
