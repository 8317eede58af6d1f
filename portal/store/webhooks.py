"""Where a developer hears of the end of a review: one URL each, and deliveries that wait to be sent.

The transaction that ends a review notes the delivery; a job sends it (`jobs.notify`), for the portal has no network.
"""

import base64
import json
import re
import secrets
import sqlite3
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from portal.settings import Settings
from portal.store import audit, tokens
from portal.store.apps import App
from portal.store.clock import now, rfc3339
from portal.store.errors import Refused
from portal.store.states import Action
from portal.store.versions import PlacedVersion

ENDED: dict[Action, str] = {"publish": "published", "reject": "rejected"}
"""What ends a review, and the status of what was reviewed then."""
SECRET = "whsec_"  # noqa: S105 - how secrets begin, as standardwebhooks.com has it
PRINTABLE = re.compile("[!-~]+")
TRIES_MAX = 12  # over two days
WAITING_MAX = 100  # deliveries to one webhook: of more, the oldest are dropped
KEPT_SECONDS = 3 * 86400  # one that is older is dropped, which only happens behind others that fail
FIRST_SECONDS, LONGEST_SECONDS = 60, 6 * 3600  # until the next try; doubled after each


@dataclass(frozen=True)
class Webhook:
    """`secret` is `whsec_` and base64 of 32 bytes; times are seconds since 1970."""

    developer_id: str
    url: str
    secret: str
    created_at: int


@dataclass(frozen=True)
class Delivery:
    """A JSON body that waits to be sent to a webhook; `fault` says why the last of the `tries` failed."""

    number: int
    developer_id: str
    created_at: int
    next_at: int
    tries: int
    body: str
    fault: str | None


COLUMNS = ", ".join(Webhook.__dataclass_fields__)
DELIVERY = ", ".join(Delivery.__dataclass_fields__)
THIS = "number = :number AND developer_id = :developer_id AND created_at = :created_at AND body = :body"
"""A delivery: when the webhook was replaced while it was sent, its number may be that of another developer's by now."""
OVERDUE = (
    "SELECT number FROM (SELECT number, created_at,"
    " row_number() OVER (PARTITION BY developer_id ORDER BY number DESC) AS place FROM deliveries)"
    " WHERE place > :most OR created_at <= :until"
)


def put(tx: sqlite3.Connection, settings: Settings, actor: audit.Actor, url: str) -> Webhook:
    """Set the URL of the actor, with a new secret; what waited for the old one is forgotten.

    Raises Refused (UNAUTHENTICATED; VALIDATION_ERROR for a URL that this store does not send to).
    """
    tokens.require_valid(tx, actor.token_id)
    if fault := _fault(settings, url):
        raise Refused("VALIDATION_ERROR", "The webhook is invalid.", [f"url: {fault}."])
    secret = SECRET + base64.b64encode(secrets.token_bytes(32)).decode()
    webhook = Webhook(actor.developer_id, url, secret, now())
    tx.execute("DELETE FROM webhooks WHERE developer_id = ?", (actor.developer_id,))
    tx.execute(
        f"INSERT INTO webhooks ({COLUMNS}, token_id) VALUES (?, ?, ?, ?, ?)",
        (actor.developer_id, url, secret, webhook.created_at, actor.token_id),
    )
    audit.append(tx, actor, "webhook.put", actor.developer_id, host=urlsplit(url).hostname)
    return webhook


def delete(tx: sqlite3.Connection, actor: audit.Actor) -> None:
    """Forget the webhook of the actor, and what waited for it."""
    if tx.execute("DELETE FROM webhooks WHERE developer_id = ?", (actor.developer_id,)).rowcount:
        audit.append(tx, actor, "webhook.delete", actor.developer_id)


def get(db: sqlite3.Connection, developer_id: str) -> Webhook:
    """Raises Refused (NOT_FOUND)."""
    row = db.execute(f"SELECT {COLUMNS} FROM webhooks WHERE developer_id = ?", (developer_id,)).fetchone()
    if row is None:
        raise Refused("NOT_FOUND", f"Developer {developer_id} has no webhook.")
    return Webhook(*row)


