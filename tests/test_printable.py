"""Text of others that is printed on a terminal."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.printable import printable


@given(st.text(st.characters(codec=None)))
def test_nothing_is_left_that_controls_a_terminal(text: str) -> None:
    safe = printable(text)
    left = {unicodedata.category(character) for character in safe if character not in "\u200c\u200d"}
    assert not left & {"Cc", "Cf", "Cs", "Zl", "Zp"}


@given(st.text())
def test_json_stays_the_same_json(text: str) -> None:
    assert json.loads(printable(json.dumps(text, ensure_ascii=False), keep="\n\t")) == text


@pytest.mark.parametrize("text", ["Grüße, 東京", "می‌خواهم", "👩‍💻", "1\u202f000\u00a0€", "C:\\temp"])
def test_what_people_write_stays_as_it_is(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize(
    "text", ["\x1b]0;title\x07", "a\u202eb", "\x9b2J", "line\nline", "\ue0001\u2028", "\udc80", "\U000e0041"]
)
def test_what_hides_or_moves_is_escaped(text: str) -> None:
    assert printable(text).isascii() or "\ue000" in printable(text)
    assert printable(text) != text
    assert printable("a\nb", keep="\n") == "a\nb"
