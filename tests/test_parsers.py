"""No parser of strangers' bytes is superlinear: four times the input is about four times the work.

Each row is the worst input known for its parser; a new parser gets its rows here. An input is text that is repeated, or
a function that makes one of about `n` units.
"""

from collections.abc import Callable
from io import BytesIO

import pytest
from multipart import MultipartError, PushMultipartParser, parse_options_header
from pydantic import TypeAdapter, ValidationError

from portal.http import conditional, ranges
from portal.packages import extra_fields, identifiers, manifest, paths, signature, strict_json
from portal.packages.archive import END, read_directory
from portal.packages.errors import PackageRejected
from portal.packages.limits import Limits
from tests.packages.hostile import Item
from tests.support.growth import LINEAR, growth

pytestmark = pytest.mark.seconds(40)

Parse = Callable[[bytes], object]
Make = Callable[[int], bytes]

FORM_FILE = b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n'
UNBOUNDED = 1 << 40
NO_LIMITS = Limits(package_bytes=UNBOUNDED, unpacked_bytes=UNBOUNDED, entries=UNBOUNDED, ratio=UNBOUNDED)


def json(data: bytes) -> object:
    return strict_json.parse(data, max_bytes=UNBOUNDED)


def manifest_json(data: bytes) -> object:
    return manifest.parse(data, max_bytes=UNBOUNDED)


def directory(data: bytes) -> object:
    return read_directory(BytesIO(data), len(data), NO_LIMITS)


def collisions(data: bytes) -> object:
    return list(paths.collisions(data.decode().split("\n")))


def name(data: bytes) -> object:
    return list(paths.faults(data.decode()))


def extra(data: bytes) -> object:
    return extra_fields.fault(data)


def multipart(data: bytes) -> object:
    with PushMultipartParser("b", max_segment_count=16) as parser:
        return [event for at in range(0, len(data), 65536) for event in parser.parse(data[at : at + 65536])]


def identifier(kind: object) -> Parse:
    return lambda data: TypeAdapter(kind).validate_python(data.decode())


def etags(data: bytes) -> object:
    return conditional.evaluate({"if-none-match": data.decode()}, '"x"', 0)


def byte_ranges(data: bytes) -> object:
    return ranges.parse(data.decode(), 10**9)


def options(data: bytes) -> object:
    return parse_options_header(data.decode())


