"""The tokens of the developer who has signed in."""

from bottle import HTTPResponse

from portal.http import browsers, forms, schemas
from portal.http.routes import me as api
from portal.http.routing import DEVELOPER, MEMBER, REVIEWER, Call, Operation, Routes
from portal.store import apps, tokens
from portal.store.errors import Refused
from portal.store.tokens import Token
from portal.web import passkeys, rendering
from portal.web.app_page import HTML
from portal.web.entered import Entered
from portal.web.sign_in import redirect

PATH = "/console/tokens"
REVOKE_PATH = f"{PATH}/<token_id:re:[0-9a-f]{{16}}>/revoke"
DONE = {
    "passkey": "The passkey is registered. Next time, choose “Sign in with a passkey”.",
    "remove": "The passkey is removed. Browsers that signed in with it are signed out. Delete it on your device too.",
    "revoke": "The token is revoked. Browsers that signed in with it are signed out.",
}
DAYS = (7, 30, 90, 365)  # that a token for one app may last

routes = Routes()


@routes.add(Operation("GET", PATH, "My tokens", MEMBER, query=("done",), media_type=HTML))
def show(call: Call) -> HTTPResponse:
    return _page(call)


@routes.add(Operation("POST", PATH, "Create a token for one app", DEVELOPER, media_type=HTML))
def create(call: Call) -> HTTPResponse:
    """The answer itself shows the token, once: a page that is not kept has no address of its own."""
    fields = forms.text_fields(call.request, ("app_id", "days"))
    days = int(fields["days"]) if fields["days"] in map(str, DAYS) else 0
    try:
        made = api.create_token(call, forms.validated(schemas.NewAppToken, {"app_id": fields["app_id"], "days": days}))
    except Refused as refused:
        return _page(call, Entered("token", fields, refused))
    return _page(call, made=made)


@routes.add(Operation("GET", REVOKE_PATH, "What follows when a token of mine is revoked", MEMBER, media_type=HTML))
def confirm(call: Call, token_id: str) -> HTTPResponse:
    found = [token for token in _valid(call) if token.token_id == token_id]
    if not found:
        raise tokens.not_found(token_id)
    actor = call.actor
    return rendering.html(
        "revoke.html", actor=actor, reviewer=actor.scope in REVIEWER.scopes, token=found[0],
        signs_out=token_id == call.token_id,
    )  # fmt: skip


@routes.add(Operation("POST", REVOKE_PATH, "Revoke a token of mine", MEMBER, media_type=HTML, ends_access=True))
def revoke(call: Call, token_id: str) -> HTTPResponse:
    """The token of this session may be among those that were created with the revoked one."""
    done = "revoke" if tokens.get(call.db.read(), token_id).passkey is None else "remove"
    api.end_token(call, token_id)
    if tokens.get(call.db.read(), call.token_id).is_valid:
        return redirect(f"{PATH}?done={done}")
    response = redirect(f"/sign-in?done={done}")
    browsers.keep(call.settings, call.request, response, "")
    return response


def _valid(call: Call) -> list[Token]:
    return [token for token in tokens.every(call.db.read(), call.actor.developer_id) if token.is_valid]


def _page(call: Call, entered: Entered | None = None, made: schemas.IssuedToken | None = None) -> HTTPResponse:
    db, actor, valid, entered = call.db.read(), call.actor, _valid(call), entered or Entered()
    return rendering.html(
        "tokens.html", entered.status,
        actor=actor, reviewer=actor.scope in REVIEWER.scopes, entered=entered, made=made,
        done=DONE.get(call.request.query.done), passkey_host=passkeys.host(call), public_url=call.settings.public_url,
        tokens=[token for token in valid if token.passkey is None],
        passkeys=[token for token in valid if token.passkey is not None],
        days=DAYS,
        apps=apps.of_developer(db, actor.developer_id) if actor.scope in DEVELOPER.scopes else [],
    )  # fmt: skip
