"""What a browser sends along by itself: the cookie of its session, and which page a request comes from."""

from urllib.parse import urlsplit

from bottle import HTTPResponse, LocalRequest

from portal.settings import Settings
from portal.store import sessions
from portal.store.errors import Refused

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
COOKIE = "mosis-session"
HOST_MAX = 260  # characters: a name of DNS and a port
COOKIES_MAX = 4  # of one name: applications at other ports of a host share its cookies


def scheme(settings: Settings, request: LocalRequest) -> str:
    """How the browser reached the store: nginx passes on what a proxy that it trusts says."""
    forwarded: str = request.get_header("X-Forwarded-Proto", "") if settings.proxied else ""
    return forwarded if forwarded in ("http", "https") else str(request.environ.get("wsgi.url_scheme", "http"))


def host(request: LocalRequest) -> str:
    """The host and port that the browser asked for; empty if no host has so long a name."""
    asked: str = request.get_header("Host", "").lower()
    return asked if len(asked) <= HOST_MAX else ""


def cookie_name(settings: Settings, request: LocalRequest) -> str:
    """Over https only a cookie that no page of plain http, of another host or of another port can set."""
    return f"__Host-{COOKIE}" if scheme(settings, request) == "https" else COOKIE


def secrets(settings: Settings, request: LocalRequest) -> list[str]:
    """The secrets of sessions that the request has; one of them at most is ours."""
    # Not by the framework: http.cookies gives up at the first cookie of another application that it does not like.
    sent: str = request.get_header("Cookie", "")
    if not sent:
        return []
    name, pairs = cookie_name(settings, request), (pair.strip().partition("=") for pair in sent.split(";"))
    return [value for found, _, value in pairs if found == name][:COOKIES_MAX]


def keep(settings: Settings, request: LocalRequest, response: HTTPResponse, secret: str) -> None:
    """Have the browser keep the secret of a session, or forget it if that is empty."""
    name = cookie_name(settings, request)
    response.set_cookie(
        name, secret, path="/", httponly=True, samesite="lax", secure=name != COOKIE,
        maxage=sessions.SECONDS if secret else 0,
    )  # fmt: skip


def require_same_origin(settings: Settings, request: LocalRequest) -> None:
    """Raises Refused (FORBIDDEN) for a request that a page of another site may have made.

    Browsers send Sec-Fetch-Site to https and to loopback only; to a host of plain http they send Origin.
    """
    site = request.get_header("Sec-Fetch-Site")
    if site in ("same-origin", "none") if site else _is_own(settings, request):
        return
    raise Refused("FORBIDDEN", "The request comes from a page of another site: use the pages of this store.")


def _is_own(settings: Settings, request: LocalRequest) -> bool:
    try:
        origin = urlsplit(request.get_header("Origin", "").lower())
    except ValueError:  # half of an IPv6 address: no browser sends that
        return False
    public = urlsplit(settings.public_url.lower())
    if not origin.netloc:
        return False
    return origin[:2] == public[:2] or str(origin.netloc) == host(request)