def announce(tx: sqlite3.Connection, app: App, version: PlacedVersion, action: Action) -> None:
    """Note a delivery to the owner of the app, if this ends a review and the owner has a webhook."""
    if action in ENDED:
        data = {"version_code": version.version_code, "version": version.version_name}
        _note(
            tx, app, f"version.{action}", version.status_at, data | {"status": version.status, "reason": version.reason}
        )


def announce_images(tx: sqlite3.Connection, app: App, action: Action, reason: str) -> None:
    """The same for the end of a review of images, with a version or by themselves."""
    _note(tx, app, f"images.{action}", now(), {"status": ENDED[action], "reason": reason})


def _note(tx: sqlite3.Connection, app: App, event: str, at: int, data: Mapping[str, object]) -> None:
    body = {"type": event, "timestamp": rfc3339(at), "data": {"app_id": app.app_id, **data}}
    tx.execute(
        "INSERT INTO deliveries (developer_id, created_at, next_at, body)"
        " SELECT developer_id, ?1, ?1, ?2 FROM webhooks WHERE developer_id = ?3",
        (now(), json.dumps(body, separators=(",", ":")), app.developer_id),
    )
    prune(tx)


def prune(tx: sqlite3.Connection) -> None:
    """Drop what has waited too long, or behind too many: a webhook that is gone must not fill the database."""
    dropped = tx.execute(f"DELETE FROM deliveries WHERE number IN ({OVERDUE}) RETURNING developer_id", _overdue())
    for developer_id, number in Counter(row["developer_id"] for row in dropped).items():
        audit.append(tx, audit.OPERATOR, "webhook.drop", developer_id, deliveries=number)


def is_any_overdue(db: sqlite3.Connection) -> bool:
    """Whether `prune` has something to do."""
    return db.execute(f"{OVERDUE} LIMIT 1", _overdue()).fetchone() is not None


def _overdue() -> dict[str, int]:
    return {"most": WAITING_MAX, "until": now() - KEPT_SECONDS}


def waiting(db: sqlite3.Connection, developer_id: str) -> list[Delivery]:
    """The deliveries to a developer that have not succeeded, the first one first."""
    rows = db.execute(f"SELECT {DELIVERY} FROM deliveries WHERE developer_id = ? ORDER BY number", (developer_id,))
    return [Delivery(*row) for row in rows]


def due(db: sqlite3.Connection) -> list[Delivery]:
    """Of each developer the first delivery that is due: they arrive in order, and none holds up another developer's."""
    rows = db.execute(
        f"SELECT {DELIVERY} FROM deliveries WHERE number IN (SELECT min(number) FROM deliveries GROUP BY developer_id)"
        " AND next_at <= ? ORDER BY next_at, number",
        (now(),),
    )
    return [Delivery(*row) for row in rows]


def sent(tx: sqlite3.Connection, delivery: Delivery) -> None:
    """Forget a delivery that succeeded."""
    tx.execute(f"DELETE FROM deliveries WHERE {THIS}", vars(delivery))


def failed(tx: sqlite3.Connection, delivery: Delivery, fault: str) -> None:
    """Try again later, or give up. The developer sees `fault`."""
    if delivery.tries + 1 >= TRIES_MAX:
        sent(tx, delivery)
        audit.append(tx, audit.OPERATOR, "webhook.give-up", delivery.developer_id, fault=fault)
        return
    wait = min(FIRST_SECONDS * 2**delivery.tries, LONGEST_SECONDS)
    tx.execute(
        f"UPDATE deliveries SET tries = tries + 1, next_at = :at, fault = :fault WHERE {THIS}",
        {**vars(delivery), "at": now() + wait, "fault": fault},
    )


def _fault(settings: Settings, url: str) -> str | None:
    if settings.webhooks == "off":
        return "This store sends no webhooks"
    if not _is_url(url):
        return "Is not a URL"
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and settings.webhooks == "any"):
        return "Must begin with https://"
    if not parts.hostname or parts.username is not None or parts.password is not None:
        return "Must have a host, and no user name or password"
    return None


def _is_url(text: str) -> bool:
    """Whether the text can be a request line; a host beyond ASCII has a form of ASCII."""
    try:
        return PRINTABLE.fullmatch(text) is not None and urlsplit(text).port != 0
    except ValueError:  # half of an IPv6 address, a port that is none
        return False
