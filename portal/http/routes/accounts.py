"""Developers, their tokens and their keys."""

from portal.http import paging, schemas
from portal.http.routing import ADMIN, DEVELOPER, Call, Operation, Routes
from portal.store import apps, developers, keys, tokens
from portal.store.errors import Refused

DEVELOPERS_PATH = "/api/developers"
TOKENS_PATH = f"{DEVELOPERS_PATH}/<developer_id>/tokens"
KEYS_PATH = f"{DEVELOPERS_PATH}/<developer_id>/keys"

routes = Routes()


@routes.add(
    Operation(
        "POST", DEVELOPERS_PATH, "Add a developer", ADMIN,
        status=201, idempotency_key=True, problems=("DEVELOPER_EXISTS",),
    )
)  # fmt: skip
def add_developer(call: Call, body: schemas.NewDeveloper) -> schemas.Developer:
    with call.db.write() as tx:
        return schemas.Developer.of(developers.add(tx, call.actor, body.developer_id, body.name))


@routes.add(Operation("GET", DEVELOPERS_PATH, "List the developers", ADMIN, query=paging.QUERY))
def list_developers(call: Call) -> schemas.Developers:
    page = paging.requested(call.request, str)
    found, cursor = paging.split(developers.every(call.db.read(), page), page, lambda one: (one.developer_id,))
    return schemas.Developers(developers=[schemas.Developer.of(one) for one in found], cursor=cursor)


@routes.add(
    Operation(
        "DELETE", f"{DEVELOPERS_PATH}/<developer_id>",
        "Disable a developer: tokens, passkeys, keys and open uploads end at once, and the apps stay", ADMIN,
        ends_access=True,
    )
)  # fmt: skip
def disable_developer(call: Call, body: schemas.Reason, developer_id: str) -> schemas.Developer:
    with call.db.write() as tx:
        return schemas.Developer.of(developers.disable(tx, call.actor, developer_id, body.reason))


@routes.add(
    Operation("GET", f"{DEVELOPERS_PATH}/<developer_id>/apps", "List a developer's apps", DEVELOPER, query=paging.QUERY)
)
def list_apps(call: Call, developer_id: str) -> schemas.Apps:
    _require_self(call, developer_id)
    developers.get(call.db.read(), developer_id)
    return apps_of(call, developer_id)


@routes.add(Operation("GET", TOKENS_PATH, "List a developer's tokens", ADMIN, query=paging.QUERY))
def list_tokens(call: Call, developer_id: str) -> schemas.Tokens:
    developers.get(call.db.read(), developer_id)
    return tokens_of(call, developer_id)


@routes.add(Operation("POST", TOKENS_PATH, "Issue a token", ADMIN, status=201, problems=("DEVELOPER_DISABLED",)))
def issue_token(call: Call, body: schemas.NewToken, developer_id: str) -> schemas.IssuedToken:
    with call.db.write() as tx:
        token, text = tokens.issue(tx, call.actor, developer_id, body.scope, body.days)
    return schemas.IssuedToken(**vars(token), token=text)


@routes.add(
    Operation(
        "DELETE", f"{TOKENS_PATH}/<token_id:re:[0-9a-f]{{16}}>", "Revoke a token", ADMIN, status=204, ends_access=True
    )
)  # fmt: skip
def revoke_token(call: Call, developer_id: str, token_id: str) -> None:
    with call.db.write() as tx:
        tokens.revoke(tx, call.actor, developer_id, token_id)


@routes.add(Operation("GET", KEYS_PATH, "List a developer's keys", DEVELOPER, query=paging.QUERY, app_tokens=True))
def list_keys(call: Call, developer_id: str) -> schemas.Keys:
    _require_self(call, developer_id)
    page = paging.requested(call.request, int, str)
    listed = keys.of_developer(call.db.read(), developer_id, page)
    found, cursor = paging.split(listed, page, lambda key: (key.created_at, key.key_id))
    return schemas.Keys(keys=[schemas.Key.of(key) for key in found], cursor=cursor)


@routes.add(
    Operation(
        "POST", KEYS_PATH, "Register a public key", DEVELOPER,
        status=201, problems=("INVALID_KEY", "INVALID_PROOF", "KEY_EXISTS", "DEVELOPER_DISABLED"),
    )
)  # fmt: skip
def register_key(call: Call, body: schemas.NewKey, developer_id: str) -> schemas.Key:
    _require_self(call, developer_id)
    with call.db.write() as tx:
        return schemas.Key.of(keys.register(tx, call.actor, developer_id, body.public_key, body.proof))


@routes.add(
    Operation(
        "DELETE", f"{KEYS_PATH}/<key_id:re:[0-9a-f]{{32}}>", "Revoke a key", DEVELOPER, status=204, ends_access=True
    )
)  # fmt: skip
def revoke_key(call: Call, body: schemas.Reason, developer_id: str, key_id: str) -> None:
    _require_self(call, developer_id)
    with call.db.write() as tx:
        keys.revoke(tx, call.actor, developer_id, key_id, body.reason)


def apps_of(call: Call, developer_id: str) -> schemas.Apps:
    """A page of the apps of a developer that the actor may see."""
    page = paging.requested(call.request, str)
    listed = apps.of_developer(call.db.read(), developer_id, page, only=call.actor.app_id)
    found, cursor = paging.split(listed, page, lambda app: (app.app_id,))
    return schemas.Apps(apps=[schemas.App.of(call.db.read(), app) for app in found], cursor=cursor)


def tokens_of(call: Call, developer_id: str) -> schemas.Tokens:
    """A page of the tokens of a developer."""
    page = paging.requested(call.request, int, str)
    listed = tokens.every(call.db.read(), developer_id, page)
    found, cursor = paging.split(listed, page, lambda token: (token.created_at, token.token_id))
    return schemas.Tokens(tokens=[schemas.Token.of(token) for token in found], cursor=cursor)


def _require_self(call: Call, developer_id: str) -> None:
    if call.actor.scope != "admin" and call.actor.developer_id != developer_id:
        raise Refused("NOT_FOUND", f"There is no developer {developer_id}.")
