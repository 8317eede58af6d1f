"""For operators and their tools: liveness, readiness, metrics, the description of the API."""

import ipaddress
import json
import logging
from functools import cache

from bottle import HTTPResponse
from prometheus_client import CONTENT_TYPE_LATEST

from portal.http import openapi, schemas
from portal.http.authentication import remote_address
from portal.http.responses import revalidated
from portal.http.routing import ANYONE, Operation, PublicCall, Route, Routes
from portal.packages import manifest
from portal.store.errors import Refused

SCHEMA_TYPE = "application/schema+json"
OPENAPI_TYPE = "application/json"  # which every tool accepts
FORWARDED = ("Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP")
DOCUMENT_CACHE = "public, max-age=300"

log = logging.getLogger(__name__)
routes = Routes()


@routes.add(Operation("GET", "/healthz", "Liveness check", ANYONE))
def healthz(call: PublicCall) -> schemas.Health:
    return schemas.Health(status="alive")


@routes.add(Operation("GET", "/readyz", "Readiness check", ANYONE))
def readyz(call: PublicCall) -> schemas.Health:
    try:
        call.db.read().execute("SELECT 1 FROM developers LIMIT 1").fetchone()
        call.store.layout.area("temp").stat()
    except Exception as error:
        log.exception("not ready")
        raise Refused("UNAVAILABLE", "The store is not ready; see the server's log.") from error
    return schemas.Health(status="ready")


@routes.add(
    Operation(
        "GET", "/metrics", "Get the Prometheus metrics, from the operator's networks only", ANYONE,
        media_type="text/plain", problems=("FORBIDDEN",),
    )
)  # fmt: skip
def show_metrics(call: PublicCall) -> HTTPResponse:
    address = ipaddress.ip_address(remote_address(call.settings, call.request))
    if not any(address in network for network in call.settings.metrics_networks) or _by_local_proxy(call, address):
        raise Refused("FORBIDDEN", "Metrics are only available from the networks in the setting metrics_networks.")
    return HTTPResponse(call.metrics.exposition(), 200, {"Content-Type": CONTENT_TYPE_LATEST})


def _by_local_proxy(call: PublicCall, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether a proxy on this host asks for somebody whom it does not name to the portal."""
    known = ("X-Forwarded-For",) if call.settings.proxied else ()  # then our own nginx sends it, with the address
    return address.is_loopback and any(call.request.get_header(name) for name in FORWARDED if name not in known)


@routes.add(
    Operation(
        "GET", "/schemas/manifest.json", "Get the schema of manifest.json", ANYONE,
        media_type=SCHEMA_TYPE, revalidated=True,
    )
)  # fmt: skip
def manifest_schema(call: PublicCall) -> HTTPResponse:
    return _document(call, _manifest_schema(), SCHEMA_TYPE)


@routes.add(
    Operation("GET", "/openapi.json", "Get this OpenAPI description", ANYONE, media_type=OPENAPI_TYPE, revalidated=True)
)
def openapi_document(call: PublicCall) -> HTTPResponse:
    return _document(call, _description(call.services.routes), OPENAPI_TYPE)


@cache
def _manifest_schema() -> bytes:
    return json.dumps(manifest.json_schema()).encode()


@cache
def _description(routes: tuple[Route, ...]) -> bytes:
    """Made once per worker: it takes a hundred times as long as any other answer to a stranger."""
    return json.dumps(openapi.describe(routes)).encode()


def _document(call: PublicCall, content: bytes, media_type: str) -> HTTPResponse:
    return revalidated(call.request, content, {"Content-Type": media_type, "Cache-Control": DOCUMENT_CACHE})
