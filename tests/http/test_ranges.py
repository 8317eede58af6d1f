import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.http.ranges import LARGEST, ByteRange, UnsatisfiableError, parse


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("bytes=0-9", ByteRange(0, 10)),
        ("bytes=9-", ByteRange(9, 100)),
        ("bytes=-1", ByteRange(99, 100)),
        ("bytes=-1000", ByteRange(0, 100)),
        ("bytes=50-1000", ByteRange(50, 100)),
        (f"bytes=50-{LARGEST}", ByteRange(50, 100)),
        ("Bytes=0-9", ByteRange(0, 10)),
    ],
)
def test_a_range(value: str, expected: ByteRange) -> None:
    assert parse(value, 100) == expected


@pytest.mark.parametrize(
    "value",
    [
        *("", "bytes", "bytes=", "bytes=,", "bytes=-", "bytes=1", "bytes=9-8", "bytes=1-2x", "bytes=1-2,x"),
        *("lines=1-2", "bytes=--1", "bytes=+1-2", "bytes=1_0-20", "bytes=\u0661-2", "bytes=1-2-3", "bytes = 1-2"),
        *("bytes=0-0,2-3", "bytes=0-,0-", "bytes=,0-", "bytes=100-,0-0"),
        *(f"bytes=0-{LARGEST + 1}", f"bytes=-{LARGEST + 1}", f"bytes=0-{'9' * 5000}"),
    ],
    ids=lambda value: repr(value[:20]),
)
def test_what_is_to_be_ignored(value: str) -> None:
    assert parse(value, 100) is None


@pytest.mark.parametrize("value", ["bytes=100-", "bytes=-0", f"bytes={'9' * 500}-"], ids=lambda value: value[:20])
def test_what_cannot_be_satisfied(value: str) -> None:
    with pytest.raises(UnsatisfiableError, match="100 bytes"):
        parse(value, 100)


def test_an_empty_file_has_no_ranges() -> None:
    assert parse("bytes=0-", 0) is None


SPECS = st.one_of(
    st.tuples(st.integers(0, 120), st.integers(0, 120)).map(sorted).map(lambda pair: f"{pair[0]}-{pair[1]}"),
    st.integers(0, 120).map(lambda start: f"{start}-"),
    st.integers(0, 120).map(lambda length: f"-{length}"),
)


def covered(spec: str, size: int) -> range:
    first, last = spec.split("-")
    if not first:
        return range(max(0, size - int(last)), size)
    return range(int(first), size if not last else min(size, int(last) + 1))


@given(SPECS, st.integers(1, 100))
def test_every_byte_asked_for_and_no_other(spec: str, size: int) -> None:
    wanted = covered(spec, size)
    try:
        part = parse(f"bytes={spec}", size)
    except UnsatisfiableError:
        assert not wanted
    else:
        assert part == ByteRange(wanted.start, wanted.stop)
