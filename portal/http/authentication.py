"""Bearer tokens: who makes a request, and how many wrong tokens an address may send."""

import ipaddress

from bottle import LocalRequest

from portal.http.routing import Access, C
from portal.settings import Settings
from portal.store import tokens
from portal.store.audit import Actor
from portal.store.errors import Refused
from portal.store.rate_limit import RateLimit
from portal.store.store import Store

TOKEN_PARAMETERS = {"access_token", "token"}
IPV6_SITE_BITS = 64  # the network part of an address: the customer of a provider chooses the rest freely


class Authentication:
    """Checks the tokens of one application; all its workers share the count of wrong ones."""

    def __init__(self, store: Store) -> None:
        self._store = store
        path, count = store.layout.area("data") / "auth-failures.limit", store.settings.auth_failures_per_minute
        self._failures = RateLimit(path, "wrong tokens from this address", count, 60)

    def actor(self, request: LocalRequest, access: Access[C]) -> Actor | None:
        """The actor that the token names; None without a token, which only public access allows. Raises Refused.

        Only wrong tokens count against an address: a valid one passes however many wrong ones came before it.
        """
        _require_no_token_in_url(request)
        header = request.get_header("Authorization")
        if header is None:
            if access.scopes:
                raise Refused("UNAUTHENTICATED", "Send a token in the header Authorization: Bearer mosis_….")
            return None
        token, address = self._token(header), remote_address(self._store.settings, request)
        if token is None:
            self._failures.take(rate_limit_key(address))
            raise Refused("UNAUTHENTICATED", "The token is unknown, expired or revoked.")
        if access.scopes and token.scope not in access.scopes:
            wanted = " or ".join(sorted(access.scopes))
            raise Refused("FORBIDDEN", f"This needs a token of scope {wanted}, not {token.scope}.")
        tokens.note_use(self._store.db.read(), token)
        return Actor(token.developer_id, token.scope, token.token_id, address, token.app_id)

    def _token(self, header: str) -> tokens.Token | None:
        scheme, _, text = header.partition(" ")
        return tokens.authenticate(self._store.db.read(), text.strip()) if scheme.lower() == "bearer" else None


def remote_address(settings: Settings, request: LocalRequest) -> str:
    """The address of the client: behind our own nginx, the last one in X-Forwarded-For."""
    forwarded = request.get_header("X-Forwarded-For", "") if settings.proxied else ""
    return forwarded.rpartition(",")[2].strip() or request.environ.get("REMOTE_ADDR", "")


def rate_limit_key(address: str) -> str:
    """The rate-limit key of an address: IPv4 as is, IPv6 by its /64, anything else as is."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    return str(ipaddress.ip_network((int(parsed), IPV6_SITE_BITS), strict=False))


def _require_no_token_in_url(request: LocalRequest) -> None:
    for name, value in request.query.allitems():
        if name.lower() in TOKEN_PARAMETERS or tokens.PATTERN.search(value):
            raise Refused(
                "INVALID_REQUEST",
                "Send tokens only in the header Authorization. URLs are written to logs: if this one contained a token,"
                " revoke that token.",
            )
