"""Which characters a name may have, and that no version of Python judges them differently."""

import hashlib
import unicodedata

import pytest

from portal.packages import characters, paths

PLANES = (*range(0xD800), *range(0xE000, 0x40000), *range(0xE0000, 0xE1000))  # the others have nothing but private use
VERDICTS = "38916b2286fe2f196a0bfe8276b405607eaadb745823743efba838ad0d7af863"

FINE = {
    "an emoji of two": "👩‍💻.png",
    "Persian": "می‌خواهم.txt",
    "Sinhala": "ශ්‍රී.txt",
    "a flag of two": "🏴‍☠️",
    "an emoji of Unicode 15": "\U0001fae8.png",
    "an emoji that nobody has drawn yet": "\U0001faff.png",
    "a no-break space": "a\u00a0b",
}
REFUSED = {
    "a joiner alone": ("\u200d", "control, invisible"),
    "at the end": ("ä\u200c", "control, invisible"),
    "beside ASCII": ("manifest\u200d.json", "control, invisible"),
    "after a dot": ("a.\u200cä", "control, invisible"),
    "two joiners": ("ä\u200c\u200cä", "control, invisible"),
    "a zero-width space": ("ä\u200bä", "control, invisible"),
    "a byte order mark": ("ä\ufeffä", "control, invisible"),
    "a tag": ("🏴\U000e0067", "control, invisible"),
    "private use": ("\ue000", "control, invisible"),
    "Unicode 15": ("\u0cf3", "contains U+0CF3, which is newer than Unicode 14.0"),
    "a capital of Unicode 16": ("\ua7dc", "contains U+A7DC, which is newer than Unicode 14.0"),
}


@pytest.mark.parametrize("name", FINE.values(), ids=FINE.keys())
def test_fine(name: str) -> None:
    assert list(paths.faults(name)) == []


@pytest.mark.parametrize(("name", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(name: str, reason: str) -> None:
    assert any(reason in fault for fault in paths.faults(name))


def test_names_that_differ_only_in_joiners_collide() -> None:
    assert len(list(paths.collisions(["می‌خواهم", "میخواهم"]))) == 1


def test_every_python_judges_every_character_alike() -> None:
    """After a change that is meant, run it with the oldest and the newest Python, and note the digest of both."""
    verdicts = hashlib.sha256()
    for code in PLANES:
        if (fault := characters.fault(chr(code))) is None:
            folded = characters.fold(chr(code))
            verdicts.update(f"{code:x} {folded} {unicodedata.is_normalized('NFC', chr(code))}\n".encode())
        else:
            verdicts.update(f"{code:x} {fault}\n".encode())
    assert verdicts.hexdigest() == VERDICTS


def test_the_characters_that_were_added_are_listed() -> None:
    """A newer Unicode than this needs its new characters in ADDED."""
    assert int(unicodedata.unidata_version.partition(".")[0]) <= characters.NEWEST_KNOWN
