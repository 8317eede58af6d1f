"""For devices: one question about all installed apps."""

from portal.http import schemas
from portal.http.routing import ANYONE, Operation, PublicCall, Routes
from portal.store import releases

ANY_LEVEL = 2**31  # above each that a manifest may require

routes = Routes()


@routes.add(Operation("POST", "/api/store/updates", "Find updates of the apps of a device", ANYONE))
def find_updates(call: PublicCall, body: schemas.Installed) -> schemas.Updates:
    db, base = call.db.read(), call.settings.public_url
    newer = releases.newer(db, body.apps, body.min_api or ANY_LEVEL)
    return schemas.Updates(
        updates=[schemas.Update.of(version, base) for version in newer],
        withdrawn=[schemas.Withdrawn.of(version) for version in releases.withdrawn(db, body.apps)],
    )
