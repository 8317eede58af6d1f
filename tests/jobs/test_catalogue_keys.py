"""The keys of the catalogue: made once, replaced with the root key, and never mistaken for another store's."""

import shutil
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from portal.catalogue.errors import KeysError
from portal.jobs import catalogue_keys, mirror
from portal.jobs.catalogue import catalogue
from portal.settings import S3
from portal.store import files
from portal.store.store import Store
from tests.support.portal import add_developer, make_store, mosis
from tests.support.tuf_device import TufDevice

ROOT_KEY = Ed25519PrivateKey.generate()
WRITE_FILE = files.write_file


@pytest.fixture
def signed(store: Store) -> Store:
    catalogue_keys.make(store, [ROOT_KEY])
    catalogue(store)
    return store


def keys_of(store: Store) -> Path:
    return store.settings.catalogue_key_directory


def test_only_the_owner_can_read_them(signed: Store) -> None:
    assert keys_of(signed).stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in keys_of(signed).glob("*.pem")} == {0o600}


def test_without_keys_a_run_says_how_to_make_them(store: Store) -> None:
    with pytest.raises(KeysError, match=r"put them back.*mosis catalogue init"):
        catalogue(store)


def test_a_lost_file_of_the_keys_is_named_and_a_renewal_replaces_it(signed: Store) -> None:
    directory = keys_of(signed)
    min(directory.glob("*.targets.json")).unlink()
    with pytest.raises(KeysError, match="no targets for 64 bins"):
        catalogue(signed, verify=True)
    catalogue_keys.renew(signed, [ROOT_KEY], new_store_key=True)
    catalogue(signed)
    TufDevice(signed.layout.catalogue).updated()


