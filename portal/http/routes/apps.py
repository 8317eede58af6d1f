"""The apps of a developer, their versions and the review of those."""

from portal.http import access, forms, paging, schemas
from portal.http.routes.accounts import apps_of
from portal.http.routing import ADMIN, DEVELOPER, MEMBER, REVIEWER, VERSION_CODE_DIGITS, Call, Operation, Routes
from portal.store import apps, deletion, listing, proposals, quotas, reviews, transfers, uploads, versions
from portal.store.errors import Refused
from portal.store.files import Sink
from portal.store.states import TRANSITIONS, Action

APPS_PATH = "/api/apps"
APP_PATH = f"{APPS_PATH}/<app_id>"
VERSIONS_PATH = f"{APP_PATH}/versions"
VERSION_PATH = f"{VERSIONS_PATH}/<version_code:code>"

routes = Routes()


@routes.add(Operation("GET", APPS_PATH, "List my apps", DEVELOPER, query=paging.QUERY, app_tokens=True))
def list_apps(call: Call) -> schemas.Apps:
    return apps_of(call, call.actor.developer_id)


@routes.add(
    Operation(
        "POST",
        APPS_PATH,
        "Add an app",
        DEVELOPER,
        status=201,
        idempotency_key=True,
        problems=("APP_EXISTS", "APP_DELETED", "QUOTA_EXCEEDED"),
    )
)
def add_app(call: Call, body: schemas.NewApp) -> schemas.App:
    with call.db.write() as tx:
        quotas.require(tx, call.settings, call.actor.developer_id, apps=1)
        added = schemas.App.of(tx, apps.add(tx, call.actor, body.app_id, body.name, body.description))
        if body.dry_run:  # the same checks, and no more than an attempt reveals
            tx.execute("ROLLBACK")
    return added


@routes.add(Operation("GET", APP_PATH, "Get one app", MEMBER))
def show_app(call: Call, app_id: str) -> schemas.AppDetails:
    app = access.visible(call.db.read(), call.actor, app_id)
    return schemas.AppDetails.with_assets(call.db.read(), app, call.settings.public_url)


@routes.add(Operation("PATCH", APP_PATH, "Edit an app", DEVELOPER, problems=("WRONG_STATE",)))
def edit_app(call: Call, body: schemas.AppChange, app_id: str) -> schemas.AppDetails:
    with call.db.write() as tx:
        app = apps.owned(tx, app_id, call.actor.developer_id)
        app = listing.edit(tx, call.actor, app, body.model_dump(exclude_unset=True))
    return schemas.AppDetails.with_assets(call.db.read(), app, call.settings.public_url)


@routes.add(
    Operation("DELETE", APP_PATH, "Delete an app for good, with everything that belongs to it", ADMIN, status=204)
)
def delete_app(call: Call, body: schemas.Reason, app_id: str) -> None:
    deletion.delete_app(call.store, call.actor, app_id, body.reason)


@routes.add(
    Operation(
        "POST", f"{APP_PATH}/transfer", "Give an app to another developer", ADMIN, problems=("DEVELOPER_DISABLED",)
    )
)
def transfer_app(call: Call, body: schemas.Transfer, app_id: str) -> schemas.AppDetails:
    app = transfers.transfer(call.store, call.actor, app_id, body.developer_id, body.reason)
    return schemas.AppDetails.with_assets(call.db.read(), app, call.settings.public_url)


@routes.add(
    Operation(
        "DELETE", VERSION_PATH, "Delete a version for good: the owner a draft or rejected one, an administrator any",
        DEVELOPER, status=204, problems=("WRONG_STATE",),
    )
)  # fmt: skip
def delete_version(call: Call, body: schemas.Reason, app_id: str, version_code: int) -> None:
    deletion.delete_version(call.store, call.actor, app_id, version_code, body.reason)


@routes.add(Operation("GET", VERSIONS_PATH, "List an app's versions", MEMBER, query=paging.QUERY))
def list_versions(call: Call, app_id: str) -> schemas.Versions:
    app = access.visible(call.db.read(), call.actor, app_id)
    page = paging.requested(call.request, int, int, str, most=paging.MOST_VERSIONS)
    listed = versions.of_app(call.db.read(), app.app_id, page, columns=versions.COLUMNS)
    found, cursor = paging.split(listed, page, lambda one: (one.created_at, one.version_code or 0, one.version_id))
    base = call.settings.public_url
    return schemas.Versions(versions=[schemas.Version.of(version, base) for version in found], cursor=cursor)


@routes.add(Operation("GET", f"{APP_PATH}/downloads", "Count the downloads of an app, by version and day", MEMBER))
def show_downloads(call: Call, app_id: str) -> schemas.Downloads:
    app = access.visible(call.db.read(), call.actor, app_id)
    return schemas.Downloads.of(call.db.read(), app.app_id)


@routes.add(Operation("GET", "/api/review", "List the versions waiting for review", REVIEWER, query=paging.QUERY))
def review_queue(call: Call) -> schemas.Reviews:
    db, base = call.db.read(), call.settings.public_url
    page = paging.requested(call.request, int, str, most=paging.MOST_VERSIONS)
    listed = versions.in_review(db, page)
    found, cursor = paging.split(listed, page, lambda one: (one.status_at, one.version_id))
    return schemas.Reviews(versions=[schemas.InReview.waiting(db, one, base) for one in found], cursor=cursor)


