"""Bodies as they arrive: a multipart file goes to its sink chunk by chunk, text fields and JSON stay small."""

from collections.abc import Callable, Iterator
from typing import TypeVar

from bottle import BaseRequest
from multipart import MultipartError, ParserLimitReached, PushMultipartParser, parse_options_header
from pydantic import BaseModel, ValidationError

from portal.store.errors import Refused
from portal.store.files import Received, Sink

CHUNK = 256 * 1024
FIELD_MAX = 1024
JSON_MAX = 64 * 1024
OVERHEAD_MAX = 64 * 1024  # boundaries, part headers and text fields around the one file
PARTS_MAX = 16

Model = TypeVar("Model", bound=BaseModel)


def json_body(request: BaseRequest, model: type[Model]) -> Model:
    """The body as `model`; no body is an empty object.

    Raises Refused (UNSUPPORTED_MEDIA_TYPE, FILE_TOO_LARGE, VALIDATION_ERROR).
    """
    body = b"".join(_chunks(request, JSON_MAX))
    content_type, _ = parse_options_header(request.get_header("Content-Type", ""))
    if body and content_type != "application/json":
        raise Refused("UNSUPPORTED_MEDIA_TYPE", "The body must be application/json.")
    try:
        return model.model_validate_json(body or b"{}")
    except ValidationError as error:
        raise Refused("VALIDATION_ERROR", "The body does not fit.", reasons(error)) from None


def reasons(error: ValidationError) -> list[str]:
    """One sentence a fault, without the value: it may be a secret."""
    return [f"{'.'.join(map(str, e['loc'])) or 'body'}: {e['msg']}." for e in error.errors(include_input=False)]


def multipart_file(
    request: BaseRequest, name: str, open_sink: Callable[[], Sink], limit: int, fields: tuple[str, ...] = ()
) -> tuple[Received, dict[str, str]]:
    """Take the one file part `name` into a sink and return it with the text `fields` that came along.

    Raises Refused (UNSUPPORTED_MEDIA_TYPE, INVALID_FILE, FILE_TOO_LARGE); a body cut short is INVALID_FILE.
    """
    content_type, options = parse_options_header(request.get_header("Content-Type", ""))
    if content_type != "multipart/form-data" or not options.get("boundary"):
        raise Refused("UNSUPPORTED_MEDIA_TYPE", "The body must be multipart/form-data with a boundary.")
    texts: dict[str, bytearray] = {}
    sink: Sink | None = None
    target: Callable[[bytes], object] | None = None
    try:
        parser = PushMultipartParser(options["boundary"], max_segment_count=PARTS_MAX, max_segment_size=limit)
        with parser:
            for chunk in _chunks(request, limit + OVERHEAD_MAX):
                for event in parser.parse(chunk):
                    if isinstance(event, (bytes, bytearray, memoryview)):
                        target(event)
                    elif event is None:
                        target = None
                    elif event.name == name:
                        if sink is not None:
                            raise Refused("INVALID_FILE", f"The form has more than one part {name!r}.")
                        sink = open_sink()
                        target = sink.write
                    elif event.name in fields and event.name not in texts:
                        target = _bounded(event.name, texts.setdefault(event.name, bytearray()))
                    else:
                        raise Refused("INVALID_FILE", f"The form has an unexpected part {event.name!r}.")
        if sink is None:
            raise Refused("INVALID_FILE", f"The form has no part {name!r}.")
        return sink.finish(), {key: value.decode() for key, value in texts.items()}
    except ParserLimitReached as error:
        raise Refused("FILE_TOO_LARGE", f"The form is over a limit: {error}") from None
    except MultipartError as error:
        raise Refused("INVALID_FILE", f"The form is malformed or cut short: {error}") from None
    except UnicodeDecodeError:
        raise Refused("INVALID_FILE", "A text field is not UTF-8.") from None
    finally:
        if sink is not None:
            sink.close()


def _bounded(name: str, field: bytearray) -> Callable[[bytes], None]:
    def write(chunk: bytes) -> None:
        field.extend(chunk)
        if len(field) > FIELD_MAX:
            raise Refused("INVALID_FILE", f"The field {name!r} is longer than {FIELD_MAX} bytes.")

    return write


def _chunks(request: BaseRequest, limit: int) -> Iterator[bytes]:
    """The body, at most `limit` bytes of it. Raises Refused (FILE_TOO_LARGE, INVALID_REQUEST when cut short)."""
    expected = request.content_length
    if expected > limit:
        raise Refused("FILE_TOO_LARGE", f"The body of {expected} bytes is larger than the {limit} that are taken.")
    source, left, taken = request.environ["wsgi.input"], expected, 0
    while left != 0:
        chunk = source.read(CHUNK if left < 0 else min(CHUNK, left))
        if not chunk:
            break
        taken += len(chunk)
        if taken > limit:
            raise Refused("FILE_TOO_LARGE", f"The body is larger than the {limit} bytes that are taken.")
        left -= len(chunk) if left > 0 else 0
        yield chunk
    if left > 0:
        raise Refused("INVALID_REQUEST", f"The body ended after {taken} of {expected} bytes.")
