"""Text of others, made safe to print: nothing in it moves the cursor, changes colours, or hides and reorders text."""

import json
from unicodedata import category

ESCAPED = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})  # controls, formats such as bidi overrides, halves, separators
BLANK_LETTERS = frozenset("\u115f\u1160\u2800\u3164\uffa0")  # printable by their category, but nothing is seen
JOINERS = "\u200c\u200d"  # which scripts and emoji need


def printable(text: str, keep: str = "") -> str:
    r"""The text with what is not to be printed in JSON's form, such as \u001b; `keep` is printed as it is."""
    if text.isprintable():
        return text
    return "".join(
        json.dumps(character)[1:-1] if category(character) in ESCAPED and character not in keep + JOINERS else character
        for character in text
    )
