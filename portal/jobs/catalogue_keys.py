"""Make and replace the keys of the catalogue."""

from collections.abc import Sequence
from contextlib import closing

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from portal.catalogue import keys
from portal.catalogue.errors import KeysError
from portal.catalogue.roots import record, recorded
from portal.jobs.alone import alone
from portal.jobs.catalogue_idle import JOB
from portal.mirror.catalogue import APP_ID as CATALOGUE
from portal.mirror.record import Record
from portal.store import catalogue_files, files
from portal.store.clock import now
from portal.store.store import Store


def require_new(store: Store, *, new: bool = False) -> None:
    """Raises KeysError if the store has a catalogue, or had one that is not to be replaced by a `new` one."""
    directory = store.settings.catalogue_key_directory
    if keys.roots(directory):
        raise KeysError(f"{directory} has keys of the catalogue: `mosis catalogue renew` replaces them.")
    if not new and _known(store):
        raise KeysError(
            "This store's catalogue has had keys: put them back, or run `mosis catalogue renew --new-store-key` with"
            " its root key. If that is lost, `mosis catalogue init --new` starts another catalogue, which no device of"
            " the old one accepts."
        )


def make(store: Store, root_keys: Sequence[Ed25519PrivateKey], *, threshold: int = 1, new: bool = False) -> None:
    """Make the keys of a store that has none; `threshold` of the root keys must sign a change. Raises KeysError."""
    with alone(store, JOB):
        require_new(store, new=new)
        if new:  # devices of the old catalogue would not accept its files either
            files.discard(store.layout.catalogue)
        keys.make(store.settings.catalogue_key_directory, root_keys, threshold=threshold, at=now())
        record(store, new=new)


def renew(
    store: Store,
    root_keys: Sequence[Ed25519PrivateKey],
    *,
    new_root_keys: Sequence[Ed25519PrivateKey] = (),
    threshold: int = 1,
    new_store_key: bool = False,
) -> None:
    """Have the root keys sign the next root; see `keys.renew`. Raises KeysError."""
    directory = store.settings.catalogue_key_directory
    with alone(store, JOB):
        known = _known(store)
        for version in range(len(keys.roots(directory)) + 1, len(known) + 1):
            keys.restore_root(directory, version, known[version - 1].encode())
        record(store)
        if new_root_keys:
            _require_published(store, keys.changes_of_root_keys(directory))
        keys.renew(
            directory,
            root_keys,
            new_root_keys=new_root_keys,
            threshold=threshold,
            new_store_key=new_store_key,
            at=now(),
        )
        record(store)


def _require_published(store: Store, versions: Sequence[int]) -> None:
    """Raises KeysError unless devices can get the roots of these versions.

    The root keys before and after a change sign what delegates to the bins, so that devices with the root before accept
    it until they get the new root. Two changes at once would lock out those that have neither.
    """
    for version in versions[-1:]:
        name = f"metadata/{version}.root.json"
        if not catalogue_files.path(store.layout, name).exists():
            raise KeysError(
                "The last change of root keys is not published yet: run `mosis catalogue` first, or devices that have"
                " not seen it would be locked out."
            )
        with closing(Record.read(store.layout)) as mirrored:
            if store.settings.mirror and f"{catalogue_files.DIRECTORY}/{name}" not in mirrored.objects(CATALOGUE):
                raise KeysError(
                    "The last change of root keys is not in the bucket yet: run `mosis mirror` first, or devices that"
                    " have not seen it would be locked out."
                )


def _known(store: Store) -> list[str]:
    """The roots of this store's catalogue; a rebuilt database has none, and then the published ones count."""
    return recorded(store.db.read()) or [
        content.decode() for content in keys.roots(store.layout.catalogue / "metadata")
    ]
