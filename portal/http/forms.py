"""Request bodies: a multipart file goes to its sink chunk by chunk, text fields and JSON are bounded.

A body needs a Content-Length: the server passes on a chunked body that breaks off as if it had ended.
"""

from collections.abc import Callable, Iterator
from typing import TypeVar

from bottle import BaseRequest
from multipart import MultipartError, MultipartSegment, ParserLimitReached, PushMultipartParser, parse_options_header
from pydantic import BaseModel, ValidationError

from portal.packages import strict_json
from portal.packages.errors import quote
from portal.store.errors import Refused
from portal.store.files import Received, Sink

CHUNK = 128 * 1024  # bytes
FIELD_MAX = 1024
JSON_MAX = 64 * 1024
OVERHEAD_MAX = 64 * 1024  # boundaries, part headers and text fields around the one file
PARTS_MAX = 16
BOUNDARY_MAX = 70  # RFC 2046 section 5.1.1

Model = TypeVar("Model", bound=BaseModel)


def json_body(request: BaseRequest, model: type[Model]) -> Model:
    """The body as `model`; an absent body counts as an empty object.

    Raises Refused (UNSUPPORTED_MEDIA_TYPE, LENGTH_REQUIRED, FILE_TOO_LARGE, INVALID_REQUEST, VALIDATION_ERROR).
    """
    body = b"".join(_chunks(request, JSON_MAX))
    content_type, _ = parse_options_header(request.get_header("Content-Type", ""))
    if body and content_type != "application/json":
        raise Refused("UNSUPPORTED_MEDIA_TYPE", "The body must be application/json.")
    try:
        return model.model_validate(strict_json.parse(body or b"{}", max_bytes=JSON_MAX))
    except strict_json.JsonRejected as error:
        raise Refused("VALIDATION_ERROR", "The body is invalid.", [f"body: {error}."]) from None
    except ValidationError as error:
        raise Refused("VALIDATION_ERROR", "The body is invalid.", reasons(error)) from None


def reasons(error: ValidationError) -> list[str]:
    """One sentence per error, without the value, which may be a secret."""
    return [f"{'.'.join(map(str, e['loc'])) or 'body'}: {e['msg']}." for e in error.errors(include_input=False)]


def multipart_file(
    request: BaseRequest, name: str, open_sink: Callable[[], Sink], limit: int, fields: tuple[str, ...] = ()
) -> tuple[Received, dict[str, str]]:
    """Write the file part `name` to a sink; return it with the text `fields` of the form.

    Raises Refused (UNSUPPORTED_MEDIA_TYPE, LENGTH_REQUIRED, INVALID_REQUEST, INVALID_FILE, FILE_TOO_LARGE).
    """
    content_type, options = parse_options_header(request.get_header("Content-Type", ""))
    boundary = options.get("boundary", "")
    if content_type != "multipart/form-data" or not 1 <= len(boundary) <= BOUNDARY_MAX or not boundary.isascii():
        raise Refused(
            "UNSUPPORTED_MEDIA_TYPE",
            f"The body must be multipart/form-data with a boundary of 1 to {BOUNDARY_MAX} characters.",
        )
    texts: dict[str, bytearray] = {}
    sink: Sink | None = None
    target: Callable[[bytes], object] = _ignore
    try:
        parser = PushMultipartParser(boundary, max_segment_count=PARTS_MAX, max_segment_size=limit)
        with parser:
            for chunk in _chunks(request, limit + OVERHEAD_MAX):
                for event in parser.parse(chunk):
                    if event is None:
                        target = _ignore
                    elif not isinstance(event, MultipartSegment):
                        target(event)
                    elif event.name == name:
                        if sink is not None:
                            raise Refused("INVALID_FILE", f"The form has more than one part {name!r}.")
                        sink = open_sink()
                        target = sink.write
                    elif event.name in fields and event.name not in texts:
                        target = _bounded(event.name, texts.setdefault(event.name, bytearray()))
                    else:
                        raise Refused("INVALID_FILE", f"The form has an unexpected part {quote(event.name)}.")
        if sink is None:
            raise Refused("INVALID_FILE", f"The form has no part {name!r}.")
        return sink.finish(), {key: value.decode() for key, value in texts.items()}
    except ParserLimitReached as error:
        raise Refused("FILE_TOO_LARGE", f"The form exceeds a limit: {error}") from None
    except MultipartError as error:
        raise Refused("INVALID_FILE", f"The form is malformed or incomplete: {error}") from None
    except UnicodeDecodeError:
        raise Refused("INVALID_FILE", "A text field is not UTF-8.") from None
    finally:
        if sink is not None:
            sink.close()


def _ignore(chunk: bytes) -> None:
    """Discard bytes outside of any part."""


def _bounded(name: str, field: bytearray) -> Callable[[bytes], None]:
    def write(chunk: bytes) -> None:
        field.extend(chunk)
        if len(field) > FIELD_MAX:
            raise Refused("INVALID_FILE", f"The field {name!r} is longer than {FIELD_MAX} bytes.")

    return write


def _chunks(request: BaseRequest, limit: int) -> Iterator[bytes]:
    """The body. Raises Refused (LENGTH_REQUIRED, FILE_TOO_LARGE over `limit`, INVALID_REQUEST when it ends early)."""
    if request.get_header("Transfer-Encoding") is not None:
        raise Refused("LENGTH_REQUIRED", "Send the body with a Content-Length, without Transfer-Encoding.")
    expected = max(request.content_length, 0)
    if expected > limit:
        raise Refused("FILE_TOO_LARGE", f"The body has {expected} bytes; at most {limit} are accepted.")
    source, left = request.environ["wsgi.input"], expected
    while left:
        chunk = source.read(min(CHUNK, left))
        if not chunk:
            raise Refused("INVALID_REQUEST", f"The body ended after {expected - left} of {expected} bytes.")
        left -= len(chunk)
        yield chunk
