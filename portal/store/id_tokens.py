"""ID tokens of CI services (OpenID Connect): which repository a job belongs to, signed by its service.

The portal has no network, so it reads the public keys of a service from a file: one of the settings, or one that the
job `issuers` fetches. Nothing in a token chooses a file or a URL.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt

from portal.settings import Issuer
from portal.store.errors import Refused, Unavailable
from portal.store.store import Store

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Signatures with a public key; `none` and those with a shared secret prove nothing here."""
REQUIRED = ["iss", "aud", "exp", "iat"]
SKEW_SECONDS = 60
LIFETIME_SECONDS_MAX = 24 * 3600  # how long a used token must be remembered at most; GitHub's live 6 hours
KEYS_MAX = 256 * 1024  # bytes
CLAIM_MAX = 1000  # characters
WAIT_SECONDS = 60
OF_OTHERS = ("merge_request_event", "external_pull_request_event")
"""GitLab's pipelines of a merge request: their `ref` is the name of its branch, which a stranger's fork can choose."""
REFS = {"branch": "refs/heads/", "tag": "refs/tags/"}  # by GitLab's ref_type, whose ref is a name alone
FAULTS = {
    jwt.ExpiredSignatureError: "it has expired",
    jwt.ImmatureSignatureError: "it is not valid yet",
    jwt.InvalidAudienceError: "it is for another audience",
    jwt.InvalidSignatureError: "its signature is wrong",
    jwt.InvalidKeyError: "its issuer's key is too short",
}


@dataclass(frozen=True)
class CiJob:
    """What a verified token says of a job; `digest` identifies the token until `expires_at`, seconds since 1970."""

    issuer: str
    repository_id: str
    ref: str
    environment: str
    subject: str
    digest: bytes
    expires_at: int


def key_file(store: Store, issuer: Issuer) -> Path:
    """Where the keys of a service are (JWKS)."""
    name = hashlib.sha256(issuer.issuer.encode()).hexdigest()[:16]
    return issuer.jwks_file or store.layout.area("data") / "issuers" / f"{name}.json"


def verified(store: Store, text: str) -> CiJob:
    """What the token says. Raises Refused (UNAUTHENTICATED), Unavailable while the keys are missing."""
    try:
        issuer = _issuer(store, jwt.decode(text, options={"verify_signature": False}).get("iss"))
        key = _key(store, issuer, jwt.get_unverified_header(text).get("kid"))
        claims = jwt.decode(
            text, key, algorithms=[key.algorithm_name], issuer=issuer.issuer, audience=store.settings.id_token_audience,
            leeway=SKEW_SECONDS,
            options={"require": REQUIRED, "strict_aud": True, "enforce_minimum_key_length": True},
        )  # fmt: skip
        return _job(issuer, claims, text)
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as error:
        reason = next((words for kind, words in FAULTS.items() if isinstance(error, kind)), "it is malformed")
        raise refused(reason) from error


def refused(reason: str) -> Refused:
    return Refused("UNAUTHENTICATED", f"The ID token is not accepted: {reason}.")


def _issuer(store: Store, claim: object) -> Issuer:
    for issuer in store.settings.issuers:
        if issuer.issuer == claim:
            return issuer
    raise refused("this store does not trust its issuer")


def _key(store: Store, issuer: Issuer, kid: object) -> jwt.PyJWK:
    """The key of a service that the token names."""
    try:
        with key_file(store, issuer).open("rb") as file:
            keys = usable_keys(file.read(KEYS_MAX + 1))
    except (OSError, ValueError):
        raise Unavailable(
            f"The keys of {issuer.issuer} are missing here: the operator's `mosis issuers` fetches them.", WAIT_SECONDS
        ) from None
    for key in keys:
        if key.key_id == kid and kid is not None:
            return key
    raise refused("it is signed with a key that its issuer has not published, or not before this store last looked")


def usable_keys(content: bytes) -> list[jwt.PyJWK]:
    """The keys of a JWKS that verify signatures here. Raises ValueError where there are none."""
    try:
        document = json.loads(content) if len(content) <= KEYS_MAX else None
        keys = jwt.PyJWKSet.from_dict(document).keys if isinstance(document, dict) else []
    except (jwt.PyJWTError, RecursionError, AttributeError) as error:
        raise ValueError("no JWKS") from error
    usable = [key for key in keys if key.algorithm_name in ALGORITHMS and key.public_key_use in (None, "sig")]
    if not usable:
        raise ValueError("no JWKS")
    return usable


def _job(issuer: Issuer, claims: dict[str, Any], text: str) -> CiJob:
    """Raises ValueError for claims of other types; Refused for a token that lives too long to be remembered."""
    expires_at = int(claims["exp"])
    if expires_at - int(claims["iat"]) > LIFETIME_SECONDS_MAX:
        raise refused("it is valid for more than a day")
    return CiJob(
        issuer.issuer, _word(claims, issuer.repository_claim, needed=True), _ref(claims), _word(claims, "environment"),
        _word(claims, "sub"), hashlib.sha256(text.rpartition(".")[0].encode()).digest(), expires_at,
    )  # fmt: skip


def _ref(claims: dict[str, Any]) -> str:
    """The ref in full, as `refs/heads/main`; that of a merge request is none of the project's branches."""
    ref, kind = _word(claims, "ref"), _word(claims, "ref_type")
    if _word(claims, "pipeline_source") in OF_OTHERS:
        return f"refs/merge-requests/{ref}"
    return ref if not ref or ref.startswith("refs/") else REFS.get(kind, "") + ref


def _word(claims: dict[str, Any], name: str, *, needed: bool = False) -> str:
    """A claim of text; a number, as some services write ids, as its digits. Raises ValueError."""
    value = claims.get(name)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if (value is None or value == "") and not needed:
        return ""
    if not isinstance(value, str) or not 0 < len(value) <= CLAIM_MAX:
        raise ValueError(name)
    return value
