"""The protocol tus 1.0.0 (https://tus.io/protocols/resumable-upload): core and the extensions below."""

import re
from collections.abc import Mapping

from bottle import BaseRequest, HTTPResponse, request, response

from portal.http.conditional import http_date
from portal.http.digests import Check, decode
from portal.store.errors import Refused
from portal.store.signed_uploads import Transfer

VERSION = "1.0.0"
EXTENSIONS = ("creation", "expiration", "termination", "checksum")
UNSUPPORTED = {"Upload-Concat": "concatenation (parallel parts)", "Upload-Defer-Length": "creation-defer-length"}
CHECKSUMS = ("sha1", "sha256")
CONTENT_TYPE = "application/offset+octet-stream"
NUMBER = re.compile(r"0|[1-9][0-9]{0,14}")
SHA256 = re.compile(rb"[0-9a-f]{64}")
METHODS_OVERRIDDEN = ("PATCH", "DELETE")


def is_used(call: BaseRequest) -> bool:
    """Whether the client uses tus."""
    return call.get_header("Tus-Resumable") is not None


def require_version(call: BaseRequest) -> None:
    """Raises Refused (TUS_VERSION) unless the client uses this version."""
    if call.get_header("Tus-Resumable") != VERSION:
        raise Refused("TUS_VERSION", f"Send Tus-Resumable: {VERSION}.")


def require_plain_creation(call: BaseRequest) -> None:
    """Raises Refused (INVALID_REQUEST) for what belongs to extensions that are not supported."""
    for name, extension in UNSUPPORTED.items():
        if call.get_header(name) is not None:
            raise Refused(
                "INVALID_REQUEST",
                f"{name} is not supported: the extensions are {', '.join(EXTENSIONS)}, without {extension}.",
            )


def mark() -> None:
    """Hook: add the version to every answer to a tus client, errors included, but to none that a cache keeps."""
    if is_used(request) and "public" not in response.get_header("Cache-Control", ""):
        response.set_header("Tus-Resumable", VERSION)
        if response.status_code == 412:
            response.set_header("Tus-Version", VERSION)


def capabilities(max_size: int) -> HTTPResponse:
    """The answer to OPTIONS; `max_size` in bytes."""
    fields = {
        "Tus-Resumable": VERSION,
        "Tus-Version": VERSION,
        "Tus-Max-Size": str(max_size),
        "Tus-Extension": ",".join(EXTENSIONS),
        "Tus-Checksum-Algorithm": ",".join(CHECKSUMS),
    }
    return HTTPResponse(status=204, headers=fields)


def state(transfer: Transfer) -> dict[str, str]:
    """The header fields that describe the progress of an upload."""
    return {
        "Upload-Offset": str(transfer.received),
        "Upload-Length": str(transfer.size),
        "Upload-Expires": http_date(transfer.expires_at),
        "Cache-Control": "no-store",
    }


def number(call: BaseRequest, name: str) -> int:
    """A header field of bytes. Raises Refused (INVALID_REQUEST)."""
    value = call.get_header(name, "")
    if NUMBER.fullmatch(value) is None:
        raise Refused("INVALID_REQUEST", f"{name} must be a number of bytes.")
    return int(value)


def metadata(call: BaseRequest) -> Mapping[str, bytes]:
    """Upload-Metadata: keys with base64 values. Raises Refused (INVALID_REQUEST)."""
    found = {}
    for pair in filter(None, call.get_header("Upload-Metadata", "").split(",")):
        key, _, value = pair.strip().partition(" ")
        if not key or key in found:
            raise Refused("INVALID_REQUEST", "Upload-Metadata has an empty or a repeated key.")
        found[key] = decode(value, "Upload-Metadata")
    return found


def announced_sha256(call: BaseRequest) -> str | None:
    """The digest of the whole body in hex, if the metadata has one. Raises Refused (INVALID_REQUEST)."""
    value = metadata(call).get("sha256")
    if value is not None and SHA256.fullmatch(value) is None:
        raise Refused("INVALID_REQUEST", "sha256 in Upload-Metadata must be 64 hex digits.")
    return value.decode() if value else None


def checksum(call: BaseRequest) -> list[Check]:
    """The checks of the body that Upload-Checksum requests. Raises Refused (INVALID_REQUEST)."""
    value = call.get_header("Upload-Checksum")
    if value is None:
        return []
    algorithm, _, digest = value.partition(" ")
    if algorithm not in CHECKSUMS:
        raise Refused("INVALID_REQUEST", f"Upload-Checksum supports {' and '.join(CHECKSUMS)}.")
    refusal = Refused("CHECKSUM_MISMATCH", "The checksum of the chunk does not match Upload-Checksum.")
    return [Check(algorithm, decode(digest, "Upload-Checksum"), refusal)]


def overridden(call: BaseRequest) -> str:
    """The method for which a client behind a strict proxy sends POST. Raises Refused (INVALID_REQUEST)."""
    method: str = call.get_header("X-HTTP-Method-Override", "")
    if method not in METHODS_OVERRIDDEN:
        raise Refused("INVALID_REQUEST", f"X-HTTP-Method-Override must be {' or '.join(METHODS_OVERRIDDEN)}.")
    return method
