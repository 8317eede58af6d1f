"""A developer's apps, their versions and the steps of review."""

from collections.abc import Callable

from portal.http import access, forms, schemas
from portal.http.api import DEVELOPER, MEMBER, REVIEWER, VERSION_CODE_DIGITS, Api, Call, Operation
from portal.metrics import Metrics
from portal.store import apps, uploads, versions
from portal.store.errors import Refused
from portal.store.files import Sink
from portal.store.states import TRANSITIONS, Action

SCOPES = {frozenset({"owner"}): DEVELOPER, frozenset({"reviewer"}): REVIEWER, frozenset({"owner", "reviewer"}): MEMBER}


def add(api: Api, metrics: Metrics) -> None:
    """Declare the routes."""
    store, db, base = api.store, api.store.db, api.store.settings.public_url

    def list_apps(call: Call) -> schemas.Apps:
        found = apps.of_developer(db.read(), call.actor.developer_id)
        return schemas.Apps(apps=[schemas.App.of(db.read(), app) for app in found])

    def add_app(call: Call) -> schemas.App:
        with db.write() as tx:
            app = apps.add(tx, call.actor, call.body.app_id, call.body.name, call.body.description)
        return schemas.App.of(db.read(), app)

    def list_versions(call: Call, app_id: str) -> schemas.Versions:
        app = access.visible(db.read(), call.actor, app_id)
        found = versions.of_app(db.read(), app.app_id)
        return schemas.Versions(versions=[schemas.Version.of(version, base) for version in found])

    def review_queue(call: Call) -> schemas.Versions:
        found = versions.in_review(db.read())
        return schemas.Versions(versions=[schemas.Version.of(version, base) for version in found])

    def upload(call: Call, app_id: str) -> schemas.Version:
        app = apps.owned(db.read(), app_id, call.actor.developer_id)
        limit = store.settings.package_max_bytes
        with metrics.upload("package") as measured, uploads.receiving(store, app) as incoming:
            received, fields = forms.multipart_file(
                call.request, "package", lambda: Sink(incoming.package, limit), limit, ("version_code", "version_name")
            )
            measured.bytes = received.size
            version = uploads.complete(
                store, call.actor, incoming, received,
                version_code=_integer(fields.get("version_code")), version_name=fields.get("version_name"),
            )  # fmt: skip
        return schemas.Version.of(version, base)

    def step(action: Action) -> Callable[..., schemas.Version]:
        def take(call: Call, app_id: str, version_code: int) -> schemas.Version:
            app = access.visible(db.read(), call.actor, app_id, TRANSITIONS[action].by)
            with db.write() as tx:
                version = versions.change(tx, call.actor, app, version_code, action, call.body.reason)
            return schemas.Version.of(version, base)

        return take

    app, version = "/api/apps/<app_id>", "/api/apps/<app_id>/versions/<version_code:code>"
    for operation in (
        Operation("GET", "/api/apps", list_apps, "List my apps", DEVELOPER, answer=schemas.Apps),
        Operation("POST", "/api/apps", add_app, "Add an app", DEVELOPER,
                  body=schemas.NewApp, status=201, answer=schemas.App, problems=("APP_EXISTS",)),
        Operation("GET", f"{app}/versions", list_versions, "List an app's versions", MEMBER,
                  answer=schemas.Versions, problems=("NOT_FOUND",)),
        Operation("GET", "/api/review", review_queue, "List what waits for review", REVIEWER, answer=schemas.Versions),
        Operation("POST", f"{app}/versions", upload, "Upload a version", DEVELOPER,
                  file="package", fields=("version_code", "version_name"), status=201, answer=schemas.Version,
                  upload=True,
                  problems=("NOT_FOUND", "INVALID_FILE", "VERSION_EXISTS", "VERSION_CONFLICT", "UPLOAD_EXPIRED")),
        *(
            Operation("POST", f"{version}/{action}", step(action), f"{action.capitalize()} a version",
                      SCOPES[transition.by], body=schemas.Reason,
                      answer=schemas.Version,
                      problems=("NOT_FOUND", "WRONG_STATE")
                      + (("VERSION_CONFLICT", "UNTRUSTED_KEY") if action == "publish" else ()))
            for action, transition in TRANSITIONS.items()
        ),
    ):  # fmt: skip
        api.add(operation)


def _integer(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= VERSION_CODE_DIGITS):
        raise Refused("VALIDATION_ERROR", "The form does not fit.", ["version_code: not a positive integer."])
    return int(text)
