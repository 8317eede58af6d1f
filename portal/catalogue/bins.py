"""Bins: the apps are spread over them by the hash of their path, so that a device fetches only the bins of its apps.

A bin keeps its name when there are more of them, because TUF lets no file vanish from a snapshot, and there are never
fewer.
"""

import hashlib
import re

SIZES = ((1_000, 64), (4_000, 256), (16_000, 1_024))  # up to so many apps: bins
NUMBERS = tuple(number for _, number in SIZES)
NAME = re.compile(r"[0-9a-f]{3}")


def number_for(apps: int) -> int:
    """How many bins so many apps are spread over."""
    return next((number for most, number in SIZES if apps <= most), NUMBERS[-1])


def path_of(app_id: str) -> str:
    """The target path of an app's document."""
    return f"apps/{app_id}.json"


def app_of(path: str) -> str:
    return path.removeprefix("apps/").removesuffix(".json")


def bin_of(app_id: str, number: int) -> str:
    """The name of the bin that has the app, of so many bins."""
    digits = _digits(number)
    prefix = hashlib.sha256(path_of(app_id).encode()).hexdigest()[:digits]
    return _name(int(prefix, 16) * number // 16**digits)


def prefixes(number: int) -> dict[str, list[str]]:
    """The `path_hash_prefixes` of each bin, of so many bins."""
    digits = _digits(number)
    each = 16**digits // number
    return {_name(i): [f"{p:0{digits}x}" for p in range(i * each, (i + 1) * each)] for i in range(number)}


def _name(index: int) -> str:
    return f"{index:03x}"


def _digits(number: int) -> int:
    return 2 if number <= 256 else 3
