"""The roots in the audit log.

Every root that was ever signed is there too: with a copy of the database and the root key, which is kept elsewhere, the
catalogue continues after everything on this host was lost, and devices still accept it.
"""

import json
import sqlite3
from itertools import zip_longest

from portal.catalogue import keys
from portal.catalogue.errors import KeysError
from portal.store import audit
from portal.store.store import Store

ACTION, SUBJECT = "catalogue.root", "catalogue"


def record(store: Store, *, new: bool = False) -> None:
    """Add the roots that the log lacks. Raises KeysError if it has others."""
    here = [content.decode() for content in keys.roots(store.settings.catalogue_key_directory)]
    with store.db.write() as tx:
        known = [] if new else recorded(tx)
        for version, (root, noted) in enumerate(zip_longest(here, known), start=1):
            if noted is None:
                audit.append(tx, audit.OPERATOR, ACTION, SUBJECT, version=version, root=root)
            elif root != noted:
                what = "keys of another catalogue" if root else "an old copy of the keys"
                raise KeysError(
                    f"{store.settings.catalogue_key_directory} has {what}: put this store's back, or move them away and"
                    " run `mosis catalogue renew --new-store-key` with its root key."
                )


def recorded(db: sqlite3.Connection) -> list[str]:
    """The roots of this store's catalogue, oldest first, as JSON."""
    roots: list[str] = []
    for row in db.execute("SELECT detail FROM audit WHERE action = ? ORDER BY seq", (ACTION,)):
        detail = json.loads(row[0])
        if detail["version"] == 1:
            roots.clear()
        roots.append(detail["root"])
    return roots
