"""Style sheets, scripts and pictures of the pages, below one digest: ES modules import each other by relative URL."""

import hashlib
from functools import cache
from importlib import resources

from bottle import HTTPResponse

from portal.http.routing import ANYONE, Operation, PublicCall, Routes
from portal.store.errors import Refused

TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml; charset=utf-8",
}
IMMUTABLE = "public, max-age=31536000, immutable, s-maxage=86400"

routes = Routes()


@cache
def files() -> dict[str, bytes]:
    """The content of every file by its name."""
    return {file.name: file.read_bytes() for file in (resources.files("portal.web") / "static").iterdir()}


@cache
def digest() -> str:
    """16 hex digits that change with any of the files."""
    named = b"".join(name.encode() + b"\0" + hashlib.sha256(data).digest() for name, data in sorted(files().items()))
    return hashlib.sha256(named).hexdigest()[:16]


def url(name: str) -> str:
    """The address of a file. Raises KeyError if there is none."""
    if name not in files():
        raise KeyError(name)
    return f"/static/{digest()}/{name}"


@routes.add(Operation("GET", "/static/<folder>/<name>", "Get a file of the pages", ANYONE, media_type="text/css"))
def static(call: PublicCall, folder: str, name: str) -> HTTPResponse:
    content = files().get(name)
    if content is None:
        raise Refused("NOT_FOUND", f"The pages have no file {name}.")
    # A page that a cache kept since the last release gets today's style, which it then must not keep under that name.
    cache_control = IMMUTABLE if folder == digest() else "no-store"
    headers = {
        "Content-Type": TYPES[name.rpartition(".")[2]],
        "Cache-Control": cache_control,
    }
    return HTTPResponse(content, 200, headers)
