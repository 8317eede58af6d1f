"""The application: settings in, WSGI out."""

from collections.abc import Callable, Iterable
from time import perf_counter
from typing import Any

from bottle import Bottle

from portal.http.dispatch import application
from portal.http.draining import Wsgi, drained
from portal.http.legible import legible
from portal.http.routes import (
    accounts,
    app_keys,
    apps,
    catalogue,
    image_reviews,
    images,
    me,
    previews,
    publishing,
    service,
    store,
    updates,
    upload_bodies,
    uploads,
)
from portal.http.routing import STARTED, Services
from portal.http.security_headers import secured
from portal.http.senders import Senders
from portal.metrics import Metrics
from portal.settings import Settings
from portal.store.downloads import Counting
from portal.store.store import open_store
from portal.web import (
    account,
    console,
    csp_report,
    image_review,
    passkeys,
    pictures,
    preview,
    review,
    several,
    sharing,
    sign_in,
    signing_keys,
    static,
    status,
    storefront,
)
from portal.web.errors import readable

MODULES = (
    accounts,
    me,
    apps,
    previews,
    publishing,
    app_keys,
    uploads,
    upload_bodies,
    images,
    image_reviews,
    store,
    updates,
    catalogue,
    service,
)
PAGES = (
    storefront,
    preview,
    sign_in,
    passkeys,
    console,
    pictures,
    several,
    sharing,
    account,
    signing_keys,
    image_review,
    review,
    status,
    csp_report,
    static,
)


def create_app(settings: Settings) -> Wsgi:
    """The portal over an existing store. Raises DatabaseUnusable."""
    opened = open_store(settings)
    routes = tuple(route for module in MODULES for route in module.routes)
    services = Services(opened, Metrics(opened), routes, Counting(opened.db), Senders(settings.threads))
    pages = (route for module in PAGES for route in module.routes)
    answering = measured(application(services, pages), services.metrics)
    return legible(drained(secured(readable(answering, settings))))


def measured(app: Bottle, metrics: Metrics) -> Wsgi:
    """Count and time every answer, under the pattern of its route so that labels stay few."""

    def wsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        environ[STARTED] = started = perf_counter()
        status = "500"

        def start(line: str, *rest: Any) -> Any:
            nonlocal status
            status = line
            return start_response(line, *rest)

        try:
            answer: Iterable[bytes] = app(environ, start)
            return answer
        finally:
            route = environ.get("bottle.route")
            metrics.request(
                route.rule if route else "unknown",
                environ["REQUEST_METHOD"] if route else "unknown",
                int(status[:3]),
                perf_counter() - started,
            )

    return wsgi
