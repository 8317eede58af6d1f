"""Identifiers that are the same in a URL, on any file system and in a signed statement."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from portal.packages import paths
from portal.packages.identifiers import AppId, DeveloperId, SemVer, valid_app_id, valid_developer_id


@pytest.mark.parametrize(
    "app_id",
    ["a.b", "org.example.reader", "org.7zip.app", "com.my-company.my_app", "x" * 63 + ".y", "a." + ".".join("b" * 63)],
)
def test_app_id(app_id: str) -> None:
    assert valid_app_id(app_id)


@pytest.mark.parametrize(
    "app_id",
    [
        "", "a", "reader", ".a.b", "a.b.", "a..b", "A.b", "org.Example.reader", "1.b", "-a.b", "a-.b", "a.b-", "_a.b",
        "a.b\n", "a.b ", "a/b.c", "a.b/..", "a.b\\c", "a.b%2f", "ä.b", "a.\uff42", "x" * 64 + ".y", "a." * 64 + "bc",
        "con.app", "org.nul", "org.com1.app", "lpt9.x", "aux.a", "org.prn.a", "a.b\0",
    ],
)  # fmt: skip
def test_no_app_id(app_id: str) -> None:
    assert not valid_app_id(app_id)


@pytest.mark.parametrize("kind", [AppId, DeveloperId])
@given(data=st.data())
def test_ids_make_the_same_paths_on_every_file_system(kind: object, data: st.DataObject) -> None:
    """Also where case is ignored, where names are reserved, and where few characters are allowed (FAT, exFAT, NTFS)."""
    pattern = TypeAdapter(kind).json_schema()["pattern"]
    value = data.draw(
        st.from_regex(re.compile(pattern, re.ASCII), fullmatch=True).filter(lambda text: fits(kind, text))
    )
    assert value == value.casefold() and value.isascii()
    assert list(paths.faults(f"packages/{value}/1/package.mosis")) == []


@pytest.mark.parametrize(
    ("developer_id", "valid"),
    [
        ("acme", True), ("a", True), ("a-b-2", True), ("7zip", True), ("x" * 63, True), ("x" * 64, False), ("", False),
        ("-a", False), ("a-", False), ("Acme", False), ("a_b", False), ("a.b", False), ("..", False), ("a\n", False),
        ("con", False), ("com1", False), ("ä", False),
    ],
)  # fmt: skip
def test_developer_id(developer_id: str, valid: bool) -> None:
    assert valid_developer_id(developer_id) == valid


@pytest.mark.parametrize(
    ("version", "valid"),
    [
        ("0.0.0", True), ("1.2.3", True), ("1.0.0-alpha", True), ("1.0.0-alpha.1", True), ("1.0.0-0a", True),
        ("1.0.0--", True), ("1.0.0+001", True), ("1.0.0-a+b.c", True), ("1", False), ("1.0", False),
        ("01.0.0", False), ("1.0.0-", False), ("1.0.0-01", False), ("1.0.0+", False), ("1.0.0-a..b", False),
        ("v1.0.0", False), ("1.0.0\n", False), ("1.0.٣", False), ("1.0.0/..", False), ("1.0." + "9" * 61, False),
    ],
)  # fmt: skip
def test_semver(version: str, valid: bool) -> None:
    assert fits(SemVer, version) == valid


def fits(kind: object, value: str) -> bool:
    try:
        TypeAdapter(kind).validate_python(value)
    except ValidationError:
        return False
    return True