def test_a_renewal_that_was_killed_and_whose_key_is_lost_is_named(
    signed: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = keys_of(signed)
    before = {*directory.glob("store-*.pem")}
    with monkeypatch.context() as killed, pytest.raises(InterruptedError):
        killed.setattr(files, "write_file", interrupted_at_the_root)
        catalogue_keys.renew(signed, [ROOT_KEY], new_store_key=True)
    [new] = {*directory.glob("store-*.pem")} - before
    new.unlink()
    with pytest.raises(KeysError, match="no key for bins"):
        catalogue(signed, verify=True)
    catalogue_keys.renew(signed, [ROOT_KEY], new_store_key=True)
    catalogue(signed)
    TufDevice(signed.layout.catalogue).updated()


def interrupted_at_the_root(path: Path, content: bytes, **options: bool) -> None:
    if "root" in path.name:
        raise InterruptedError
    WRITE_FILE(path, content, **options)


@pytest.mark.parametrize("content", ["", "no key at all"])
def test_a_damaged_key_that_nothing_needs_stops_nothing(signed: Store, content: str) -> None:
    (old,) = keys_of(signed).glob("store-*.pem")
    (keys_of(signed) / "store-0.pem").write_text(content)
    (keys_of(signed) / "store-0.pem").chmod(0o600)
    catalogue(signed, verify=True)
    catalogue_keys.renew(signed, [ROOT_KEY])
    old.write_text(content)
    with pytest.raises(KeysError, match=rf"put it back.*{old} is not a PEM private key"):
        catalogue(signed)


def test_a_second_change_of_root_keys_waits_until_devices_can_get_the_first(signed: Store) -> None:
    """Devices that have neither root would be locked out: targets are signed by the keys of two roots."""
    second, third = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    catalogue_keys.renew(signed, [ROOT_KEY], new_root_keys=[second])
    catalogue_keys.renew(signed, [second], new_store_key=True)
    with pytest.raises(KeysError, match="not published yet: run `mosis catalogue` first"):
        catalogue_keys.renew(signed, [second], new_root_keys=[third])
    catalogue(signed)
    catalogue_keys.renew(signed, [second], new_root_keys=[third])
    catalogue(signed)
    TufDevice(signed.layout.catalogue).updated()


def test_a_second_change_of_root_keys_waits_for_the_bucket(tmp_path: Path, empty: S3) -> None:
    store = make_store(tmp_path / "store", mirror=empty.model_dump(mode="json"))
    add_developer(store, "acme")
    catalogue_keys.make(store, [ROOT_KEY])
    second, third = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    catalogue_keys.renew(store, [ROOT_KEY], new_root_keys=[second])
    catalogue(store)
    with pytest.raises(KeysError, match="not in the bucket yet: run `mosis mirror` first"):
        catalogue_keys.renew(store, [second], new_root_keys=[third])
    mirror.mirror(store)
    catalogue_keys.renew(store, [second], new_root_keys=[third])
    store.db.close()


def test_keys_are_never_overwritten(signed: Store) -> None:
    with pytest.raises(KeysError, match="mosis catalogue renew"):
        catalogue_keys.make(signed, [ROOT_KEY])
    shutil.rmtree(keys_of(signed))
    with pytest.raises(KeysError, match=r"has had keys.*renew --new-store-key.*init --new"):
        catalogue_keys.make(signed, [ROOT_KEY])


def test_a_lost_store_key_is_replaced(signed: Store) -> None:
    phone = TufDevice(signed.layout.catalogue)
    phone.updated()
    for path in keys_of(signed).glob("*.pem"):
        path.unlink()
    with pytest.raises(KeysError, match="--new-store-key"):
        catalogue(signed)
    with pytest.raises(KeysError, match="--new-store-key"):
        catalogue_keys.renew(signed, [ROOT_KEY])
    catalogue_keys.renew(signed, [ROOT_KEY], new_store_key=True)
    catalogue(signed)
    phone.updated()


def test_everything_is_lost_but_a_copy_of_the_database_and_the_root_key(
    signed: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After two changes of keys, which a device has not seen, or has."""
    new = Ed25519PrivateKey.generate()
    old_phone, first = (
        TufDevice(signed.layout.catalogue),
        (signed.layout.catalogue / "metadata/1.root.json").read_bytes(),
    )
    old_phone.updated()
    catalogue_keys.renew(signed, [ROOT_KEY], new_store_key=True)
    catalogue_keys.renew(signed, [ROOT_KEY], new_root_keys=[new])
    catalogue(signed)
    phone = TufDevice(signed.layout.catalogue, first)
    phone.updated()
    for place in (signed.layout.catalogue, keys_of(signed)):
        shutil.rmtree(place)
    signed.layout.catalogue_state.unlink()
    catalogue_keys.renew(signed, [new], new_store_key=True)
    catalogue(signed)
    for one in (old_phone, phone, TufDevice(signed.layout.catalogue, first)):
        assert one.updated()._trusted_set.root.version == 4


def test_a_rebuilt_database_continues_the_roots_that_are_published(signed: Store) -> None:
    with signed.db.write() as tx:
        tx.execute("DROP TRIGGER audit_is_append_only_delete")
        tx.execute("DELETE FROM audit WHERE action = 'catalogue.root'")
    shutil.rmtree(keys_of(signed))
    with pytest.raises(KeysError, match="has had keys"):
        catalogue_keys.make(signed, [ROOT_KEY])
    phone = TufDevice(signed.layout.catalogue)
    catalogue_keys.renew(signed, [ROOT_KEY], new_store_key=True)
    catalogue(signed)
    assert phone.updated()._trusted_set.root.version == 2


def test_keys_of_another_catalogue_sign_nothing(signed: Store, tmp_path: Path) -> None:
    """As on a new machine, where a deploy has made keys before the database was restored."""
    other = make_store(tmp_path / "other")
    catalogue_keys.make(other, [Ed25519PrivateKey.generate()])
    other.db.close()
    kept = tmp_path / "kept"
    shutil.move(keys_of(signed), kept)
    shutil.copytree(keys_of(other), keys_of(signed))
    phone = TufDevice(signed.layout.catalogue)
    with pytest.raises(KeysError, match="keys of another catalogue"):
        catalogue(signed, verify=True)
    phone.updated()
    shutil.rmtree(keys_of(signed))
    shutil.move(kept, keys_of(signed))
    catalogue(signed, verify=True)


def test_an_old_copy_of_the_keys_signs_nothing(signed: Store, tmp_path: Path) -> None:
    shutil.copytree(keys_of(signed), tmp_path / "old")
    catalogue_keys.renew(signed, [ROOT_KEY], new_store_key=True)
    shutil.rmtree(keys_of(signed))
    shutil.copytree(tmp_path / "old", keys_of(signed))
    with pytest.raises(KeysError, match="an old copy of the keys"):
        catalogue(signed, verify=True)


def test_two_of_three_root_keys_sign(store: Store) -> None:
    three = [Ed25519PrivateKey.generate() for _ in range(3)]
    catalogue_keys.make(store, three, threshold=2)
    catalogue(store)
    phone = TufDevice(store.layout.catalogue)
    phone.updated()
    for too_few in (three[:1], [three[0], three[0]], [three[0], ROOT_KEY]):
        with pytest.raises(KeysError, match="2 must sign"):
            catalogue_keys.renew(store, too_few)
    catalogue_keys.renew(store, three[1:], new_root_keys=[*three[:2], ROOT_KEY], threshold=2)
    catalogue(store)
    assert phone.updated()._trusted_set.root.version == 2
    catalogue_keys.renew(store, [three[0], ROOT_KEY], new_store_key=True)
    catalogue(store)
    assert phone.updated()._trusted_set.root.version == 3


def test_another_catalogue_begins_with_nothing_of_the_old_one(signed: Store) -> None:
    catalogue_keys.renew(signed, [ROOT_KEY])
    catalogue(signed)
    shutil.rmtree(keys_of(signed))
    catalogue_keys.make(signed, [Ed25519PrivateKey.generate()], new=True)
    catalogue(signed)
    assert not (signed.layout.catalogue / "metadata/2.root.json").exists()
    TufDevice(signed.layout.catalogue).updated()


def test_a_damaged_root_is_named(signed: Store) -> None:
    (keys_of(signed) / "1.root.json").write_bytes(b"{")
    with pytest.raises(KeysError, match=r"1\.root\.json is damaged"):
        catalogue(signed)


def test_the_commands_make_and_replace_keys(store: Store, tmp_path: Path) -> None:
    stick = tmp_path / "stick"
    inside = mosis(store, "catalogue", "init", "--root-key", str(store.layout.root / "root.pem"))
    assert inside.returncode == 1
    assert "inside the store" in inside.stderr
    assert mosis(store, "catalogue", "init").returncode == 1
    would = mosis(store, "catalogue", "init", "--root-key", f"{stick}/root.pem", "--dry-run")
    assert "would make" in would.stdout
    assert not stick.exists()
    made = mosis(store, "catalogue", "init", "--root-key", f"{stick}/root.pem")
    assert made.returncode == 0, made.stderr
    assert f"{stick}/root.pem is the root key" in made.stdout
    assert "two places" in made.stdout
    assert (stick / "root.pem").stat().st_mode & 0o777 == 0o600
    assert mosis(store, "catalogue").returncode == 0
    phone = TufDevice(store.layout.catalogue)
    phone.updated()
    new = mosis(
        store, "catalogue", "renew", "--root-key", f"{stick}/root.pem", "--new-store-key",
        "--new-root-key", f"{stick}/a.pem", "--new-root-key", f"{stick}/b.pem", "--threshold", "2",
    )  # fmt: skip
    assert new.returncode == 0, new.stderr
    assert mosis(store, "catalogue").returncode == 0
    assert phone.updated()._trusted_set.root.roles["root"].threshold == 2
    assert mosis(store, "catalogue", "renew", "--root-key", f"{stick}/root.pem").returncode == 1


def test_a_root_key_on_this_host_is_made_where_the_portal_cannot_read(store: Store) -> None:
    made = mosis(store, "catalogue", "init", "--on-this-host")
    assert made.returncode == 0, made.stderr
    assert (keys_of(store) / "root.pem").is_file()
    assert mosis(store, "catalogue", "renew").returncode == 0
    (keys_of(store) / "root.pem").unlink()
    assert "name its file by --root-key" in mosis(store, "catalogue", "renew").stderr
