"""From a template to a response: one environment, and the header fields that every page has."""

from collections.abc import Mapping
from functools import cache

from bottle import HTTPResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from portal.http import browsers
from portal.http.responses import revalidated
from portal.http.routing import PublicCall
from portal.packages.remedies import remedy
from portal.sizes import size
from portal.store.clock import rfc3339
from portal.store.layout import image_name
from portal.web import static, text
from portal.web.form_faults import form_faults

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script';"
    " trusted-types 'none'; report-uri /csp-report"
)
SECURITY = {
    "Content-Security-Policy": CSP,
    "Referrer-Policy": "same-origin",  # `no-referrer` would make the Origin of our own forms `null`
    "X-Content-Type-Options": "nosniff",
}
HTML, ATOM = "text/html; charset=utf-8", "application/atom+xml; charset=utf-8"
# Like the list of apps: our nginx keeps a page for a second, and shows the old one while the portal is down. A browser
# asks each time. A page that names the host it was asked at is never shared.
PUBLIC = "public, max-age=0, s-maxage=1, stale-while-revalidate=4, stale-if-error=86400"
OF_HOST = "private, no-cache"
PRIVATE = "private, no-store"


@cache
def environment() -> Environment:
    made = Environment(
        loader=PackageLoader("portal.web"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, auto_reload=False,
    )  # fmt: skip
    made.filters |= {
        name: getattr(text, name)
        for name in ("date", "host", "hue", "initial", "inline", "moment", "notes", "period", "web_page")
    }
    made.filters["command"] = text.command
    made.filters["form_faults"] = form_faults
    made.filters["remedy"] = remedy
    made.filters["rfc3339"] = rfc3339
    made.filters["size"] = size
    made.globals |= {"static": static.url, "image_name": image_name}
    return made


def render(template: str, **values: object) -> str:
    """The text of a template."""
    return text.clean(environment().get_template(template).render(values))


def public(call: PublicCall, template: str, content_type: str = HTML, **values: object) -> HTTPResponse:
    """A page that is the same for everyone, with an entity tag."""
    content = render(template, origin=origin(call), **values).encode()
    cache_control = PUBLIC if call.settings.public_url else OF_HOST
    return revalidated(
        call.request, content, {"Content-Type": content_type, "Cache-Control": cache_control, **SECURITY}
    )


def html(template: str, status: int = 200, headers: Mapping[str, str] | None = None, **values: object) -> HTTPResponse:
    """A page for one reader, or about an error: nothing keeps it."""
    fields = {"Content-Type": HTML, "Cache-Control": PRIVATE, **SECURITY, **(headers or {})}
    return HTTPResponse(render(template, **values), status, fields)


def absolute(call: PublicCall, url: str) -> str:
    """The URL with the origin of the store, which it has already where `public_url` is set."""
    return url if "://" in url else f"{origin(call)}{url}"


def origin(call: PublicCall) -> str:
    """The URL of the store, without a slash at its end: the configured one, else the one that was asked."""
    if call.settings.public_url:
        return call.settings.public_url
    return f"{browsers.scheme(call.settings, call.request)}://{browsers.host(call.request)}"
