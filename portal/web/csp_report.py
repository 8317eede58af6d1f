"""Where browsers report what a page tried against its Content-Security-Policy: a line in the log, for developers."""

import json
import logging
from contextlib import closing, suppress

from bottle import HTTPResponse

from portal.http.authentication import rate_limit_key, remote_address
from portal.http.routing import ANYONE, Operation, PublicCall, Routes
from portal.store import tokens
from portal.store.errors import RateLimited
from portal.store.rate_limit import EVERYBODY, rate_limit

BYTES_MAX = 8192
MEMBERS = ("effective-directive", "blocked-uri", "document-uri", "source-file", "line-number")
CHARACTERS_MAX = 200  # of a member

log = logging.getLogger(__name__)
routes = Routes()


@routes.add(Operation("POST", "/csp-report", "Report a violation of the policy", ANYONE, status=204))
def report(call: PublicCall) -> HTTPResponse:
    body = call.request.environ["wsgi.input"].read(min(max(call.request.content_length, 0), BYTES_MAX))
    with suppress(RateLimited, ValueError, TypeError, LookupError, AttributeError, RecursionError):
        sent = json.loads(body)["csp-report"]
        # Not the other way round: the rest of a secret that was cut does not look like one.
        found = {name: tokens.redacted(str(sent.get(name, "")))[:CHARACTERS_MAX] for name in MEMBERS}
        for name, key in (
            ("csp-reports", rate_limit_key(remote_address(call.settings, call.request))),
            ("all-csp-reports", EVERYBODY),
        ):
            with closing(rate_limit(call.settings, name)) as limit:
                limit.take(key)
        log.warning("a browser reports: %s", json.dumps(found))
    return HTTPResponse(status=204)
