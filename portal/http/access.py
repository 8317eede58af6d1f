"""Visibility: for a stranger, the app of another developer or an unpublished version does not exist."""

import sqlite3
from collections.abc import Mapping
from typing import Any

from portal.http.routing import REVIEWER, Operation
from portal.store import apps, audit
from portal.store.apps import App
from portal.store.errors import Refused

OWNER_OR_REVIEWER = frozenset({"owner", "reviewer"})


def is_insider(actor: audit.Actor | None, developer_id: str) -> bool:
    """Whether the actor is that developer or a reviewer."""
    return actor is not None and (actor.developer_id == developer_id or actor.scope in REVIEWER.scopes)


def visible(
    db: sqlite3.Connection, actor: audit.Actor, app_id: str, by: frozenset[str] = OWNER_OR_REVIEWER
) -> App:  # fmt: skip
    """The app, if the actor is its owner or a reviewer, as `by` allows. Raises Refused (NOT_FOUND) otherwise."""
    if "reviewer" in by and actor.scope in REVIEWER.scopes:
        return apps.get(db, app_id)
    return apps.owned(db, app_id, actor.developer_id)


def is_hidden(db: sqlite3.Connection, actor: audit.Actor, app_id: object) -> bool:
    """Whether the app exists, but not for this actor."""
    row = db.execute("SELECT developer_id FROM apps WHERE app_id = ?", (app_id,)).fetchone()
    return row is not None and not is_insider(actor, row["developer_id"])


def confined(
    actor: audit.Actor | None, operation: Operation[Any], parameters: Mapping[str, object]
) -> audit.Actor | None:  # fmt: skip
    """The actor, as far as a token that is bound to one app goes: a stranger to the rest of what anyone may read.

    Raises Refused (NOT_FOUND; FORBIDDEN where the path has no app, unless the operation sees to it itself).
    """
    if actor is None or actor.app_id is None or parameters.get("app_id") == actor.app_id:
        return actor
    if not operation.access.scopes:
        return None
    if "app_id" in parameters:
        raise apps.not_found(str(parameters["app_id"]))
    if not operation.app_tokens:
        raise Refused("FORBIDDEN", f"This token is bound to {actor.app_id}: send one that is not.")
    return actor
