"""Uploads whose form is right and whose package is not."""

import json
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from portal.packages import signature
from tests.http.bad_inputs import (
    VALIDATION_ERROR,
    Row,
    form,
    part,
    upload,
)
from tests.packages.hostile import DEFLATED, FILE, MANIFEST, SIGNATURE, build, file, package, quoted_overlap_bomb
from tests.packages.samples import KEY, manifest
from tests.packages.test_archive import REFUSED

REVOKED_KEY = Ed25519PrivateKey.from_private_bytes(b"revoked ".ljust(32))
FOREIGN_KEY = Ed25519PrivateKey.from_private_bytes(b"foreign ".ljust(32))
UNKNOWN_KEY = Ed25519PrivateKey.from_private_bytes(b"unknown ".ljust(32))
DOCUMENT = json.dumps(manifest()).encode()


def with_manifest(document: bytes) -> bytes:
    return build([replace(MANIFEST, content=document), FILE, SIGNATURE])


def member(name: str, value: str) -> bytes:
    """The manifest with a member as literal JSON; of a name that is there twice, readers disagree."""
    return with_manifest(DOCUMENT[:-1] + f', "{name}": {value}}}'.encode())


def with_signature(document: bytes) -> bytes:
    return build([MANIFEST, FILE, replace(SIGNATURE, content=document)])


def signed(
    key: Ed25519PrivateKey, *, named: Ed25519PrivateKey | None = None, over: bytes | None = None, **changes: object
) -> bytes:
    """A package signed with `key`, which says to be signed with `named`; `over` replaces what is signed."""
    document = json.dumps(manifest(**changes)).encode()
    if over is None:
        contents = [
            signature.ContentDigest(name.decode(), len(content), sha256(content).hexdigest())
            for name, content in ((MANIFEST.name, document), (FILE.name, FILE.content))
        ]
        fields = manifest(**changes)
        over = signature.statement(fields["id"], fields["version_name"], fields["version_code"], contents)
    file_ = signature.SignatureFile(
        alg="ed25519",
        key_id=signature.key_id(signature.raw_public_key(named or key)),
        signature=signature.sign(key, over),
    )
    return build([replace(MANIFEST, content=document), FILE, replace(SIGNATURE, content=file_.to_json())])


MANIFESTS = {
    "a manifest of 10 MB": (with_manifest(b'{"name": "' + b"a" * 10_000_000 + b'"}'), "more than the 262144 allowed"),
    "a manifest nested 10,000 deep": (with_manifest(b"[" * 10_000 + b"]" * 10_000), "nested deeper than 32 levels"),
    "a manifest with a byte order mark": (with_manifest(b"\xef\xbb\xbf" + DOCUMENT), "a byte order mark"),
    "a manifest in UTF-16": (with_manifest(DOCUMENT.decode().encode("utf-16-le")), "manifest.json is not JSON"),
    "a manifest in Latin-1": (with_manifest('{"name": "Bücher"}'.encode("latin-1")), "manifest.json is not UTF-8"),
    "an empty manifest": (with_manifest(b""), "manifest.json is not JSON"),
    "a manifest with a comment": (with_manifest(b"// mine\n" + DOCUMENT), "manifest.json is not JSON"),
    "a manifest that is a list": (with_manifest(b"[]"), "manifest.json: must be an object"),
    "a manifest with two ids": (member("id", '"org.example.other"'), 'the name "id" twice'),
    "a manifest with NaN": (member("x-a", "NaN"), "not a finite number"),
    "a manifest with a number beyond doubles": (member("x-a", "1e999"), "not a finite number"),
    "a manifest with an integer of 5,000 digits": (member("x-a", "9" * 5000), "an integer of thousands of digits"),
    "a manifest with half a surrogate pair": (member("x-a", '"\\ud800"'), "a lone surrogate"),
    "a manifest with an unknown key": (member("colour", '"red"'), '"colour" is not a known key'),
    "a manifest with a home page in JavaScript": (member("homepage", '"javascript:alert(1)"'), '"homepage"'),
    "a manifest whose entry leaves the package": (member("entry", '"../../etc/passwd"'), '"entry" must stay inside'),
    "a manifest whose author writes backwards": (member("author", '"\\u202egnp"'), '"author" must not contain control'),
    "a manifest with a name of two lines": (
        with_manifest(json.dumps(manifest(name="a\r\nb")).encode()),
        '"name" must be a single line',
    ),
    "a manifest without an id": (with_manifest(json.dumps(manifest(id=None)).encode()), '"id" is missing'),
    "a manifest whose id is a path": (with_manifest(json.dumps(manifest(id="../../x")).encode()), '"id" must be a rev'),
    "a manifest whose id is a device": (with_manifest(json.dumps(manifest(id="org.nul")).encode()), "device name"),
    "a manifest with a version code as text": (
        with_manifest(json.dumps(manifest(version_code="1")).encode()),
        '"version_code" should be a valid integer',
    ),
    "a manifest with version code 0": (
        with_manifest(json.dumps(manifest(version_code=0)).encode()),
        '"version_code" should be greater',
    ),
    "a manifest with version code 1.0": (
        with_manifest(json.dumps(manifest(version_code=1.0)).encode()),
        '"version_code" should be a valid integer',
    ),
    "a manifest with a version code beyond JSON's integers": (
        with_manifest(json.dumps(manifest(version_code=2**53)).encode()),
        '"version_code" should be less',
    ),
    "a manifest of a future format": (
        with_manifest(json.dumps(manifest(manifest_version=2)).encode()),
        '"manifest_version" should be less',
    ),
    "a manifest with a version of two numbers": (
        with_manifest(json.dumps(manifest(version_name="1.0")).encode()),
        '"version_name" must be a version',
    ),
}

