"""`python -m portal.images.child KIND MAX_PIXELS`: converts the image on standard input to PNGs on standard output.

Exit status 0: PNGs, each behind its length in 4 bytes; 3: a refusal as JSON, its code and its message.
"""

import json
import signal
import sys

from portal.images import convert, limits, syscalls
from portal.images.errors import REFUSED, ImageRejected


def main() -> None:
    kind, max_pixels = sys.argv[1], int(sys.argv[2])
    for number in (signal.SIGTERM, signal.SIGINT):  # a portal that ends finishes its requests
        signal.signal(number, signal.SIG_IGN)
    convert.prepare()
    limits.apply(max_pixels)
    syscalls.restrict()  # where the kernel has it; the limits hold everywhere
    data = sys.stdin.buffer.read()
    try:
        if kind == "icon":
            pngs = list(convert.icon(data, max_pixels=max_pixels).values())
        else:
            pngs = [convert.screenshot(data, max_pixels=max_pixels)]
    except ImageRejected as refusal:
        sys.stdout.write(json.dumps([refusal.code, str(refusal)]))
        sys.exit(REFUSED)
    for png in pngs:
        sys.stdout.buffer.write(len(png).to_bytes(4, "big") + png)


if __name__ == "__main__":
    main()
