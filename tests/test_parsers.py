"""No parser of strangers' bytes is superlinear: each is fed 64 KiB, 1 MiB and 10 MiB of the worst that is known for it.

A new parser gets its rows here. An input is text that is repeated, or a function that makes one of about `n` units.
What a parser refuses by its length is measured below that length; what takes a second for 10 MiB, up to 1 MiB.
The settings are the operator's: the standard library's TOML is quadratic in the levels of a key.
"""

import base64
import importlib
import itertools
import pkgutil
import re
import zlib
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import cbor2
import jwt
import pytest
from bottle import LocalRequest
from multipart import PushMultipartParser, parse_options_header
from pydantic import TypeAdapter

import mosis_device
import portal
from mosis_device import package as device_package
from mosis_device.document import Refused as DeviceRefused
from mosis_device.fetch import Bounds
from portal.http import authentication, browsers, conditional, digests, forms, idempotency, paging, ranges, schemas, tus
from portal.images import source, structure
from portal.images.errors import ImageRejected
from portal.packages import extra_fields, identifiers, manifest, mismatch, package, paths, signature, strict_json, texts
from portal.packages.archive import read_directory
from portal.packages.limits import Limits
from portal.packages.records import END
from portal.printable import printable
from portal.settings import Settings
from portal.store import authenticators, plain_cbor, search, tokens
from portal.store.errors import Refused
from portal.web import resend, text
from tests.packages import hostile
from tests.packages.hostile import Item
from tests.support.growth import KIB, MIB, SIZES, SUPERLINEAR, exponent, processor_time

pytestmark = pytest.mark.seconds(60)

Parse = Callable[[bytes], object]
Make = Callable[[int], bytes]

REFUSALS = (Refused, DeviceRefused, ImageRejected, ValueError, jwt.PyJWTError)
TO_1_MIB = (4 * KIB, 64 * KIB, MIB)
BELOW_A_BODY = (KIB, 16 * KIB, forms.JSON_MAX)
BELOW_A_NOTE = (64, 512, text.NOTES_MAX)
FORM_FILE = b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n'
UNBOUNDED = 1 << 40
AT_ONCE = 0.005  # seconds for 16 KiB, ten times what a linear pattern takes
NO_LIMITS = Limits(package_bytes=UNBOUNDED, unpacked_bytes=UNBOUNDED, entries=UNBOUNDED, ratio=UNBOUNDED)
SETTINGS = Settings(root=Path("/nowhere"))


