"""How an app passes to another signing key."""

from portal.http import access, schemas
from portal.http.api import DEVELOPER, MEMBER, REVIEWER, Api, Call, Operation
from portal.store import apps, key_changes


def add(api: Api) -> None:
    """Declare the routes."""
    db = api.store.db

    def rotate(call: Call, app_id: str) -> schemas.AppKey:
        app = apps.owned(db.read(), app_id, call.actor.developer_id)
        with db.write() as tx:
            return schemas.AppKey.of(key_changes.rotate(tx, call.actor, app, **vars(call.body)))

    def recover(call: Call, app_id: str) -> schemas.AppKey:
        app = apps.get(db.read(), app_id)
        with db.write() as tx:
            return schemas.AppKey.of(key_changes.recover(tx, call.actor, app, **vars(call.body)))

    def cancel(call: Call, app_id: str, number: int) -> None:
        app = access.visible(db.read(), call.actor, app_id)
        with db.write() as tx:
            key_changes.cancel(tx, call.actor, app, number)

    app, refusals = "/api/apps/<app_id>", ("NOT_FOUND", "KEY_CONFLICT", "UNTRUSTED_KEY")
    for operation in (
        Operation("POST", f"{app}/key-rotations", rotate, "Hand an app over to a new key, with both keys' signatures",
                  DEVELOPER, body=schemas.NewRotation, status=201, answer=schemas.AppKey,
                  problems=(*refusals, "INVALID_PROOF", "VERSION_CONFLICT")),
        Operation("POST", f"{app}/key-recoveries", recover, "Announce a new key in place of a lost one, in 7 days",
                  REVIEWER, body=schemas.NewRecovery, status=201, answer=schemas.AppKey, problems=refusals),
        Operation("DELETE", f"{app}/key-recoveries/<number:code>", cancel, "Cancel an announced recovery", MEMBER,
                  status=204, problems=("NOT_FOUND",)),
    ):  # fmt: skip
        api.add(operation)
