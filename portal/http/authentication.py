"""Bearer tokens and sessions: who makes a request, and how many wrong tokens an address may send."""

import ipaddress

from bottle import LocalRequest

from portal.http import browsers
from portal.http.routing import Access, C
from portal.settings import Settings
from portal.store import refusals, sessions, tokens
from portal.store.audit import Actor
from portal.store.errors import Refused
from portal.store.rate_limit import RateLimit, rate_limit
from portal.store.store import Store

TOKEN_PARAMETERS = {"access_token", "token"}
PREVIEWS = "/preview/"  # whose addresses are secrets by design, and have the form of a token
IPV6_SITE_BITS = 64  # the network part of an address: the customer of a provider chooses the rest freely


class Authentication:
    """Checks the tokens and sessions of one application; all its workers share the count of wrong tokens."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._failures = wrong_tokens(store)

    def actor(self, request: LocalRequest, access: Access[C]) -> Actor | None:
        """The actor that the token or the session names; None without one, which only public access allows.

        Only wrong tokens count against an address: a valid one passes however many wrong ones came before it.
        Raises Refused.
        """
        _require_no_token_in_url(request)
        header = request.get_header("Authorization")
        token = self._of_session(request) if header is None else self._bearer(request, header)
        if token is None:
            if access.scopes:
                raise Refused("UNAUTHENTICATED", "Send a token in the header Authorization: Bearer mosis_….")
            return None
        if access.scopes and token.scope not in access.scopes:
            wanted = " or ".join(sorted(access.scopes))
            raise Refused("FORBIDDEN", f"This needs a token of scope {wanted}, not {token.scope}.")
        tokens.note_use(self._store.db.read(), token)
        return acting(self._store.settings, request, token)

    def known(self, request: LocalRequest) -> Actor | None:
        """The actor of a request that was refused, if it had a valid token or session; counts nothing."""
        scheme, _, text = request.get_header("Authorization", "").partition(" ")
        token = tokens.authenticate(self._store.db.read(), text.strip()) if scheme.lower() == "bearer" else None
        if token is None and not scheme:
            token = self._session_token(request)
        return acting(self._store.settings, request, token) if token else None

    def _bearer(self, request: LocalRequest, header: str) -> tokens.Token:
        scheme, _, text = header.partition(" ")
        return checked(self._store, self._failures, request, text.strip() if scheme.lower() == "bearer" else "")

    def _of_session(self, request: LocalRequest) -> tokens.Token | None:
        """A browser sends the cookie whichever page made the request, so a change must come from a page of ours."""
        token = self._session_token(request)
        if token is not None and request.method not in browsers.SAFE:
            browsers.require_same_origin(self._store.settings, request)
        return token

    def _session_token(self, request: LocalRequest) -> tokens.Token | None:
        secrets, db = browsers.secrets(self._store.settings, request), self._store.db.read()
        return next(filter(None, (sessions.token_of(db, secret) for secret in secrets)), None)


def wrong_tokens(store: Store) -> RateLimit:
    """The limit of wrong tokens from an address, shared by all that open it."""
    return rate_limit(store.settings, "auth-failures")


def checked(store: Store, failures: RateLimit, request: LocalRequest, text: str) -> tokens.Token:
    """The valid token with this clear text. Raises Refused (UNAUTHENTICATED, RATE_LIMITED)."""
    token = tokens.authenticate(store.db.read(), text)
    if token is None:
        claimed = tokens.PATTERN.fullmatch(text)
        failed(store, failures, request, "token", claimed[1] if claimed else "")
        raise Refused("UNAUTHENTICATED", "The token is unknown, expired or revoked.")
    return token


def failed(store: Store, failures: RateLimit, request: LocalRequest, kind: str, claimed: str = "") -> None:
    """Count a wrong credential of this kind against its address, and log it; `claimed` is the id that it had.

    Raises RateLimited.
    """
    address = remote_address(store.settings, request)
    failures.take(key := rate_limit_key(address))
    refusals.record(store, refusals.stranger(address), refusals.LOG_IN, claimed or kind, key, kind=kind)


def acting(settings: Settings, request: LocalRequest, token: tokens.Token) -> Actor:
    """The actor of a token."""
    return Actor(token.developer_id, token.scope, token.token_id, remote_address(settings, request), token.app_id)


def remote_address(settings: Settings, request: LocalRequest) -> str:
    """The address of the client: behind our own nginx, the last one in X-Forwarded-For."""
    forwarded = request.get_header("X-Forwarded-For", "") if settings.proxied else ""
    return forwarded.rpartition(",")[2].strip() or request.environ.get("REMOTE_ADDR", "")


def rate_limit_key(address: str) -> str:
    """The rate-limit key of an address: IPv4 as is, mapped into IPv6 or not; IPv6 by its /64, anything else as is."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    if parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((int(parsed), IPV6_SITE_BITS), strict=False))


def _require_no_token_in_url(request: LocalRequest) -> None:
    query = list(request.query.allitems())
    texts = [text for pair in query for text in pair]
    if not request.path.startswith(PREVIEWS):
        texts.append(request.path)
    if any(name.lower() in TOKEN_PARAMETERS for name, _ in query) or any(map(tokens.PATTERN.search, texts)):
        raise Refused(
            "INVALID_REQUEST",
            "Send tokens only in the header Authorization. URLs are written to logs: if this one contained a token,"
            " revoke that token.",
        )