SIGNATURES = {
    "no signature": (build([MANIFEST, FILE]), "META-INF/mosis.sig is missing"),
    "an empty signature file": (with_signature(b""), "META-INF/mosis.sig is not JSON"),
    "a signature file of 10 KB": (with_signature(b" " * 10_000), "more than the 1024 allowed"),
    "a signature file with two key ids": (
        with_signature(SIGNATURE.content[:-1] + b', "key_id": "' + b"1" * 32 + b'"}'),
        'the name "key_id" twice',
    ),
    "a signature of another algorithm": (
        with_signature(SIGNATURE.content.replace(b"ed25519", b"none")),
        '"alg" should be',
    ),
    "a signature that is no base64": (
        with_signature(b'{"alg": "ed25519", "key_id": "%b", "signature": "%b"}' % (b"0" * 32, b"!" * 88)),
        '"signature" is not base64',
    ),
    "a signature of 63 bytes": (
        with_signature(b'{"alg": "ed25519", "key_id": "%b", "signature": "%b"}' % (b"0" * 32, b"A" * 84)),
        '"signature" is 63 bytes long',
    ),
    "a package of a key nobody registered": (signed(UNKNOWN_KEY), "is not registered"),
    "a package of another developer's key": (signed(FOREIGN_KEY), "is registered for another developer"),
    "a package of a revoked key": (signed(REVOKED_KEY), "is revoked"),
    "a package of one key that names another": (signed(UNKNOWN_KEY, named=KEY), "The signature does not match"),
    "a signature over nothing": (signed(KEY, over=b""), "The signature does not match"),
    "a signature of zeros": (
        with_signature(
            SIGNATURE.content.replace(b"0" * 32, signature.key_id(signature.raw_public_key(KEY)).encode(), 1)
        ),
        "The signature does not match",
    ),
    "a package of another app": (signed(KEY, id="org.example.other"), "the upload declares 'org.example.reader'"),
}

BOMBS = {
    "42 entries that quote each other's headers": (quoted_overlap_bomb(42, bytes(100_000)), "overlaps"),
    "500 entries that quote each other's headers": (quoted_overlap_bomb(500, bytes(10_000)), "overlaps"),
    "50 MB of zeros": (package(file(method=DEFLATED, content=bytes(50_000_000))), "more than 100 to 1"),
    "65,534 entries": (package(FILE, here=65534, count=65534), "65534 entries, more than the 10000 allowed"),
    "files that say to unpack to 4 GiB": (
        package(file(method=DEFLATED, central={"unpacked": 2**32 - 2}, local={"unpacked": 2**32 - 2})),
        "more than the 536870912 (537 MB) allowed",
    ),
}


def rows() -> Iterator[Row]:
    archives = {f"an archive: {what}": (data, reasons[0]) for what, (data, reasons) in REFUSED.items()}
    for what, (data, reason) in (archives | BOMBS | MANIFESTS | SIGNATURES).items():
        yield Row(what, upload(form(part("package", data))), VALIDATION_ERROR, reason)
