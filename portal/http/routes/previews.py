"""Preview links of a version that is not published: created, listed and revoked by its owner or a reviewer."""

import sqlite3

from portal.http import access, schemas
from portal.http.routes.apps import VERSION_PATH
from portal.http.routing import MEMBER, Call, Operation, Routes
from portal.store import previews, versions
from portal.store.versions import PlacedVersion

PREVIEWS_PATH = f"{VERSION_PATH}/previews"

routes = Routes()


@routes.add(Operation("GET", PREVIEWS_PATH, "List the preview links of a version", MEMBER))
def list_previews(call: Call, app_id: str, version_code: int) -> schemas.Previews:
    found = previews.of_version(call.db.read(), _version(call, call.db.read(), app_id, version_code))
    return schemas.Previews(previews=[schemas.Preview.of(preview) for preview in found])


@routes.add(
    Operation(
        "POST", PREVIEWS_PATH, "Create a link to a page with the draft, or the version in review, and its package",
        MEMBER, status=201, problems=("WRONG_STATE", "QUOTA_EXCEEDED"),
    )
)  # fmt: skip
def add_preview(call: Call, body: schemas.NewPreview, app_id: str, version_code: int) -> schemas.CreatedPreview:
    with call.db.write() as tx:
        preview, text = previews.add(tx, call.actor, _version(call, tx, app_id, version_code), body.days)
    return schemas.CreatedPreview(
        **vars(schemas.Preview.of(preview)), url=f"{call.settings.public_url}/preview/{text}"
    )  # fmt: skip


@routes.add(
    Operation(
        "DELETE", f"{PREVIEWS_PATH}/<preview_id:re:[0-9a-f]{{16}}>", "Revoke a preview link", MEMBER,
        status=204, ends_access=True,
    )
)  # fmt: skip
def revoke_preview(call: Call, app_id: str, version_code: int, preview_id: str) -> None:
    with call.db.write() as tx:
        previews.revoke(tx, call.actor, _version(call, tx, app_id, version_code), preview_id)


def _version(call: Call, db: sqlite3.Connection, app_id: str, version_code: int) -> PlacedVersion:
    return versions.get(db, access.visible(db, call.actor, app_id).app_id, version_code)
