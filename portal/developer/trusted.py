"""Trusted publishing: a job of a CI service proves by an ID token whose it is, and gets a token of one app for it."""

import os
from urllib.parse import quote, urlsplit

from portal.developer import credentials
from portal.developer.answers import Audience, IdToken, IssuedToken
from portal.developer.client import Client
from portal.developer.credentials import Account
from portal.developer.errors import Problem, SignedOut
from portal.faults import Fault

ID_TOKEN_VARIABLE = "MOSIS_ID_TOKEN"  # noqa: S105  # a name; GitLab's `id_tokens` sets it
REQUEST_URL, REQUEST_TOKEN = "ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"
"""Where a job of GitHub or Forgejo asks for an ID token, if its workflow has the permission."""


def is_offered() -> bool:
    """Whether this is a job that can have an ID token, and no token is given."""
    offered = os.environ.get(ID_TOKEN_VARIABLE) or (os.environ.get(REQUEST_URL) and os.environ.get(REQUEST_TOKEN))
    return bool(offered) and not credentials.overridden()


def token(url: str, app_id: str) -> str:
    """A token of the app for this job. Raises SignedOut, Unreachable, Fault."""
    store = Client(Account(url, ""))
    try:
        audience = store.request("GET", "/api/oidc/audience", signed=True).read(Audience).audience
    except Problem as problem:
        if problem.status != 404:
            raise
        raise SignedOut(f"{url} trusts no CI service: set {credentials.TOKEN_VARIABLE} to a token.") from None
    body = {"token": os.environ.get(ID_TOKEN_VARIABLE) or _requested(audience), "app_id": app_id}
    try:
        return store.post("/api/oidc/token", IssuedToken, body, signed=True).token
    except Problem as problem:
        if problem.code not in ("UNAUTHENTICATED", "FORBIDDEN"):
            raise
        raise SignedOut(problem.detail) from None


def _requested(audience: str) -> str:
    """An ID token of this job. Raises SignedOut."""
    parts = urlsplit(os.environ[REQUEST_URL])
    path = f"{parts.path}?{parts.query}{'&' if parts.query else ''}audience={quote(audience, safe='')}"
    service = Client(Account(f"{parts.scheme}://{parts.netloc}", os.environ[REQUEST_TOKEN]))
    try:
        return service.get(path, IdToken).value
    except Fault as fault:
        raise SignedOut(f"The CI service issued no ID token for this job. {fault}") from fault