class Pieces(BytesIO):
    """A body that arrives byte by byte."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(1 if size else 0)


def sent(**environ: object) -> LocalRequest:
    return LocalRequest({"REQUEST_METHOD": "POST", "PATH_INFO": "/", "wsgi.input": BytesIO(), **environ})


def with_body(data: bytes, media_type: str, **more: object) -> LocalRequest:
    return sent(**{"CONTENT_LENGTH": str(len(data)), "CONTENT_TYPE": media_type, "wsgi.input": Pieces(data), **more})


def header(name: str, parse: Callable[[LocalRequest], object]) -> Parse:
    variable = f"HTTP_{name.upper().replace('-', '_')}"
    return lambda data: parse(sent(**{variable: data.decode("latin-1")}))


def strict(data: bytes) -> object:
    return strict_json.parse(data, max_bytes=UNBOUNDED)


def manifest_json(data: bytes) -> object:
    return manifest.parse(data, max_bytes=UNBOUNDED)


def json_body(data: bytes) -> object:
    return forms.json_body(with_body(data, "application/json"), schemas.Installed)


def form_fields(data: bytes) -> object:
    return forms.text_fields(with_body(data, resend.TYPE), ("a", "b"))


def form_again(data: bytes) -> object:
    made = {"HTTP_SEC_FETCH_SITE": "same-origin", "PATH_INFO": "/console/apps"}
    return resend.kept(SETTINGS, with_body(data, resend.TYPE, **made).environ)


def fingerprint(data: bytes) -> object:
    boundary = "b" * 10 * KIB
    return idempotency._Fingerprinted(with_body(data, f"multipart/form-data; boundary={boundary}")).digest()


def query(data: bytes) -> object:
    return authentication._require_no_token_in_url(sent(QUERY_STRING=data.decode()))


def directory(data: bytes) -> object:
    return read_directory(BytesIO(data), len(data), NO_LIMITS)


def archive(tmp_path: Path) -> Callable[[Callable[[Path], object]], Parse]:
    def parser(read: Callable[[Path], object]) -> Parse:
        def parse(data: bytes) -> object:
            (tmp_path / "package.mosis").write_bytes(data)
            return read(tmp_path / "package.mosis")

        return parse

    return parser


def not_signed(statement: bytes) -> object:
    return mismatch.reason(bytes(32), base64.b64encode(bytes(64)).decode(), statement)


def on_a_device(data: bytes) -> object:
    from zipfile import ZipInfo

    bounds = Bounds(entries=UNBOUNDED, unpacked=UNBOUNDED)
    return device_package._check([ZipInfo(name) for name in data.decode().split("\n")], bounds)


def collisions(data: bytes) -> object:
    return list(paths.collisions(data.decode().split("\n")))


def name(data: bytes) -> object:
    return list(paths.faults(data.decode()))


def multipart(data: bytes, piece: int = 64 * KIB) -> object:
    with PushMultipartParser("b", max_segment_count=16) as parser:
        return [event for at in range(0, len(data), piece) for event in parser.parse(data[at : at + piece])]


def bytewise(data: bytes) -> object:
    return multipart(data, piece=1)


def identifier(kind: object) -> Parse:
    return lambda data: TypeAdapter(kind).validate_python(data.decode())


def etags(data: bytes) -> object:
    return conditional.evaluate({"if-none-match": data.decode()}, '"x"', 0)


def date(data: bytes) -> object:
    return conditional.parse_date(data.decode())


def byte_ranges(data: bytes) -> object:
    return ranges.parse(data.decode(), 10**9)


def cbor(data: bytes) -> object:
    return plain_cbor.items(data), cbor2.loads(data, allow_duplicate_keys=False)


def client_data(data: bytes) -> object:
    return authenticators.challenge_in({"response": {"clientDataJSON": base64.urlsafe_b64encode(data).decode()}})


def id_token(data: bytes) -> object:
    return jwt.decode(data, options={"verify_signature": False})


def searched(data: bytes) -> object:
    return search.expression(data.decode())


def notes(data: bytes) -> object:
    return text.notes.__wrapped__(data.decode())


def numbered(words: str, separator: str = "") -> Make:
    """`words` with `{i}` counted up and `{half}` counted at half the speed."""
    return lambda n: separator.join(words.format(i=i, half=i // 2) for i in range(n)).encode()


def inside(before: bytes, middle: Make | bytes, after: bytes) -> Make:
    return lambda n: before + (middle * n if isinstance(middle, bytes) else middle(n)) + after


def in_base64(make: Make, before: bytes = b"", after: bytes = b"") -> Make:
    return lambda n: before + base64.urlsafe_b64encode(make(n)).rstrip(b"=") + after


def entries(item: Callable[[int], Item]) -> Make:
    def made(n: int) -> bytes:
        records = b"".join(item(i).central_record(0) for i in range(n))
        return records + END.pack(b"PK\5\6", 0, 0, n % 65536, n % 65536, len(records), 0, 0)

    return made


def blocks(block: bytes) -> Make:
    """A package whose one file is many blocks of deflate."""
    return lambda n: hostile.build([hostile.MANIFEST, Item(b"x", b"", method=8, data=block * n + b"\3\0")])


TOKEN_HEAD = in_base64(lambda _: b'{"alg":"RS256"}', after=b".")(1)
PNG, JPEG, WEBP = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xd8", b"RIFF\0\0\0\0WEBP"

EMPTY_CHUNK = b"\0\0\0\0tEXt" + zlib.crc32(b"tEXt").to_bytes(4)

ROWS: dict[str, tuple[Parse, Make] | tuple[Parse, Make, tuple[int, int, int]]] = {
    "JSON: the last name twice": (strict, inside(b"{", numbered('"{i}":0', ","), b',"1":0}'), TO_1_MIB),
    "JSON: two names twice": (strict, inside(b'{"y":0,', numbered('"{i}":0', ","), b',"x":0,"x":0}'), TO_1_MIB),
    "JSON: each name twice": (strict, inside(b"{", numbered('"{half}":0', ","), b"}"), TO_1_MIB),
    "JSON: open strings": (strict, inside(b"[", b'"\\', b"]")),
    "JSON: escapes": (strict, inside(b'"', b"\\\\", b"")),
    "JSON: too deep": (strict, inside(b"", b'{"":[', b""), TO_1_MIB),
    "JSON: digits": (strict, inside(b"[0.", b"1", b"]")),
    "JSON: an exponent": (strict, inside(b"[0e-", b"9", b"]")),
    "JSON: an integer": (strict, inside(b"[", b"9", b"]")),
    "JSON: integers": (strict, inside(b"[", b"9" * 4000 + b",", b"0]"), TO_1_MIB),
    "JSON: lines before a fault": (strict, inside(b"", b"\n", b"x")),
    "body: unknown names": (json_body, inside(b"{", numbered('"{i}":0', ","), b"}"), BELOW_A_BODY),
    "body: apps of no number": (json_body, inside(b'{"apps":{', numbered('"{i}":[]', ","), b"}}"), BELOW_A_BODY),
    "body: one long name": (json_body, inside(b'{"', b"a", b'":0}'), BELOW_A_BODY),
    "form: fields": (form_fields, inside(b"", numbered("{i}=%20", "&"), b""), BELOW_A_BODY),
    "form: escapes": (form_fields, inside(b"a=", b"%41+", b""), BELOW_A_BODY),
    "form: kept to be sent again": (form_again, inside(b"", numbered("{i}=%20", "&"), b""), BELOW_A_BODY),
    "form: a long boundary": (fingerprint, inside(b"", b"x", b""), TO_1_MIB),
    "manifest: unknown keys": (manifest_json, inside(b"{", numbered('"{i}":0', ","), b"}"), TO_1_MIB),
    "manifest: keys under x-": (manifest_json, inside(b"{", numbered('"x-{i}":0', ","), b"}"), TO_1_MIB),
    "manifest: permissions": (manifest_json, inside(b'{"permissions":[', numbered('"a{i}"', ","), b"]}"), TO_1_MIB),
    "manifest: a long homepage": (manifest_json, inside(b'{"homepage":"https://', "\u00fc".encode(), b'"}'), TO_1_MIB),
    "manifest: a long id": (manifest_json, inside(b'{"id":"', b"a.", b'"}'), TO_1_MIB),
    "signature: a long one": (signature.parse, inside(b'{"signature":"', b"A", b'"}')),
    "app id: labels": (identifier(identifiers.AppId), inside(b"a", b".con", b"")),
    "developer id: hyphens": (identifier(identifiers.DeveloperId), inside(b"a", b"-", b"")),
    "version: pre-release": (identifier(identifiers.SemVer), inside(b"1.0.0-", b"0a.", b"!")),
    "signature: directories that nobody signed": (
        not_signed, inside(b"\n" * 4, numbered("{i:064x}  0  d{i}/\n"), b""), TO_1_MIB),
    "names: a deep one": (collisions, inside(b"", b"x/", b"y")),
    "names: deep ones": (collisions, numbered("{i}/\u00e9/\u00df/\u0130/" * 4 + "x", "\n"), TO_1_MIB),
    "names: equal ones": (collisions, inside(b"", b"a/b/c\n", b"a"), TO_1_MIB),
    "names: one directory in two spellings": (collisions, inside(b"A/0\n", numbered("a/{i}", "\n"), b""), TO_1_MIB),
    "names on a device: deep ones": (on_a_device, numbered("{i}/\u00e9/\u00df/\u0130/" * 4 + "x", "\n"), TO_1_MIB),
    "name: components": (name, inside(b"", b"con/", b"")),
    "name: combining marks": (name, inside(b"a", "\u0301\u0316".encode(), b"")),
    "extra fields: empty ones": (extra_fields.fault, inside(b"", b"\x55\x78\0\0", b"")),
    "archive: equal entries": (directory, entries(lambda _: Item(b"a")), TO_1_MIB),
    "archive: entries": (directory, entries(lambda i: Item(b"%d" % i)), TO_1_MIB),
    "archive: extra fields": (directory, entries(lambda _: Item(b"a", central_extra=b"\0\0\0\0" * 100)), TO_1_MIB),
    "archive: end records": (directory, inside(b"", b"PK\5\6", b"")),
    "multipart: boundaries that are none": (multipart, inside(FORM_FILE, b"\r\n--", b"")),
    "multipart: the same, byte by byte": (bytewise, inside(FORM_FILE, b"\r\n--", b""), TO_1_MIB),
    "multipart: a preamble": (multipart, inside(b"", b"\r\n-", b"")),
    "multipart: a preamble, byte by byte": (bytewise, inside(b"", b"\r\n-", b""), TO_1_MIB),
    "multipart: a header": (multipart, inside(b"--b\r\nA: ", b";a=", b"")),
    "multipart: a header, byte by byte": (bytewise, inside(b"--b\r\nA: ", b";a=", b"")),
    "header: options": (lambda data: parse_options_header(data.decode()), inside(b"a", b';a="\\', b""), TO_1_MIB),
    "header: blanks": (lambda data: parse_options_header(data.decode()), inside(b"a", b"; ", b"a")),
    "header: entity tags": (etags, inside(b"", b'"a" ', b""), TO_1_MIB),
    "header: open entity tags": (etags, inside(b"", b"W/", b'"')),
    "header: a date": (date, inside(b"Thu, ", b" 1", b"")),
    "header: ranges": (byte_ranges, inside(b"bytes=", numbered("{i}-{i}", ","), b"")),
    "header: a long range": (byte_ranges, inside(b"bytes=", b"9", b"-")),
    "header: digests": (header("Content-Digest", digests.guard), inside(b"", b"sha-256=:AAAA:,", b"a=:"), TO_1_MIB),
    "header: metadata of tus": (header("Upload-Metadata", tus.metadata), numbered("a{i} AAAA", ","), TO_1_MIB),
    "header: an offset": (header("Upload-Offset", lambda r: tus.number(r, "Upload-Offset")), inside(b"", b"9", b"")),
    "header: cookies": (header("Cookie", lambda r: browsers.secrets(SETTINGS, r)), inside(b"", b" =;", b""), TO_1_MIB),
    "header: an origin": (header("Origin", lambda r: browsers._is_own(SETTINGS, r)), inside(b"http://", b"[::]@", b"")),
    "header: an address": (lambda data: authentication.rate_limit_key(data.decode()), inside(b"", b"1:", b"")),
    "header: a key": (lambda data: idempotency.KEY.fullmatch(data.decode()), inside(b'"', b"a", b"")),
    "query: parameters": (query, numbered("{i}=%20", "&"), TO_1_MIB),
    "query: almost tokens": (lambda data: tokens.redacted(data.decode()), inside(b"", b"mosis_0", b""), TO_1_MIB),
    "cursor: digits": (lambda data: paging._key(data.decode(), (int,)), in_base64(inside(b"[", b"9", b"]"))),
    "ID token: names": (id_token, in_base64(numbered('"{i}":0', ","), TOKEN_HEAD, b".AAAA"), TO_1_MIB),
    "ID token: dots": (id_token, inside(TOKEN_HEAD, b".", b""), TO_1_MIB),
    "passkey: maps": (cbor, inside(b"\x9a\0\0\0\1", b"\xa0", b""), TO_1_MIB),
    "passkey: numbers": (cbor, lambda n: cbor2.dumps({1: [2**61 - 1] * n}), TO_1_MIB),
    "passkey: levels": (cbor, inside(b"", b"\x81", b"\0"), TO_1_MIB),
    "passkey: client data": (client_data, inside(b'{"challenge":', b"[", b""), TO_1_MIB),
    "text: what is not printed": (lambda data: printable(data.decode()), inside(b"", "\u202e".encode(), b""), TO_1_MIB),
    "text: a blank name": (lambda data: texts.one_line(data.decode()), inside(b"", "\u3164".encode(), b""), TO_1_MIB),
    "search: marks": (searched, inside(b"a", "\u0301\u0316".encode(), b""), TO_1_MIB),
    "search: marks of Japanese": (searched, inside("か".encode(), "\u3099\u309a".encode(), b""), TO_1_MIB),
    "search: characters": (searched, inside(b"", "辞".encode(), b""), TO_1_MIB),
    "search: words": (searched, inside(b"", b"a ", b""), TO_1_MIB),
    "notes: emphasis": (notes, inside(b"", b"*a **a ", b""), BELOW_A_NOTE),
    "notes: lists": (notes, inside(b"", b"- ", b"a"), BELOW_A_NOTE),
    "notes: code": (notes, inside(b"", b"` ``", b""), BELOW_A_NOTE),
    "image: chunks counted": (structure.fault, inside(PNG, EMPTY_CHUNK, b"")),
    "image: chunks": (source.read, inside(PNG, EMPTY_CHUNK, b"")),
    "image: a long chunk": (source.read, lambda n: PNG + n.to_bytes(4) + b"tEXt" + bytes(n + 4)),
    "image: scans": (structure.fault, inside(JPEG, b"\xff\xda\0\2", b"")),
    "image: segments": (source.read, inside(JPEG, b"\xff\xe2\0\x10ICC_PROFILE\0\1\1", b"")),
    "image: bytes between segments": (source.read, inside(JPEG, b"\xff\0", b"")),
    "image: frames": (structure.fault, inside(WEBP, b"ANMF\0\0\0\0", b"")),
}  # fmt: skip


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
def test_the_work_is_linear(row: tuple[Parse, Make]) -> None:
    parse, make, *sizes = row
    assert exponent(lambda size: work(parse, sized(make, size)), sizes[0] if sizes else SIZES) < SUPERLINEAR


@pytest.mark.parametrize("block", [b"\0\0\0\xff\xff", b"\2\0"], ids=["stored", "fixed"])
def test_empty_blocks_of_deflate_are_linear_work(block: bytes, tmp_path: Path) -> None:
    parse = archive(tmp_path)(lambda path: package.read(path, NO_LIMITS))
    assert exponent(lambda size: work(parse, sized(blocks(block), size))) < SUPERLINEAR


def patterns() -> Iterator[tuple[str, re.Pattern[str] | re.Pattern[bytes], bool]]:
    """Every compiled pattern of our modules, where it is, and whether it is searched for; the others only match."""
    found, sources = {}, ""
    for root in (portal, mosis_device):
        for found_module in pkgutil.walk_packages(root.__path__, f"{root.__name__}."):
            if not found_module.name.endswith("__main__"):
                module = importlib.import_module(found_module.name)
                sources += Path(module.__file__ or "").read_text()
                for name, value in vars(module).items():
                    if isinstance(value, re.Pattern):
                        found.setdefault(value, f"{found_module.name}.{name}")
    for pattern, where in found.items():
        calls = rf"\b{where.rpartition('.')[2]}\.(search|sub|split|find)"
        yield where, pattern, re.search(calls, sources) is not None


def fed(use: Callable[[Any], object], is_text: bool, before: str, unit: str) -> Callable[[int], Callable[[], object]]:
    """What uses a pattern for a text of some size, with a character at its end that no pattern ends with."""

    def make(size: int) -> Callable[[], object]:
        made = f"{before}{unit * (size // len(unit))}\0"
        subject = made if is_text else made.encode("latin-1")
        return lambda: use(subject)

    return make


def superlinear(pattern: re.Pattern[Any], searched: bool) -> tuple[str, str] | None:
    """A word of the pattern and what is repeated after it, in a text that takes the pattern superlinear time."""
    source, is_text = str(pattern.pattern), isinstance(pattern.pattern, str)
    units = {*re.findall('[A-Za-z0-9 \t"/.=-]', source), "a", "0", "\\", " a", '"\\', ".."}
    for before, unit in itertools.product(("", *re.findall('[A-Za-z0-9_ :"<-]{3,}', source)), units):
        make = fed(pattern.search if searched else pattern.fullmatch, is_text, before, unit)
        if processor_time(make(16 * KIB)) > AT_ONCE and exponent(make, (KIB, 4 * KIB, 16 * KIB)) >= SUPERLINEAR:
            return before, unit
    return None


def test_every_pattern_is_linear() -> None:
    """For texts of its own characters after each of its own words. What ends at once needs no second look."""
    found = {where: superlinear(pattern, searched) for where, pattern, searched in patterns()}
    assert "portal.store.tokens.PATTERN" in found
    assert {where: text for where, text in found.items() if text} == {}


def test_a_quadratic_pattern_would_be_found() -> None:
    assert superlinear(re.compile(" +x"), searched=True) == ("", " ")


def test_a_quadratic_parser_would_be_found() -> None:
    def counting(data: bytes) -> object:
        names = [data[at : at + 64] for at in range(0, len(data), 64)]
        return [names.count(name) for name in names]

    numbers = numbered("{i:064}")
    assert exponent(lambda size: work(counting, numbers(size // 64)), (16 * KIB, 64 * KIB, 256 * KIB)) > SUPERLINEAR


def sized(make: Make, size: int) -> bytes:
    """About `size` bytes."""
    unit = (len(make(300)) - len(make(100))) / 200
    return make(max(1, int(size / unit)))


def work(parse: Parse, data: bytes) -> Callable[[], object]:
    def done() -> object:
        try:
            return parse(data)
        except REFUSALS:
            return None

    return done