def numbered(text: str, separator: str = "") -> Make:
    """`text` with `{i}` counted up and `{half}` counted at half the speed."""
    return lambda n: separator.join(text.format(i=i, half=i // 2) for i in range(n)).encode()


def inside(before: bytes, middle: Make | bytes, after: bytes) -> Make:
    return lambda n: before + (middle * n if isinstance(middle, bytes) else middle(n)) + after


def entries(item: Callable[[int], Item]) -> Make:
    def made(n: int) -> bytes:
        records = b"".join(item(i).central_record(0) for i in range(n))
        return records + END.pack(b"PK\5\6", 0, 0, n, n, len(records), 0, 0)

    return made


ROWS: dict[str, tuple[Parse, Make, int]] = {
    "JSON: the last name twice": (json, inside(b"{", numbered('"{i}":0', ","), b',"1":0}'), 4000),
    "JSON: the last two names equal": (json, inside(b'{"y":0,', numbered('"{i}":0', ","), b',"x":0,"x":0}'), 4000),
    "JSON: each name twice": (json, inside(b"{", numbered('"{half}":0', ","), b"}"), 4000),
    "JSON: open strings": (json, inside(b"[", b'"\\', b"]"), 20_000),
    "JSON: escapes": (json, inside(b'"', b"\\\\", b""), 20_000),
    "JSON: too deep": (json, inside(b"", b'{"":[', b""), 20_000),
    "JSON: digits": (json, inside(b"[0.", b"1", b"]"), 100_000),
    "JSON: an exponent": (json, inside(b"[0e-", b"9", b"]"), 100_000),
    "JSON: lines before a fault": (json, inside(b"", b"\n", b"x"), 100_000),
    "manifest: unknown keys": (manifest_json, inside(b"{", numbered('"{i}":0', ","), b"}"), 2000),
    "manifest: keys under x-": (manifest_json, inside(b"{", numbered('"x-{i}":0', ","), b"}"), 2000),
    "manifest: permissions": (manifest_json, inside(b'{"permissions":[', numbered('"a{i}"', ","), b"]}"), 2000),
    "manifest: a long homepage": (manifest_json, inside(b'{"homepage":"https://', "\u00fc".encode(), b'"}'), 20_000),
    "manifest: a long id": (manifest_json, inside(b'{"id":"', b"a.", b'"}'), 20_000),
    "signature: a long one": (signature.parse, inside(b'{"signature":"', b"A", b'"}'), 100_000),
    "app id: labels": (identifier(identifiers.AppId), inside(b"a", b".con", b""), 20_000),
    "developer id: hyphens": (identifier(identifiers.DeveloperId), inside(b"a", b"-", b""), 20_000),
    "version: pre-release": (identifier(identifiers.SemVer), inside(b"1.0.0-", b"0a.", b"!"), 20_000),
    "names: a deep one": (collisions, inside(b"", b"x/", b"y"), 4000),
    "names: deep ones": (collisions, numbered("{i}/\u00e9/\u00df/\u0130/" * 4 + "x", "\n"), 500),
    "names: equal ones": (collisions, inside(b"", b"a/b/c\n", b"a"), 4000),
    "names: one directory in two spellings": (collisions, inside(b"A/0\n", numbered("a/{i}", "\n"), b""), 2000),
    "name: components": (name, inside(b"", b"con/", b""), 4000),
    "name: combining marks": (name, inside(b"a", "\u0301\u0316".encode(), b""), 4000),
    "extra fields: empty ones": (extra, inside(b"", b"\x55\x78\0\0", b""), 4000),
    "archive: equal entries": (directory, entries(lambda _: Item(b"a")), 500),
    "archive: entries": (directory, entries(lambda i: Item(b"%d" % i)), 500),
    "archive: extra fields": (directory, entries(lambda _: Item(b"a", central_extra=b"\0\0\0\0" * 100)), 100),
    "archive: end records": (directory, inside(b"", b"PK\5\6", b"")  , 100_000),
    "multipart: boundaries that are none": (multipart, inside(FORM_FILE, b"\r\n--", b""), 50_000),
    "multipart: a preamble": (multipart, inside(b"", b"\r\n-", b""), 50_000),
    "multipart: a header": (multipart, inside(b"--b\r\nA: ", b";a=", b""), 50_000),
    "header: options": (options, inside(b"a", b';a="\\', b""), 4000),
    "header: entity tags": (etags, inside(b"", b'"a" ', b""), 4000),
    "header: open entity tags": (etags, inside(b"", b"W/", b'"'), 4000),
    "header: ranges": (byte_ranges, inside(b"bytes=", numbered("{i}-{i}", ","), b""), 4000),
}  # fmt: skip


@pytest.mark.parametrize(("parse", "make", "n"), ROWS.values(), ids=ROWS.keys())
def test_four_times_the_input_is_no_more_than_a_few_times_the_work(parse: Parse, make: Make, n: int) -> None:
    def prepared(size: int) -> Callable[[], object]:
        data = make(size)

        def work() -> object:
            try:
                return parse(data)
            except (strict_json.JsonRejected, PackageRejected, MultipartError, ValidationError):
                return None

        return work

    assert growth(prepared, n) < LINEAR


def test_a_quadratic_parser_would_be_found() -> None:
    names = [str(i) for i in range(2000)]
    assert growth(lambda n: lambda: [names[:n].count(name) for name in names[:n]], 500) > LINEAR
