"""A disabled account keeps nothing in force, and takes nothing of another one along."""

from portal.store import app_keys, apps, audit, developers
from portal.store.audit import OPERATOR, Actor
from portal.store.store import Store
from tests.support.portal import add_developer

ONE_OF_EACH = {
    "tokens": "tokens (token_id, developer_id, scope, secret_hash, created_at, expires_at)"
    " VALUES (:id || '-token', :id, 'developer', x'00', 1, 2)",
    "passkeys": "tokens (token_id, developer_id, scope, secret_hash, created_at, expires_at, passkey)"
    " VALUES (:id || '-passkey', :id, 'developer', x'00', 1, 2, 'Laptop')",
    "keys": "keys (key_id, developer_id, public_key, created_at) VALUES (:id, :id, x'00', 1)",
    "uploads": "versions (version_id, app_id, developer_id, status, status_at, created_at)"
    " VALUES (:id || '-upload', :app_id, :id, 'uploading', 1, 1)",
    "webhooks": "webhooks (developer_id, url, secret, created_at) VALUES (:id, 'https://example.org', '', 1)",
    "previews": "previews (preview_id, version_id, secret_hash, developer_id, created_at, expires_at)"
    " VALUES (:id, :id || '-draft', x'00', :id, 1, 2)",
    "publishers": "publishers (app_id, issuer, repository_id, ref, environment, created_at, created_by)"
    " VALUES (:app_id, 'https://example.org', '1', '', '', 1, :id)",
}
DRAFT = (
    "versions (version_id, app_id, developer_id, status, status_at, created_at,"
    " version_code, version_name, size, sha256, key_id, signature, manifest)"
    " VALUES (:id || '-draft', :app_id, :id, 'draft', 1, 1, 1, '1.0.0', 1, '', '', '', '{}')"
)


def test_all_that_an_account_has_ends_with_it_and_nothing_else(store: Store) -> None:
    with store.db.write() as tx:
        for name in ("acme", "umbra"):
            developers.add(tx, OPERATOR, name, name)
            apps.add(tx, Actor(name, "developer", None, "test"), f"org.example.{name}", "App", "")
            for row in (DRAFT, *ONE_OF_EACH.values()):
                tx.execute(f"INSERT INTO {row}", {"id": name, "app_id": f"org.example.{name}"})
        assert developers.ending(tx, "acme") == dict.fromkeys(ONE_OF_EACH, 1) == dict.fromkeys(developers.ENDED, 1)
        developers.disable(tx, OPERATOR, "acme", "Left.")
        assert developers.ending(tx, "acme") == dict.fromkeys(ONE_OF_EACH, 0)
        assert developers.ending(tx, "umbra") == dict.fromkeys(ONE_OF_EACH, 1)
        [entry] = audit.filtered(tx, action="developer.disable")
    assert '"webhooks":1' in entry.detail


def test_ending_an_account_is_linear_work(store: Store) -> None:
    """A developer may register hundreds of keys an hour, and the database is locked while the account is ended."""
    few, many = (steps_to_disable(store, f"dev{number}", number) for number in (100, 800))
    assert many < 16 * few, "8 times as many keys and apps, not 64 times the work"


def steps_to_disable(store: Store, developer_id: str, number: int) -> int:
    """An account with so many keys, in a store in which so many apps of others have one."""
    steps: list[int] = []
    add_developer(store, developer_id, None)
    with store.db.write() as tx:
        key_ids = [f"{number}-{each}" for each in range(number)]
        tx.executemany(
            "INSERT INTO keys (key_id, developer_id, public_key, created_at) VALUES (?, ?, randomblob(32), 1)",
            [(key_id, developer_id) for key_id in key_ids],
        )
        developers.add(tx, OPERATOR, f"{developer_id}-other", "Other")
        other = Actor(f"{developer_id}-other", "developer", None, "test")
        tx.execute(
            "INSERT INTO keys VALUES (?, ?, randomblob(32), 1, NULL)", (f"of-{developer_id}", other.developer_id)
        )
        for key_id in key_ids:
            app = apps.add(tx, other, f"org.example.app{key_id}", "App", "")
            app_keys.add(tx, app.app_id, "pin", f"of-{developer_id}", 1, 1)
        tx.set_progress_handler(lambda: steps.append(1), 100)
        developers.disable(tx, OPERATOR, developer_id, "So.")
        tx.set_progress_handler(None, 0)
    return len(steps)
