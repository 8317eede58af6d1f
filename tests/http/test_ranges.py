import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.http.ranges import MAX_RANGES, ByteRange, UnsatisfiableError, multipart, parse


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("bytes=0-9", [(0, 10)]),
        ("bytes=9-", [(9, 100)]),
        ("bytes=-1", [(99, 100)]),
        ("bytes=-1000", [(0, 100)]),
        ("bytes=50-1000", [(50, 100)]),
        (f"bytes=50-{'9' * 500}", [(50, 100)]),
        ("Bytes = 0-9 , 20-29", [(0, 10), (20, 30)]),
        ("bytes=20-29,0-9", [(20, 30), (0, 10)]),
        ("bytes=0-9,10-19", [(0, 20)]),
        ("bytes=0-9,11-19", [(0, 10), (11, 20)]),
        ("bytes=0-9,20-29,40-49,5-44", [(0, 50)]),
        ("bytes=0-9,100-,200-300", [(0, 10)]),
    ],
)
def test_ranges(field, expected):
    assert [(part.start, part.stop) for part in parse(field, 100)] == expected


@pytest.mark.parametrize(
    "field",
    [
        *(
            "",
            "bytes",
            "bytes=",
            "bytes=,",
            "bytes=-",
            "bytes=1",
            "bytes=9-8",
            "bytes=1-2x",
            "bytes=1-2,x",
            "lines=1-2",
        ),
        *("bytes=--1", "bytes=+1-2", "bytes=1_0-20", "bytes=\u0661-2", "bytes=1-2-3", f"bytes=0-{'9' * 5000}"),
        "bytes=" + ",".join(["0-1"] * (MAX_RANGES + 1)),
    ],
    ids=lambda field: repr(field[:20]),
)
def test_what_is_to_be_ignored(field):
    assert parse(field, 100) == []


@pytest.mark.parametrize(
    "field", ["bytes=100-", "bytes=-0", "bytes=100-200,-0", f"bytes={'9' * 500}-"], ids=lambda f: f[:20]
)
def test_what_cannot_be_satisfied(field):
    with pytest.raises(UnsatisfiableError, match="100 bytes"):
        parse(field, 100)


def test_an_empty_file_has_no_ranges():
    assert parse("bytes=0-", 0) == []


SPECS = st.one_of(
    st.tuples(st.integers(0, 120), st.integers(0, 120)).map(sorted).map(lambda pair: f"{pair[0]}-{pair[1]}"),
    st.integers(0, 120).map(lambda start: f"{start}-"),
    st.integers(0, 120).map(lambda length: f"-{length}"),
)


def covered(spec: str, size: int) -> set[int]:
    first, last = spec.split("-")
    if not first:
        return set(range(size)[-int(last) :]) if int(last) else set()
    return set(range(int(first), size if not last else min(size, int(last) + 1)))


@given(st.lists(SPECS, min_size=1, max_size=MAX_RANGES), st.integers(1, 100))
def test_every_byte_asked_for_once_and_no_other(specs, size):
    wanted = set().union(*(covered(spec, size) for spec in specs))
    try:
        ranges = parse("bytes=" + ",".join(specs), size)
    except UnsatisfiableError:
        ranges = []
    given_bytes = [offset for part in ranges for offset in range(part.start, part.stop)]
    assert sorted(given_bytes) == sorted(wanted)


def test_multipart_frames_each_part():
    content_type, pieces = multipart([ByteRange(0, 1), ByteRange(98, 100)], 100, "text/plain")
    boundary = content_type.removeprefix("multipart/byteranges; boundary=").encode()
    assert pieces == [
        b"\r\n--" + boundary + b"\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-0/100\r\n\r\n",
        ByteRange(0, 1),
        b"\r\n--" + boundary + b"\r\nContent-Type: text/plain\r\nContent-Range: bytes 98-99/100\r\n\r\n",
        ByteRange(98, 100),
        b"\r\n--" + boundary + b"--\r\n",
    ]
    assert multipart([ByteRange(0, 1)], 100, "text/plain")[0] != content_type
