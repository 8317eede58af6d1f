"""Challenges that an authenticator signs: made for anybody without a row, because they prove themselves by an HMAC.

A challenge is 128 random bits, the time at which it was made, and the HMAC of both and of what it is for. Whoever
accepts one notes its time (`passkeys.challenge_at`), and accepts no other one that is as old.
"""

import hashlib
import hmac
import secrets
import time
from collections.abc import Sequence

from portal.store.errors import Refused
from portal.store.presign import Key

VERSION = "MOSIS-CHALLENGE-V1"
SECONDS = 300  # to find the security key, or to enter the PIN
MICROSECOND = 10**6
NONCE, TIME, MAC = 16, 8, 32  # bytes


def make(keys: Sequence[Key], purpose: str) -> bytes:
    """A new challenge, signed with the newest key."""
    content = secrets.token_bytes(NONCE) + microseconds().to_bytes(TIME)
    return content + _mac(keys[0], purpose, content)


def made_at(keys: Sequence[Key], purpose: str, challenge: bytes) -> int:
    """When the challenge was made, in microseconds since 1970. Raises Refused (INVALID_PROOF) unless it is ours, for
    this purpose, and not older than SECONDS.
    """
    content, mac = challenge[: NONCE + TIME], challenge[NONCE + TIME :]
    if not any(hmac.compare_digest(_mac(key, purpose, content), mac) for key in keys):
        raise Refused("INVALID_PROOF", "The challenge is not of this store: reload the page, and try again.")
    at = int.from_bytes(content[NONCE:])
    if not 0 <= microseconds() - at < SECONDS * MICROSECOND:
        raise Refused("INVALID_PROOF", f"This took longer than {SECONDS // 60} minutes: try again.")
    return at


def microseconds() -> int:
    """Microseconds since 1970."""
    return int(time.time() * MICROSECOND)


def _mac(key: Key, purpose: str, content: bytes) -> bytes:
    statement = f"{VERSION}\n{key.key_id}\n{purpose}\n".encode() + content
    return hmac.digest(key.secret, statement, hashlib.sha256)
