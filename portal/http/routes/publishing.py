"""Trusted publishing: which repositories of CI services an app trusts, and the tokens that their jobs get."""

import sqlite3
from contextlib import closing

from portal.http import authentication, schemas
from portal.http.routes.apps import APP_PATH
from portal.http.routing import ANYONE, DEVELOPER, Call, Operation, PublicCall, Routes
from portal.store import apps, id_tokens, publishers
from portal.store.errors import Refused
from portal.store.rate_limit import rate_limit

OIDC_PATH = "/api/oidc"
PUBLISHERS_PATH = f"{APP_PATH}/publishers"

routes = Routes()


@routes.add(
    Operation("GET", f"{OIDC_PATH}/audience", "Get the audience of ID tokens for this store", ANYONE,
              problems=("NOT_FOUND",))
)  # fmt: skip
def audience(call: PublicCall) -> schemas.Audience:
    if not call.settings.issuers:
        raise Refused("NOT_FOUND", publishers.NO_SERVICE)
    return schemas.Audience(audience=call.settings.id_token_audience)


@routes.add(
    Operation(
        "POST", f"{OIDC_PATH}/token", "Exchange an ID token of a CI job for a token of one app, valid for 15 minutes",
        ANYONE, status=201, problems=("UNAUTHENTICATED", "FORBIDDEN", "RATE_LIMITED", "DEVELOPER_DISABLED"),
    )
)  # fmt: skip
def exchange(call: PublicCall, body: schemas.IdToken) -> schemas.IssuedToken:
    """Only wrong ID tokens count against an address; right ones count for their app, whose rows they make."""
    address = authentication.remote_address(call.settings, call.request)
    try:
        job = id_tokens.verified(call.store, body.token)
        publishers.trusting(call.db.read(), body.app_id, job)
    except Refused as refused:
        if refused.code != "UNAVAILABLE":
            with closing(authentication.wrong_tokens(call.store)) as failures:
                authentication.failed(call.store, failures, call.request, "ID token")
        raise
    with closing(rate_limit(call.settings, "publishers")) as issued:
        issued.take(body.app_id)
    with call.db.write() as tx:
        token, text = publishers.exchange(tx, address, body.app_id, job)
    return schemas.IssuedToken(**vars(token), token=text)


@routes.add(Operation("GET", PUBLISHERS_PATH, "List the repositories that an app trusts", DEVELOPER))
def list_publishers(call: Call, app_id: str) -> schemas.Publishers:
    _require_owner(call, call.db.read(), app_id)
    found = publishers.of_app(call.db.read(), app_id)
    return schemas.Publishers(publishers=[schemas.Publisher.of(publisher) for publisher in found])


@routes.add(
    Operation(
        "POST", PUBLISHERS_PATH, "Let the CI jobs of a repository publish an app", DEVELOPER,
        status=201, problems=("QUOTA_EXCEEDED",),
    )
)  # fmt: skip
def add_publisher(call: Call, body: schemas.NewPublisher, app_id: str) -> schemas.Publisher:
    with call.db.write() as tx:
        _require_owner(call, tx, app_id)
        publisher = publishers.add(
            tx, call.settings, call.actor, app_id, body.issuer, body.repository_id, body.ref, body.environment
        )
    return schemas.Publisher.of(publisher)


@routes.add(
    Operation(
        "DELETE", f"{PUBLISHERS_PATH}/<number:re:[1-9][0-9]{{0,15}}>",
        "Trust a repository no more; tokens that its jobs have end", DEVELOPER, status=204, ends_access=True,
    )
)  # fmt: skip
def remove_publisher(call: Call, app_id: str, number: str) -> None:
    with call.db.write() as tx:
        _require_owner(call, tx, app_id)
        publishers.remove(tx, call.actor, app_id, int(number))


def _require_owner(call: Call, db: sqlite3.Connection, app_id: str) -> None:
    """A token of one app must not be able to extend its own access. Raises Refused."""
    if call.actor.app_id is not None:
        raise Refused("FORBIDDEN", f"This token is bound to {call.actor.app_id}: send one that is not.")
    if call.actor.scope == "admin":
        apps.get(db, app_id)
    else:
        apps.owned(db, app_id, call.actor.developer_id)
