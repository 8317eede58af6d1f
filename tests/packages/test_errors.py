"""Names in reasons are readable in every script, and hide nothing."""

import pytest

from portal.packages.errors import quote

QUOTED = {
    "Japanese": ("lib/日本.js", '"lib/日本.js"'),
    "Arabic and an emoji": ("كتاب 📚", '"كتاب 📚"'),
    "a quotation mark and a backslash": ('a"b\\c', r'"a\"b\\c"'),
    "an escape sequence": ("\x1b[2J", r'"\u001b[2J"'),
    "text written backwards": ("a\u202egnp.exe", r'"a\u202egnp.exe"'),
    "a joiner": ("ශ්\u200dරී", r'"ශ්\u200dරී"'),
    "a zero-width space": ("a\u200bb", r'"a\u200bb"'),
    "a letter that nobody sees": ("a\u3164b", r'"a\u3164b"'),
    "half a surrogate pair": ("\ud800", r'"\ud800"'),
    "a tag beyond the first plane": ("\U000e0041", r'"\udb40\udc41"'),
    "bytes that are not UTF-8": (b"a\xff", r'"a\\xff"'),
    "a long name": ("a" * 300, f'"{"a" * 200}…"'),
}


@pytest.mark.parametrize(("text", "quoted"), QUOTED.values(), ids=QUOTED)
def test_a_name_is_quoted(text: str | bytes, quoted: str) -> None:
    assert quote(text) == quoted
    assert quote(text).isprintable()
