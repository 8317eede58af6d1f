"""The review of images that were changed after an app was published: by themselves, or with a version."""

from portal.http import access, paging, schemas
from portal.http.routes.apps import APP_PATH
from portal.http.routing import DEVELOPER, MEMBER, REVIEWER, Call, Operation, Routes
from portal.store import apps, proposals

IMAGES_PATH = f"{APP_PATH}/images"

routes = Routes()


@routes.add(Operation("GET", IMAGES_PATH, "Show the images of an app, and which changes wait for a review", MEMBER))
def show(call: Call, app_id: str) -> schemas.Images:
    app = access.visible(call.db.read(), call.actor, app_id)
    return schemas.Images.of(call.db.read(), app, call.settings.public_url)


@routes.add(Operation("DELETE", IMAGES_PATH, "Take back the changes that wait for a review", DEVELOPER, status=204))
def discard(call: Call, app_id: str) -> None:
    proposals.discard(call.store, call.actor, apps.owned(call.db.read(), app_id, call.actor.developer_id))


@routes.add(
    Operation("GET", "/api/review/images", "List the apps whose images wait for review", REVIEWER, query=paging.QUERY)
)
def list_waiting(call: Call) -> schemas.ImageReviews:
    db, page = call.db.read(), paging.requested(call.request, int, str, most=paging.MOST_VERSIONS)
    found, cursor = paging.split(proposals.waiting(db, page), page, lambda one: (one.changed_at, one.app_id))
    shown = [schemas.Images.of(db, apps.get(db, one.app_id), call.settings.public_url) for one in found]
    return schemas.ImageReviews(images=shown, cursor=cursor)


@routes.add(
    Operation(
        "POST", f"{IMAGES_PATH}/publish", "Publish the changed images", REVIEWER,
        problems=("WRONG_STATE", "FORBIDDEN", "FILE_NOT_FOUND"),
    )
)  # fmt: skip
def publish(call: Call, body: schemas.ImageApproval, app_id: str) -> schemas.Images:
    with call.db.write() as tx:
        app = apps.get(tx, app_id)
        proposals.publish(tx, call.store, call.actor, app, body.sha256, body.reason)
    return schemas.Images.of(call.db.read(), app, call.settings.public_url)


@routes.add(
    Operation("POST", f"{IMAGES_PATH}/reject", "Reject the changed images", REVIEWER, problems=("WRONG_STATE",))
)
def reject(call: Call, body: schemas.ImageRejection, app_id: str) -> schemas.Images:
    with call.db.write() as tx:
        app = apps.get(tx, app_id)
        proposals.reject(tx, call.actor, app, body.sha256, body.reason)
    return schemas.Images.of(call.db.read(), app, call.settings.public_url)
