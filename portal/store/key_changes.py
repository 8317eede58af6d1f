"""Changing the key of an app: by rotation with the old key, or by recovery when the old key is lost.

A recovery needs no signature of the old key, so it is announced a week ahead: the owner has that long to notice and
cancel an unauthorized one.
"""

import sqlite3

from portal.packages import signature
from portal.packages.errors import SignatureInvalid
from portal.store import app_keys, audit, keys, versions
from portal.store.app_keys import AppKey
from portal.store.apps import App
from portal.store.clock import now
from portal.store.errors import Refused

RECOVERY_SECONDS = 7 * 86400
AHEAD_MAX = 1_000_000  # version codes: every later rotation must start there or above, and needs codes to do so


def rotate(
    tx: sqlite3.Connection, actor: audit.Actor, app: App, new_key_id: str, from_version_code: int,
    old_signature: str, new_signature: str,
) -> AppKey:  # fmt: skip
    """Let the new key sign from `from_version_code` on; both signatures over the rotation statement are base64.

    Raises Refused (KEY_CONFLICT, UNTRUSTED_KEY, VERSION_CONFLICT, INVALID_PROOF).
    """
    old = _require_replaceable(tx, app, new_key_id)
    _require_trusted(tx, keys.get(tx, old.key_id).developer_id, old.key_id)  # perhaps the owner before a transfer
    _require_begin(tx, old, from_version_code)
    statement = signature.rotation_statement(app.app_id, old.key_id, new_key_id, from_version_code)
    signed = {"old_signature": (old.key_id, old_signature), "new_signature": (new_key_id, new_signature)}
    if faults := [
        f"{field} is not a signature of key {key_id} over the rotation statement."
        for field, (key_id, text) in signed.items()
        if not _holds(tx, key_id, text, statement)
    ]:
        raise Refused("INVALID_PROOF", "The rotation statement must be signed with both keys.", faults)
    changed = app_keys.add(
        tx, app.app_id, "rotation", new_key_id, from_version_code, now(),
        old_signature=old_signature, new_signature=new_signature,
    )  # fmt: skip
    audit.append(
        tx, actor, "key.rotate", app.app_id, old=old.key_id, new=new_key_id, from_version_code=from_version_code
    )
    return changed


def _require_begin(tx: sqlite3.Connection, old: AppKey, version_code: int) -> None:
    """Raises Refused (VERSION_CONFLICT) if no rotation can begin with this code."""
    versions.require_newer(tx, old.app_id, version_code)
    most = max(versions.highest_published(tx, old.app_id), old.from_version_code) + AHEAD_MAX
    if version_code > most:
        raise Refused(
            "VERSION_CONFLICT", f"from_version_code must be at most {most}, or no later rotation could follow it."
        )
    if version_code < old.from_version_code:
        raise Refused(
            "VERSION_CONFLICT",
            f"from_version_code must be at least {old.from_version_code}, where key {old.key_id} starts to sign.",
        )


def recover(tx: sqlite3.Connection, actor: audit.Actor, app: App, new_key_id: str, reason: str) -> AppKey:
    """Announce that the new key signs everything published from RECOVERY_SECONDS on.

    The caller has checked that the actor is a reviewer. Raises Refused (KEY_CONFLICT, UNTRUSTED_KEY).
    """
    old = _require_replaceable(tx, app, new_key_id)
    announced = app_keys.add(tx, app.app_id, "recovery", new_key_id, 1, now() + RECOVERY_SECONDS, reason=reason)
    audit.append(
        tx, actor, "key.recover", app.app_id, old=old.key_id, new=new_key_id, reason=reason,
        effective_at=announced.effective_at,
    )  # fmt: skip
    return announced


def cancel(tx: sqlite3.Connection, actor: audit.Actor, app: App, number: int) -> None:
    """Cancel the recovery `number`. Raises Refused (NOT_FOUND) unless it is pending."""
    pending = app_keys.pending(tx, app.app_id)
    if pending is None or pending.number != number:
        raise Refused("NOT_FOUND", f"{app.app_id} has no pending key recovery {number}.")
    tx.execute("UPDATE app_keys SET cancelled_at = ? WHERE number = ?", (now(), number))
    audit.append(tx, actor, "key.recover.cancel", app.app_id, new=pending.key_id)


def _require_replaceable(tx: sqlite3.Connection, app: App, new_key_id: str) -> AppKey:
    """The change that the new key would replace. Raises Refused (KEY_CONFLICT, UNTRUSTED_KEY)."""
    old = app_keys.latest(tx, app.app_id)
    if old is None:
        raise Refused("KEY_CONFLICT", f"{app.app_id} has no key to replace: its first publish pins one.")
    if app_keys.pending(tx, app.app_id):
        raise Refused("KEY_CONFLICT", f"A key recovery of {app.app_id} is pending; cancel it first.")
    if old.key_id == new_key_id:
        raise Refused("KEY_CONFLICT", f"{app.app_id} is already signed with key {new_key_id}.")
    _require_trusted(tx, app.developer_id, new_key_id)
    return old


def _require_trusted(tx: sqlite3.Connection, developer_id: str, key_id: str) -> None:
    if fault := keys.fault(tx, key_id, developer_id):
        raise Refused("UNTRUSTED_KEY", fault)


def _holds(tx: sqlite3.Connection, key_id: str, text: str, statement: bytes) -> bool:
    try:
        signature.verify(keys.get(tx, key_id).public_key, text, statement)
    except SignatureInvalid:
        return False
    return True
