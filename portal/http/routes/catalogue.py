"""For devices: the signed catalogue, byte for byte as a job wrote it and as it is in the mirror's bucket."""

from bottle import HTTPResponse

from portal.http.responses import revalidated
from portal.http.routing import ANYONE, Operation, PublicCall, Routes
from portal.store import catalogue_files
from portal.store.errors import Refused

routes = Routes()


@routes.add(
    Operation(
        "GET", f"/catalogue/<path:re:{catalogue_files.PATTERN}>", "Get a file of the signed catalogue (TUF)", ANYONE,
        media_type=catalogue_files.CONTENT_TYPE, revalidated=True,
    )
)  # fmt: skip
def catalogue_file(call: PublicCall, path: str) -> HTTPResponse:
    try:
        content = catalogue_files.path(call.store.layout, path).read_bytes()  # at once: the timestamp is replaced
    except FileNotFoundError:
        raise Refused("NOT_FOUND", f"The catalogue has no file {path}.") from None
    headers = {"Content-Type": catalogue_files.CONTENT_TYPE, "Cache-Control": catalogue_files.cache_control(path)}
    return revalidated(call.request, content, headers)
