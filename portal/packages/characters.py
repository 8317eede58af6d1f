"""Characters of names: the same verdict by every Python, whatever version of Unicode it has.

Names may have the characters of Unicode 14.0, which Python 3.11 has, and every emoji: their blocks are reserved, and no
later version gives one a case or a decomposition. Those of assigned characters never change (Unicode's stability
policy), so every Python folds these names to the same.
"""

import re
import unicodedata

from portal.printable import JOINERS

NEWEST_KNOWN = 18  # the version of Unicode up to which ADDED is complete

ADDED = """
    558 58b-58c 5c8-5c9 88f 897 b53-b54 c5c cdc cf3 ece 1acf-1af0 1b4e-1b4f 1b7f 1c89-1c8a 208f 209d-209f
    20c1-20c4 2427-2429 2b96 2e60-2e63 2ffc-2fff 31e4-31e5 31ef a7cb-a7cf a7d2 a7d4 a7da-a7dd a7e2 a7f1 ab6c-ab6d
    fbc3-fbd2 fd90-fd91 fdc8-fdce 105c0-105f3 107bb-107bf 10940-10959 10d40-10d65 10d69-10d85 10d8e-10d8f
    10ec2-10ec7 10ec9-10eee 10ef0-10eff 1123f-11241 11380-11389 1138b 1138e 11390-113b5 113b7-113c0 113c2 113c5
    113c7-113ca 113cc-113d5 113d7-113d8 113e1-113e2 116d0-116e3 11b00-11b0a 11b60-11b67 11bc0-11be1 11bf0-11bf9
    11db0-11ddb 11de0-11de9 11df0-11df1 11f00-11f10 11f12-11f3a 11f3e-11f5a 1246f 12475-1247f 12550-12686 1342f
    13439-13455 13460-143fa 16100-16139 16d40-16d79 16ea0-16eb8 16ebb-16ed3 16ff2-16ff6 187f8-187ff 18cd6-18cda
    18cff 18d09-18d20 18d80-18df2 18e00-19191 191a0-191d2 1b123-1b128 1b132 1b155 1b168 1cc00-1ccfc 1cd00-1ceb3
    1ceba-1ced0 1ced2-1ced4 1cedd-1cefd 1d127-1d128 1d1eb-1d1ff 1d250-1d281 1d2c0-1d2d3 1d6a6 1db00-1db1c
    1df1f-1df81 1df90-1df96 1dfcd-1dfff 1e030-1e06d 1e08f 1e4d0-1e4f9 1e5d0-1e5fa 1e5ff 1e6c0-1e6de 1e6e0-1e6f5
    1e6fe-1e6ff 1fbcb-1fbef 1fbfa 2b739-2b73f 2b81e 2cea2-2cead 2ebf0-2ee5d 31350-33479 3d000-3fc3f
"""
"""The code points that Unicode added after 14.0, in hexadecimal, without emoji."""

_EMOJI = re.compile("[\U0001f000-\U0001faff]")
_BESIDE = f"[^\\x00-\\x7f{JOINERS}]"
_JOINED = re.compile(f"(?<={_BESIDE})[{JOINERS}](?={_BESIDE})")


def _code_points(ranges: str) -> str:
    bounds = (each.split("-") for each in ranges.split())
    return "".join(f"{chr(int(pair[0], 16))}-{chr(int(pair[-1], 16))}" for pair in bounds)


_ADDED = re.compile(f"[{_code_points(ADDED)}]")


def fault(name: str) -> str | None:
    """Why a name cannot have its characters, as a predicate, or None.

    A zero-width joiner or non-joiner may be between two characters beyond ASCII, as Persian and emoji need it.
    """
    if name.isascii() and name.isprintable():
        return None
    if found := _ADDED.search(name):
        return f"contains U+{ord(found[0]):04X}, which is newer than Unicode 14.0"
    if name.isprintable():
        return None
    if any(_is_invisible(character) for character in _EMOJI.sub("", _JOINED.sub("", name))):
        return "contains a control, invisible or unassigned character"
    return None


def fold(name: str) -> str:
    """The name as file systems compare it that ignore case, normalization and joiners."""
    if name.isascii():
        return name.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", _without_joiners(name)).casefold())


def difference(name: str, other: str) -> str:
    """In what two names differ that fold to the same."""
    if _without_joiners(name) == _without_joiners(other):
        return "zero-width joiners"
    if unicodedata.normalize("NFC", name) == unicodedata.normalize("NFC", other):
        return "Unicode normalization"
    if name.casefold() == other.casefold():
        return "case"
    return "case, Unicode normalization or zero-width joiners"


def _without_joiners(name: str) -> str:
    for joiner in JOINERS:
        name = name.replace(joiner, "")
    return name


def _is_invisible(character: str) -> bool:
    category = unicodedata.category(character)
    return category[0] == "C" or category in ("Zl", "Zp")
