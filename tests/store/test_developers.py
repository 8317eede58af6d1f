"""A disabled account keeps nothing in force, and takes nothing of another one along."""

from portal.store import apps, audit, developers
from portal.store.audit import OPERATOR, Actor
from portal.store.store import Store

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
