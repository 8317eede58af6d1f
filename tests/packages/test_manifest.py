"""What a manifest may say."""

import json

import pytest

from portal.packages import manifest as manifests
from portal.packages.errors import PackageRejected

from .samples import manifest

ACCEPTED = {
    "minimal": {},
    "everything": {
        "description": "Reads.\n\n\t- and writes",
        "author": "Ada Lovelace",
        "license": "MIT OR Apache-2.0",
        "homepage": "https://example.org/reader?a=b#c",
        "entry": "main.py",
        "permissions": ["network", "storage.read", "camera:front"],
        "min_api": 3,
        "changelog": "First.",
        "x-build": {"commit": "abc", "dirty": False, "list": [1, 2.5, None]},
    },
    "a name in emoji": {"name": "👩‍💻 می‌خواهم"},
    "largest version code": {"version_code": 2**53 - 1},
    "pre-release": {"version_name": "1.0.0-alpha-a.b-c+exp.sha-5114f85"},
    "schema for an editor": {"$schema": "https://store.example.org/schemas/manifest.json"},
    "nothing for an option": {"author": None},
}

REFUSED = {
    "version 2": ({"manifest_version": 2}, '"manifest_version"'),
    "version true": ({"manifest_version": True}, '"manifest_version"'),
    "version 1.0": ({"manifest_version": 1.0}, '"manifest_version"'),
    "no id": ({"id": None}, '"id" is missing'),
    "id": ({"id": "Reader"}, '"id" must be a reverse-DNS identifier'),
    "id as number": ({"id": 5}, '"id"'),
    "no name": ({"name": None}, '"name" is missing'),
    "blank name": ({"name": "  "}, '"name" must not be blank'),
    "long name": ({"name": "x" * 101}, '"name"'),
    "name of lines": ({"name": "a\nb"}, '"name" must be a single line'),
    "name with NUL": ({"name": "a\0b"}, '"name" must not contain control'),
    "name right to left": ({"name": "a\u202eb"}, '"name" must not contain control'),
    "version name": ({"version_name": "1.0"}, '"version_name" must be a version according to Semantic Versioning'),
    "version code 0": ({"version_code": 0}, '"version_code"'),
    "version code as text": ({"version_code": "1"}, '"version_code"'),
    "version code 1.0": ({"version_code": 1.0}, '"version_code"'),
    "version code true": ({"version_code": True}, '"version_code"'),
    "version code beyond": ({"version_code": 2**53}, '"version_code"'),
    "huge version code": ({"version_code": 10**400}, '"version_code"'),
    "homepage": ({"homepage": "javascript:alert(1)"}, '"homepage"'),
    "homepage with a file": ({"homepage": "file:///etc/passwd"}, '"homepage"'),
    "homepage of lines": ({"homepage": "https://example.org/\nx"}, '"homepage"'),
    "entry outside": ({"entry": "../run"}, '"entry" must stay inside'),
    "absolute entry": ({"entry": "/bin/sh"}, '"entry" must stay inside'),
    "permissions as text": ({"permissions": "network"}, '"permissions" must be a list of strings.'),
    "homepage by mail": ({"homepage": "mailto:a@b.c"}, "\"homepage\" URL scheme should be 'http' or 'https'."),
    "homepage with a space": ({"homepage": "https://example.org/ "}, '"homepage" must not contain spaces.'),
    "permission with blanks": ({"permissions": ["a b"]}, '"permissions.0" must be names'),
    "permission twice": ({"permissions": ["a", "a"]}, '"permissions" must not repeat'),
    "many permissions": ({"permissions": [f"p{n}" for n in range(101)]}, '"permissions"'),
    "min_api": ({"min_api": 0}, '"min_api"'),
    "unknown key": ({"versoin": 1}, '"versoin" is not a known key; custom keys start with `x-`'),
    "a schema that is no URL": ({"$schema": {}}, '"$schema" is not a known key'),
    "bad extension": ({"x-": 1}, '"x-" is not a known key'),
    "method of the model": ({"model_dump": 1}, '"model_dump" is not a known key'),
    "dunder": ({"__class__": 1}, '"__class__" is not a known key'),
    "key that breaks lines": ({"a\r\nb": 1}, r'"a\r\nb" is not a known key'),
}


def test_read() -> None:
    data = json.dumps(manifest(**ACCEPTED["everything"])).encode()
    read = manifests.parse(data)
    assert (read.id, read.version_code, read.min_api) == ("org.example.reader", 1, 3)
    assert read.permissions == ("network", "storage.read", "camera:front")
    assert read.model_extra == {"x-build": {"commit": "abc", "dirty": False, "list": [1, 2.5, None]}}
    assert manifests.parse(json.dumps(read.model_dump(mode="json")).encode()) == read


@pytest.mark.parametrize("changes", ACCEPTED.values(), ids=ACCEPTED)
def test_accepted(changes: dict[str, object]) -> None:
    manifests.parse(json.dumps(manifest() | changes).encode())


@pytest.mark.parametrize(("changes", "reason"), REFUSED.values(), ids=REFUSED)
def test_refused(changes: dict[str, object], reason: str) -> None:
    with pytest.raises(PackageRejected) as refusal:
        manifests.parse(json.dumps(manifest(**changes)).encode())
    assert len(refusal.value.errors) == 1
    assert refusal.value.errors[0].startswith(f"manifest.json: {reason}")
    assert refusal.value.errors[0].endswith(".")


@pytest.mark.parametrize("document", ["[]", "null", '"x"', "1"])
def test_no_object(document: str) -> None:
    with pytest.raises(PackageRejected, match=r"^manifest\.json: must be an object\.$"):
        manifests.parse(document.encode())


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (b"[" * 10_000, "nested deeper than 32"),
        (b'{"x-a": "' + b"a" * 10_000_000 + b'"}', "10000011 bytes long, more than the 262144 allowed"),
        (json.dumps(manifest()).encode().replace(b'"id"', b'"id": "a.b", "id"'), "twice in one object"),
        (json.dumps(manifest()).encode().replace(b": 1,", b": NaN,"), "NaN"),
        (b"\xef\xbb\xbf" + json.dumps(manifest()).encode(), "byte order mark: save it as UTF-8 without one"),
        (json.dumps(manifest()).encode("utf-16"), "byte order mark: save it as UTF-8 without one"),
    ],
    ids=["deep", "10 MB", "name twice", "NaN", "byte order mark", "UTF-16"],
)
def test_documents_that_hurt(document: bytes, reason: str) -> None:
    with pytest.raises(PackageRejected) as refusal:
        manifests.parse(document)
    assert len(refusal.value.errors) == 1
    assert reason in refusal.value.errors[0]


def test_all_reasons_at_once() -> None:
    with pytest.raises(PackageRejected) as refusal:
        manifests.parse(b'{"manifest_version": 2, "id": "x", "extra": 1, "min_api": "3"}')
    fields = {error.split('"')[1] for error in refusal.value.errors}
    assert fields == {"manifest_version", "id", "extra", "min_api", "name", "version_name", "version_code"}


def test_schema() -> None:
    schema = manifests.json_schema()
    assert schema["$schema"].endswith("2020-12/schema")
    assert schema["required"] == ["manifest_version", "id", "name", "version_name", "version_code"]
    assert schema["additionalProperties"] is False
    assert list(schema["patternProperties"]) == ["^x-[a-z0-9][a-z0-9_-]*$"]
    assert all("description" in field for field in schema["properties"].values())
    json.dumps(schema, allow_nan=False)
