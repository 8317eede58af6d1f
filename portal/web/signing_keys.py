"""Signing keys in the console: the registered ones, a form that registers a public key, and revoking one.

A private key never comes here. `mosis key proof` prints what registers its public key, signed with it; that is pasted.
"""

from bottle import HTTPResponse

from portal.http import forms, schemas
from portal.http.routes import accounts as api
from portal.http.routing import DEVELOPER, Call, Operation, Routes
from portal.packages import strict_json
from portal.store import app_keys, apps, keys
from portal.store.errors import Refused
from portal.web import app_page
from portal.web.app_page import HTML
from portal.web.entered import Entered
from portal.web.sign_in import redirect

PATH = "/console/keys"
PRIVATE = "PRIVATE KEY-----"
STATEMENT_MAX = 2000  # characters

routes = Routes()


@routes.add(Operation("GET", PATH, "My signing keys", DEVELOPER, query=("done",), media_type=HTML))
def show(call: Call) -> HTTPResponse:
    return _page(call)


@routes.add(Operation("POST", PATH, "Register a public key", DEVELOPER, media_type=HTML))
def register(call: Call) -> HTTPResponse:
    fields = forms.text_fields(call.request, ("statement",))
    try:
        api.register_key(call, _registration(fields["statement"]), call.actor.developer_id)
    except Refused as refused:
        kept = {} if PRIVATE in fields["statement"] else fields
        return _page(call, Entered("key", kept, _explained(call, refused)))
    return redirect(f"{PATH}?done=key")


@routes.add(
    Operation(
        "POST", f"{PATH}/<key_id:re:[0-9a-f]{{32}}>/revoke", "Revoke a signing key", DEVELOPER,
        media_type=HTML, ends_access=True,
    )
)  # fmt: skip
def revoke(call: Call, key_id: str) -> HTTPResponse:
    fields = forms.text_fields(call.request, ("reason",))
    try:
        if not fields["reason"]:
            raise Refused("VALIDATION_ERROR", "It needs a reason.", ["reason: Write a reason, for the audit log."])
        api.revoke_key(call, forms.validated(schemas.Reason, fields), call.actor.developer_id, key_id)
    except Refused as refused:
        if refused.code == "NOT_FOUND":
            raise
        return _page(call, Entered(f"revoke-{key_id}", fields, refused))
    return redirect(f"{PATH}?done=key-revoke")


def _explained(call: Call, refused: Refused) -> Refused:
    """What to do about a key that is registered: the answer of the API does not say whose it is."""
    if refused.code != "KEY_EXISTS":
        return refused
    mine = any(key.key_id in refused.detail for key in keys.of_developer(call.db.read(), call.actor.developer_id))
    remedy = "It is one of yours above." if mine else "Make a key of your own with `mosis key generate`."
    return Refused(refused.code, f"{refused.detail} {remedy}")


def _registration(statement: str) -> schemas.NewKey:
    """What `mosis key proof` printed. Raises Refused."""
    if PRIVATE in statement:
        raise _unusable(
            "This is a private key: it belongs on your machine alone. If other people could see it here, make another"
            " one. Paste what `mosis key proof` prints instead."
        )
    try:
        return forms.validated(schemas.NewKey, strict_json.parse(statement.encode(), max_bytes=STATEMENT_MAX))
    except (strict_json.JsonRejected, Refused):
        raise _unusable("Paste the whole line that `mosis key proof` prints: it begins with `{`.") from None


def _unusable(sentence: str) -> Refused:
    return Refused("VALIDATION_ERROR", "The key is not registered.", [f"statement: {sentence}"])


def _page(call: Call, entered: Entered | None = None) -> HTTPResponse:
    db, actor = call.db.read(), call.actor
    found = keys.of_developer(db, actor.developer_id)
    signed: dict[str, list[apps.App]] = {key.key_id: [] for key in found}
    for app in apps.of_developer(db, actor.developer_id):
        latest = app_keys.latest(db, app.app_id)
        if latest is not None and latest.key_id in signed:
            signed[latest.key_id].append(app)
    return app_page.page(call, "keys.html", entered, keys=found, signed=signed)
