"""Signing keys of an app: rotation to a new key, and recovery from a lost one."""

from portal.http import access, schemas
from portal.http.routing import DEVELOPER, MEMBER, REVIEWER, Call, Operation, Routes
from portal.store import apps, key_changes

ROTATIONS_PATH = "/api/apps/<app_id>/key-rotations"
RECOVERIES_PATH = "/api/apps/<app_id>/key-recoveries"

routes = Routes()


@routes.add(
    Operation(
        "POST", ROTATIONS_PATH, "Rotate the signing key of an app, with the signatures of both keys", DEVELOPER,
        status=201, problems=("KEY_CONFLICT", "UNTRUSTED_KEY", "INVALID_PROOF", "VERSION_CONFLICT"),
    )
)  # fmt: skip
def rotate(call: Call, body: schemas.NewRotation, app_id: str) -> schemas.AppKey:
    with call.db.write() as tx:
        app = apps.owned(tx, app_id, call.actor.developer_id)
        return schemas.AppKey.of(key_changes.rotate(tx, call.actor, app, **vars(body)))


@routes.add(
    Operation(
        "POST", RECOVERIES_PATH, "Announce the recovery of a lost signing key, effective in 7 days", REVIEWER,
        status=201, problems=("KEY_CONFLICT", "UNTRUSTED_KEY"),
    )
)  # fmt: skip
def recover(call: Call, body: schemas.NewRecovery, app_id: str) -> schemas.AppKey:
    with call.db.write() as tx:
        app = apps.get(tx, app_id)
        return schemas.AppKey.of(key_changes.recover(tx, call.actor, app, **vars(body)))


@routes.add(Operation("DELETE", f"{RECOVERIES_PATH}/<number:code>", "Cancel a key recovery", MEMBER, status=204))
def cancel(call: Call, app_id: str, number: int) -> None:
    with call.db.write() as tx:
        app = access.visible(tx, call.actor, app_id)
        key_changes.cancel(tx, call.actor, app, number)
