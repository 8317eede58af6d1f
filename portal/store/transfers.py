"""An app goes to another developer: a company is renamed or sold, or somebody leaves.

What was published stays where it is, under the developer who uploaded it, because devices have these addresses. The key
of the app continues to sign it, whoever registered that, until the new owner rotates it or has it recovered.
"""

from contextlib import suppress

from portal.store import apps, audit, developers, placement, previews, proposals
from portal.store.apps import App
from portal.store.errors import Refused
from portal.store.store import Store

APP_RECORD = "app.json"  # see recovery/records.py


def transfer(store: Store, actor: audit.Actor, app_id: str, developer_id: str, reason: str) -> App:
    """Make `developer_id` the owner; open uploads, images that wait for a review, preview links, publishers and
    tokens that are bound to the app end.

    The caller has checked that the actor is an administrator. Raises Refused (NOT_FOUND, DEVELOPER_DISABLED,
    VALIDATION_ERROR without a reason).
    """
    if not reason.strip():
        raise Refused("VALIDATION_ERROR", "To transfer an app, give a reason.", ["reason: Field required."])
    with placement.claimed(store.layout, app_id):
        with store.db.write() as tx:
            app, at = apps.get(tx, app_id), audit.stamp(tx)
            developers.require_enabled(tx, developer_id)
            if app.developer_id == developer_id:
                return app
            tx.execute("UPDATE apps SET developer_id = ?, updated_at = ? WHERE app_id = ?", (developer_id, at, app_id))
            tx.execute("DELETE FROM versions WHERE app_id = ? AND status = 'uploading'", (app_id,))
            tx.execute(f"DELETE FROM previews WHERE {previews.OF_APP}", (app_id,))
            images = proposals.forget(tx, app_id)
            tx.execute("DELETE FROM publishers WHERE app_id = ?", (app_id,))
            tx.execute("UPDATE tokens SET revoked_at = ? WHERE app_id = ? AND revoked_at IS NULL", (at, app_id))
            audit.append(
                tx, actor, "app.transfer", app_id, developer_id=developer_id, before=app.developer_id, reason=reason
            )  # fmt: skip
            transferred = apps.get(tx, app_id)
            tx.execute("COMMIT")
        placement.remove(image.proposed_path(store.layout) for image in images)
        with suppress(OSError):  # `mosis rebuild` takes the newer of two
            (store.layout.area("packages") / app.developer_id / app_id / APP_RECORD).unlink(missing_ok=True)
    return transferred
