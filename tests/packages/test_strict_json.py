"""JSON on which readers could disagree is refused, and so is JSON that hurts them."""

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.packages import strict_json
from portal.packages.strict_json import JsonRejected
from tests.support.growth import KIB, SUPERLINEAR, exponent

REFUSED = {
    "empty": (b"", "is not JSON"),
    "cut off": (b'{"a": 1', "is not JSON"),
    "two documents": (b"{} {}", "is not JSON"),
    "trailing comma": (b"[1,]", "is not JSON"),
    "comment": (b"{} // x", "is not JSON"),
    "single quotes": (b"{'a': 1}", "is not JSON"),
    "control character": (b'"a\nb"', "is not JSON"),
    "leading zero": (b"[01]", "is not JSON"),
    "byte order mark": (b"\xef\xbb\xbf{}", "byte order mark"),
    "UTF-16": ("{}".encode("utf-16"), "byte order mark"),
    "UTF-16 without mark": ("{}".encode("utf-16-le"), "is not JSON"),
    "not UTF-8": (b'"\xff"', "is not UTF-8: invalid start byte at byte 1"),
    "encoded surrogate": (b'"\xed\xa0\x80"', "is not UTF-8"),
    "escaped surrogate": (rb'"\ud800"', "a lone surrogate"),
    "escaped surrogate as a name": (rb'{"\udc00": 1}', "a lone surrogate"),
    "NaN": (b"[NaN]", "contains NaN, which is not a finite number"),
    "Infinity": (b"[-Infinity]", "contains -Infinity"),
    "overflow": (b"[1e999]", "contains 1e999"),
    "digits": (b"9" * 5000, "integer of thousands of digits"),
    "name twice": (b'{"a": 1, "b": {"c": 1, "c": 2}}', 'has the name "c" twice'),
    "a Japanese name twice": ('{"名": 1, "名": 2}'.encode(), 'has the name "名" twice'),
    "escaped name twice": (rb'{"a": 1, "\u0061": 2}', 'has the name "a" twice'),
    "deep array": (b"[" * 33 + b"]" * 33, "deeper than 32"),
    "10,000 deep": (b"[" * 10_000 + b"]" * 10_000, "deeper than 32"),
    "10,000 deep, open": (b'{"a":' * 10_000, "deeper than 32"),
    "deep after strings": (b'["]]]", "\\"]", ' + b"[" * 32 + b"]" * 33, "deeper than 32"),
    "too long": (b" " * 100_001, "is 100001 bytes long, more than the 100000 allowed"),
}


@pytest.mark.parametrize(("document", "reason"), REFUSED.values(), ids=REFUSED)
def test_refused(document: bytes, reason: str) -> None:
    with pytest.raises(JsonRejected, match=r"^(is|starts|contains|has)\b") as refusal:
        strict_json.parse(document, max_bytes=100_000)
    assert reason in str(refusal.value)


def test_brackets_in_strings_are_no_depth() -> None:
    document = json.dumps(["[" * 100, '"[[' * 100, "\\" * 99 + "["])
    assert strict_json.parse(document.encode(), max_bytes=10_000) == json.loads(document)


def test_an_open_string_full_of_quotes_takes_linear_time() -> None:
    """Quadratic, the largest manifest would take minutes."""
    with pytest.raises(JsonRejected, match="is not JSON"):
        strict_json.parse(b'"' + rb"\"" * 1_000_000, max_bytes=3_000_000)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=20,
)


@given(values, st.booleans())
def test_same_value_as_json(value: object, ascii_only: bool) -> None:
    document = json.dumps(value, ensure_ascii=ascii_only).encode()
    assert strict_json.parse(document, max_bytes=1_000_000, max_depth=100) == value


@given(st.binary(max_size=40) | st.text('[]{}",:0\\ua', max_size=40).map(str.encode))
def test_anything_is_read_or_refused(document: bytes) -> None:
    try:
        value = strict_json.parse(document, max_bytes=1000)
    except JsonRejected:
        return
    assert value == json.loads(document)


def test_a_repeated_name_is_sought_in_linear_time() -> None:
    """Small, so that quadratic work is found within seconds; tests/test_parsers.py has the large ones."""

    def parsing(size: int) -> Callable[[], object]:
        document = ("{" + ",".join(f'"{number}":0' for number in range(size // 8)) + "}").encode()
        return lambda: strict_json.parse(document, max_bytes=len(document))

    assert exponent(parsing, (4 * KIB, 64 * KIB)) < SUPERLINEAR
