"""Signed URLs and their keys."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from portal.store import presign
from portal.store.clock import now
from portal.store.errors import Refused
from portal.store.presign import Grant

GRANT = Grant("PUT", "/api/uploads/1", 10, "ab" * 32, now() + 86400, "1")  # the whole suite may take long


@pytest.fixture
def path(tmp_path: Path) -> Path:
    presign.create(tmp_path / "secrets" / "keys")
    return tmp_path / "secrets" / "keys"


def query(keys: list[presign.Key], grant: Grant = GRANT) -> dict[str, list[str]]:
    return {name: [value] for name, value in presign.sign(keys, grant).items()}


def verify(keys: list[presign.Key], values: dict[str, list[str]], method: str = "PUT") -> Grant:
    return presign.verify(keys, method, GRANT.path, GRANT.subject, values)


def test_what_was_signed_is_what_is_granted(path: Path) -> None:
    keys = presign.load(path)
    assert verify(keys, query(keys)) == GRANT


def test_every_part_is_signed(path: Path) -> None:
    keys = presign.load(path)
    signatures = {
        presign.sign(keys, Grant(**(vars(GRANT) | change)))["signature"]
        for change in (
            {}, {"method": "GET"}, {"path": "/other"}, {"size": 11}, {"sha256": None}, {"expires_at": 1},
            {"subject": "2"},
        )
    }  # fmt: skip
    assert len(signatures) == 7
    with pytest.raises(Refused) as refused:
        verify(keys, query(keys), method="GET")
    assert refused.value.code == "URL_INVALID"


def test_the_statement_is_what_the_documentation_says() -> None:
    key = presign.Key("00" * 8, 0, bytes(32))
    assert presign.sign([key], Grant("PUT", "/p", 5, None, 100, "u"))["signature"] == (
        "21bbcbd5baa103166fc34e191e8285ebfadb32323c17f9a54dc8ce843a1bb928"
    )


def test_the_first_keys_are_kept(path: Path) -> None:
    keys = presign.load(path)
    presign.create(path)
    assert presign.load(path) == keys
    assert path.stat().st_mode & 0o777 == presign.KEY_FILE_MODE


def test_the_newest_signs_and_both_verify(path: Path) -> None:
    before = presign.load(path)
    new = presign.rotate(path, lifetime=900)
    after = presign.load(path)
    assert [key.key_id for key in after] == [new.key_id, before[0].key_id]
    assert verify(after, query(before)) == verify(after, query(after)) == GRANT
    assert presign.sign(after, GRANT)["key"] == new.key_id


def test_a_second_rotation_waits_until_no_url_needs_the_first_key(path: Path) -> None:
    first = presign.load(path)
    presign.rotate(path, lifetime=900)
    with pytest.raises(Refused) as refused:
        presign.rotate(path, lifetime=900)
    assert refused.value.code == "KEY_CONFLICT"
    presign.rotate(path, lifetime=0)
    keys = presign.load(path)
    assert len(keys) == presign.KEYS_LIVE
    with pytest.raises(Refused):
        verify(keys, query(first))


def test_a_key_that_leaked_goes_at_once(path: Path) -> None:
    leaked = presign.load(path)
    presign.rotate(path, lifetime=900)
    presign.rotate(path, lifetime=900, drop=True)
    [key] = presign.load(path)
    assert key not in leaked
    with pytest.raises(Refused):
        verify([key], query(leaked))


def test_an_expired_grant(path: Path) -> None:
    keys = presign.load(path)
    with pytest.raises(Refused) as refused:
        verify(keys, query(keys, Grant(**(vars(GRANT) | {"expires_at": now()}))))
    assert refused.value.code == "URL_EXPIRED"


def test_rotations_at_once_lose_no_key(path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        for _ in range(20):
            made = set(pool.map(lambda _: presign.rotate(path, lifetime=0).key_id, range(2)))
            assert {key.key_id for key in presign.load(path)} == made


def test_keys_created_at_once_are_one(tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        for number in range(20):
            path = tmp_path / str(number) / "keys"
            created = pool.map(lambda _, path=path: (presign.create(path), presign.load(path))[1], range(2))
            assert len({keys[0].key_id for keys in created}) == 1
