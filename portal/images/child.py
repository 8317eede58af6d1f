"""`python -m portal.images.child KIND MAX_PIXELS`: converts the image on standard input to PNGs on standard output.

Exit status 0: PNGs, each behind its length in 4 bytes; 3: a refusal as JSON, its code and its message; 4: standard
output has no room.
"""

import errno
import json
import os
import signal
import sys

from portal.images import convert, limits, syscalls
from portal.images.errors import DISK_FULL, REFUSED, ImageRejected


def main() -> None:
    kind, max_pixels = sys.argv[1], int(sys.argv[2])
    for number in (signal.SIGTERM, signal.SIGINT):  # a portal that ends finishes its requests
        signal.signal(number, signal.SIG_IGN)
    convert.prepare()
    limits.apply(max_pixels)
    syscalls.restrict()  # where the kernel has it; the limits hold everywhere
    try:
        status = _answer(kind, sys.stdin.buffer.read(), max_pixels)
        sys.stdout.flush()
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        os._exit(DISK_FULL)  # sys.exit would try to write the rest again
    sys.exit(status)


def _answer(kind: str, data: bytes, max_pixels: int) -> int:
    """Write the answer to standard output; returns the exit status."""
    try:
        if kind == "icon":
            pngs = list(convert.icon(data, max_pixels=max_pixels).values())
        else:
            pngs = [convert.screenshot(data, max_pixels=max_pixels)]
    except ImageRejected as refusal:
        sys.stdout.write(json.dumps([refusal.code, str(refusal)]))
        return REFUSED
    for png in pngs:
        sys.stdout.buffer.write(len(png).to_bytes(4, "big") + png)
    return 0


if __name__ == "__main__":
    main()