@routes.add(
    Operation(
        "GET", f"{VERSION_PATH}/changes", "Show what a version changes against the published one", MEMBER,
        problems=("FILE_NOT_FOUND",),
    )
)  # fmt: skip
def show_changes(call: Call, app_id: str, version_code: int) -> schemas.Changes:
    app = access.visible(call.db.read(), call.actor, app_id)
    version = versions.get(call.db.read(), app.app_id, version_code)
    # Both packages are read, which takes a processor for up to a second.
    with call.services.comparing(call.actor.developer_id):
        return schemas.Changes.of(call.store, version)


@routes.add(
    Operation(
        "POST", VERSIONS_PATH, "Upload a version", DEVELOPER,
        form_file="package", form_fields=("version_code", "version_name"), status=201,
        idempotency_key=True, rate_limited=True,
        problems=("INVALID_FILE", "VERSION_EXISTS", "VERSION_CONFLICT", "UPLOAD_EXPIRED"),
    )
)  # fmt: skip
def upload(call: Call, app_id: str, *, replace: bool = False) -> schemas.Version:
    app = apps.owned(call.db.read(), app_id, call.actor.developer_id)
    limit = call.settings.package_max_bytes
    with (
        call.metrics.upload("package") as measured,
        uploads.receiving(call.store, app, forms.announced(call.request, limit)) as incoming,
    ):
        received, fields = forms.multipart_file(
            call.request,
            "package",
            lambda: Sink(incoming.package, limit, durable=False),
            limit,
            ("version_code", "version_name"),
        )
        measured.bytes = received.size
        version = uploads.complete(
            call.store, call.actor, incoming, received,
            version_code=_integer(fields.get("version_code")), version_name=fields.get("version_name"),
            replace=replace,
        )  # fmt: skip
    return schemas.Version.of(version, call.settings.public_url)


@routes.add(
    Operation("POST", f"{VERSION_PATH}/submit", "Submit a version for review", DEVELOPER, problems=("WRONG_STATE",))
)
def submit(call: Call, body: schemas.Reason, app_id: str, version_code: int) -> schemas.Version:
    return _step(call, app_id, version_code, "submit", body.reason)


@routes.add(
    Operation(
        "POST", f"{VERSION_PATH}/withdraw", "Withdraw a version from review", DEVELOPER, problems=("WRONG_STATE",)
    )
)
def withdraw(call: Call, body: schemas.Reason, app_id: str, version_code: int) -> schemas.Version:
    return _step(call, app_id, version_code, "withdraw", body.reason)


@routes.add(
    Operation(
        "POST", f"{VERSION_PATH}/publish", "Publish a version", REVIEWER,
        problems=("WRONG_STATE", "VERSION_CONFLICT", "UNTRUSTED_KEY", "FILE_NOT_FOUND"),
    )
)  # fmt: skip
def publish(call: Call, body: schemas.Approval, app_id: str, version_code: int) -> schemas.Version:
    return _step(call, app_id, version_code, "publish", body.reason, body.sha256, body.images_sha256)


@routes.add(Operation("POST", f"{VERSION_PATH}/reject", "Reject a version", REVIEWER, problems=("WRONG_STATE",)))
def reject(call: Call, body: schemas.Rejection, app_id: str, version_code: int) -> schemas.Version:
    return _step(call, app_id, version_code, "reject", body.reason, body.sha256)


@routes.add(Operation("POST", f"{VERSION_PATH}/yank", "Yank a version", MEMBER, problems=("WRONG_STATE",)))
def yank(call: Call, body: schemas.Withdrawal, app_id: str, version_code: int) -> schemas.Version:
    return _step(call, app_id, version_code, "yank", body.reason)


@routes.add(
    Operation(
        "POST", f"{VERSION_PATH}/unyank", "Put a yanked version back, within 7 days", MEMBER,
        problems=("WRONG_STATE", "UNTRUSTED_KEY", "FILE_NOT_FOUND"),
    )
)  # fmt: skip
def unyank(call: Call, body: schemas.Reason, app_id: str, version_code: int) -> schemas.Version:
    return _step(call, app_id, version_code, "unyank", body.reason)


def _step(
    call: Call, app_id: str, version_code: int, action: Action, reason: str, sha256: str | None = None,
    images: str | None = None,
) -> schemas.Version:  # fmt: skip
    """Take a step; a publish takes the changed images along if it names their digest."""
    with call.db.write() as tx:
        app = access.visible(tx, call.actor, app_id, TRANSITIONS[action].by)
        version = reviews.step(
            tx, call.store, call.actor, app, version_code, action, reason=reason, sha256=sha256
        )  # fmt: skip
        if images is not None:
            proposals.publish(tx, call.store, call.actor, app, images)
    return schemas.Version.of(version, call.settings.public_url)


def _integer(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= VERSION_CODE_DIGITS):
        raise Refused("VALIDATION_ERROR", "The form is invalid.", ["version_code: Input should be a positive integer."])
    return int(text)
