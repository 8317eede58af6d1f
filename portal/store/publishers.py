"""Trusted publishing: repositories whose CI jobs get a token of one app for minutes, so that none has to be stored."""

import sqlite3
from dataclasses import dataclass

from portal.settings import Settings
from portal.store import apps, audit, developers, tokens
from portal.store.clock import now
from portal.store.errors import Refused
from portal.store.id_tokens import SKEW_SECONDS, CiJob, refused

MOST = 20  # publishers of an app
TOKEN_SECONDS = 15 * 60
NO_SERVICE = "This store trusts no CI service: its operator can name some in the setting `issuers`."


@dataclass(frozen=True)
class Publisher:
    """A repository of a CI service that an app trusts: for one `ref`, or all that begin as it does before a `*`, and
    one environment; an empty one means any. `created_at` is in seconds since 1970.
    """

    number: int
    app_id: str
    issuer: str
    repository_id: str
    ref: str
    environment: str
    created_at: int
    created_by: str

    def trusts(self, job: CiJob) -> bool:
        return (
            (self.issuer, self.repository_id) == (job.issuer, job.repository_id)
            and _matches(self.ref, job.ref)
            and self.environment in ("", job.environment)
        )


COLUMNS = ", ".join(Publisher.__dataclass_fields__)


def add(
    tx: sqlite3.Connection, settings: Settings, actor: audit.Actor, app_id: str,
    issuer: str, repository_id: str, ref: str, environment: str,
) -> Publisher:  # fmt: skip
    """Let a repository publish an app; the caller has checked that the actor may.

    Raises Refused (VALIDATION_ERROR for an issuer that the settings do not name, QUOTA_EXCEEDED, UNAUTHENTICATED).
    """
    tokens.require_valid(tx, actor.token_id)
    trusted = [one.issuer for one in settings.issuers]
    if issuer not in trusted:
        known = f"This store trusts {', '.join(trusted)}." if trusted else NO_SERVICE
        raise Refused("VALIDATION_ERROR", "The publisher is invalid.", [f"issuer: {known}"])
    found = of_app(tx, app_id)
    wanted = (issuer, repository_id, ref, environment)
    for publisher in found:
        if (publisher.issuer, publisher.repository_id, publisher.ref, publisher.environment) == wanted:
            return publisher
    if len(found) >= MOST:
        raise Refused("QUOTA_EXCEEDED", f"{app_id} trusts {MOST} publishers, the maximum: remove one.")
    row = tx.execute(
        "INSERT INTO publishers (app_id, issuer, repository_id, ref, environment, created_at, created_by, token_id)"
        f" VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING {COLUMNS}",
        (app_id, *wanted, now(), actor.developer_id, actor.token_id),
    ).fetchone()
    publisher = Publisher(*row)
    audit.append(
        tx, actor, "publisher.add", app_id, number=publisher.number, issuer=issuer, repository_id=repository_id,
        ref=ref, environment=environment,
    )  # fmt: skip
    return publisher


def of_app(db: sqlite3.Connection, app_id: str) -> list[Publisher]:
    rows = db.execute(f"SELECT {COLUMNS} FROM publishers WHERE app_id = ? ORDER BY number", (app_id,))
    return [Publisher(*row) for row in rows]


def remove(tx: sqlite3.Connection, actor: audit.Actor, app_id: str, number: int) -> None:
    """Trust it no more; the tokens that its jobs have, and preview links that they created, end at once.

    Raises Refused (NOT_FOUND).
    """
    if not tx.execute("DELETE FROM publishers WHERE app_id = ? AND number = ?", (app_id, number)).rowcount:
        raise Refused("NOT_FOUND", f"{app_id} has no publisher {number}.")
    tx.execute("DELETE FROM previews WHERE token_id IN (SELECT token_id FROM tokens WHERE publisher = ?)", (number,))
    tx.execute("UPDATE tokens SET revoked_at = ? WHERE publisher = ? AND revoked_at IS NULL", (now(), number))
    audit.append(tx, actor, "publisher.remove", app_id, number=number)


def trusting(db: sqlite3.Connection, app_id: str, job: CiJob) -> Publisher:
    """The publisher that the job is one of. Raises Refused (FORBIDDEN), also for an app that does not exist."""
    for publisher in of_app(db, app_id):
        if publisher.trusts(job):
            return publisher
    where = ", ".join(filter(None, (job.ref, job.environment and f"environment {job.environment}")))
    raise Refused(
        "FORBIDDEN",
        f"{app_id} does not trust repository {job.repository_id} of {job.issuer}{where and f' at {where}'}: its owner"
        " adds it with `mosis trust add`.",
    )


def exchange(tx: sqlite3.Connection, address: str, app_id: str, job: CiJob) -> tuple[tokens.Token, str]:
    """A token of the app for the job, and its clear text; each ID token is accepted once.

    Raises Refused (FORBIDDEN, UNAUTHENTICATED for one that was used, DEVELOPER_DISABLED).
    """
    publisher, at = trusting(tx, app_id, job), now()
    tx.execute("DELETE FROM used_id_tokens WHERE expires_at < ?", (at - 2 * SKEW_SECONDS,))
    used = "INSERT INTO used_id_tokens (digest, expires_at) VALUES (?, ?) ON CONFLICT DO NOTHING"
    if not tx.execute(used, (job.digest, job.expires_at)).rowcount:
        raise refused("it was used before")
    developer_id = apps.get(tx, app_id).developer_id
    developers.require_enabled(tx, developer_id)
    tokens.forget_ended_of_jobs(tx)
    actor = audit.Actor(developer_id, "developer", None, address, app_id)
    return tokens.issue_to_job(tx, actor, app_id, TOKEN_SECONDS, publisher.number, job.subject)


def _matches(pattern: str, ref: str) -> bool:
    if pattern.endswith("*"):
        return ref.startswith(pattern[:-1])
    return pattern in ("", ref)
