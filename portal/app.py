"""The application: settings in, WSGI out."""

from collections.abc import Callable, Iterable
from time import perf_counter
from typing import Any

from bottle import Bottle

from portal.http.api import STARTED, Api
from portal.http.draining import Wsgi, drained
from portal.http.routes import accounts, app_keys, apps, images, service, store, uploads
from portal.metrics import Metrics
from portal.settings import Settings
from portal.store.store import open_store


def create_app(settings: Settings) -> Wsgi:
    """The portal over an existing store. Raises DatabaseUnusable."""
    app = Bottle()
    api = Api(app, open_store(settings))
    metrics = Metrics(api.store)
    accounts.add(api)
    apps.add(api, metrics)
    app_keys.add(api)
    uploads.add(api, metrics)
    images.add(api, metrics)
    store.add(api, metrics)
    service.add(api, metrics)
    return drained(measured(app, metrics))


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
            return app(environ, start)
        finally:
            route = environ.get("bottle.route")
            metrics.request(
                route.rule if route else "unknown",
                environ["REQUEST_METHOD"] if route else "unknown",
                int(status[:3]),
                perf_counter() - started,
            )

    return wsgi
