"""What operators and their tools read: health, readiness, metrics, the description of the API."""

import ipaddress
import json
from collections.abc import Callable

from bottle import HTTPResponse
from prometheus_client import CONTENT_TYPE_LATEST

from portal.http import openapi, schemas
from portal.http.api import ANYONE, Api, Call, Operation, remote_address
from portal.metrics import Metrics
from portal.packages import manifest
from portal.store.errors import Refused

SCHEMA_TYPE = "application/schema+json"
OPENAPI_TYPE = "application/json"  # what every tool takes


def add(api: Api, metrics: Metrics) -> None:
    """Declare the routes; last, because the description lists every route before it."""
    store = api.store

    def healthz(call: Call) -> schemas.Health:
        return schemas.Health(status="alive")

    def readyz(call: Call) -> schemas.Health:
        try:
            store.db.read().execute("SELECT 1 FROM developers LIMIT 1").fetchone()
            store.layout.area("temp").stat()
        except Exception as error:
            raise Refused("UNAVAILABLE", f"The store is not ready: {error}.") from error
        return schemas.Health(status="ready")

    def show_metrics(call: Call) -> HTTPResponse:
        address = ipaddress.ip_address(remote_address(store, call.request))
        if not any(address in network for network in store.settings.metrics_networks):
            raise Refused("FORBIDDEN", "Metrics are for the operator's networks.")
        return HTTPResponse(metrics.exposition(), 200, {"Content-Type": CONTENT_TYPE_LATEST})

    def document(content: Callable[[], dict], media_type: str) -> Callable[[Call], HTTPResponse]:
        def show(call: Call) -> HTTPResponse:
            headers = {"Content-Type": media_type, "Cache-Control": "public, max-age=300"}
            return HTTPResponse(json.dumps(content()), 200, headers)

        return show

    for operation in (
        Operation("GET", "/healthz", healthz, "Whether the process lives", ANYONE, answer=schemas.Health),
        Operation("GET", "/readyz", readyz, "Whether requests will succeed", ANYONE,
                  answer=schemas.Health, problems=("UNAVAILABLE",)),
        Operation("GET", "/metrics", show_metrics, "Prometheus metrics, for the operator's networks", ANYONE,
                  media_type="text/plain", problems=("FORBIDDEN",)),
        Operation("GET", "/schemas/manifest.json", document(manifest.json_schema, SCHEMA_TYPE),
                  "JSON Schema of manifest.json", ANYONE, media_type=SCHEMA_TYPE),
        Operation("GET", "/openapi.json", document(lambda: openapi.describe(api.operations), OPENAPI_TYPE),
                  "This description", ANYONE, media_type=OPENAPI_TYPE),
    ):  # fmt: skip
        api.add(operation)
