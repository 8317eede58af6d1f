"""Request bodies: a multipart file goes to its sink chunk by chunk, text fields and JSON are bounded.

A body needs a Content-Length: the server passes on a chunked body that breaks off as if it had ended.
"""

from collections.abc import Callable, Iterator
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from bottle import BaseRequest
from multipart import MultipartError, MultipartSegment, ParserLimitReached, PushMultipartParser, parse_options_header
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from portal.http import tus
from portal.packages import strict_json
from portal.packages.errors import bounded, quote
from portal.store.errors import Refused
from portal.store.files import Received, Sink

CHUNK = 128 * 1024  # bytes
FIELD_MAX = 1024
JSON_MAX = 96 * 1024  # of an update check of 500 apps whose IDs are as long as they may be
OVERHEAD_MAX = 64 * 1024  # boundaries, part headers and text fields around the one file
PARTS_MAX = 16
BOUNDARY_MAX = 70  # RFC 2046 section 5.1.1

Model = TypeVar("Model", bound=BaseModel)


def json_body(request: BaseRequest, model: type[Model]) -> Model:
    """The body as `model`; an absent body counts as an empty object.

    Raises Refused (UNSUPPORTED_MEDIA_TYPE, LENGTH_REQUIRED, FILE_TOO_LARGE, INVALID_REQUEST, VALIDATION_ERROR).
    """
    content_type, _ = parse_options_header(request.get_header("Content-Type", ""))
    if request.content_length > 0 and content_type != "application/json":
        hint = " Send the bytes of an upload with PATCH, to its URL." if content_type == tus.CONTENT_TYPE else ""
        raise Refused("UNSUPPORTED_MEDIA_TYPE", f"The body must be application/json.{hint}")
    body = b"".join(_chunks(request, JSON_MAX))
    try:
        return validated(model, strict_json.parse(body or b"{}", max_bytes=JSON_MAX))
    except strict_json.JsonRejected as error:
        raise Refused("VALIDATION_ERROR", "The body is invalid.", [f"body: {error}."]) from None


def validated(model: type[Model], values: object) -> Model:
    """`values` as the model. Raises Refused (VALIDATION_ERROR)."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise Refused("VALIDATION_ERROR", "The body is invalid.", reasons(error, model)) from None


def text_fields(request: BaseRequest, names: tuple[str, ...]) -> dict[str, str]:
    """Fields of a form of a page (application/x-www-form-urlencoded), trimmed; one that is not sent is empty.

    Raises Refused (UNSUPPORTED_MEDIA_TYPE, LENGTH_REQUIRED, FILE_TOO_LARGE, INVALID_REQUEST).
    """
    content_type, _ = parse_options_header(request.get_header("Content-Type", ""))
    if content_type != "application/x-www-form-urlencoded":
        raise Refused("UNSUPPORTED_MEDIA_TYPE", "The body must be application/x-www-form-urlencoded.")
    try:
        body = b"".join(_chunks(request, JSON_MAX)).decode("ascii")
        most = max(PARTS_MAX, len(names))
        sent = dict(parse_qsl(body, keep_blank_values=True, errors="strict", max_num_fields=most))
    except ValueError:
        raise Refused("INVALID_REQUEST", "The form is malformed.") from None
    return {name: sent.get(name, "").replace("\r\n", "\n").strip() for name in names}


def reasons(error: ValidationError, model: type[BaseModel]) -> list[str]:
    """One sentence per error, without the value, which may be a secret: a body has room for thousands."""
    return bounded(
        [
            f"{'.'.join(map(str, fault['loc'])) or 'body'}: {_reason(fault, model)}."
            for fault in error.errors(include_url=False, include_input=False)
        ]
    )


def _reason(fault: ErrorDetails, model: type[BaseModel]) -> str:
    """A pattern is for programs: people get the description of the field, up to a semicolon."""
    declared = model.model_fields.get(str(fault["loc"][0])) if fault["loc"] else None
    if fault["type"] == "string_pattern_mismatch" and declared and declared.description:
        return f"Must be {declared.description.partition(';')[0]}"
    return fault["msg"].removeprefix("Value error, ")


def announced(request: BaseRequest, limit: int) -> int:
    """The bytes that the body of a form may take, of which more than `limit` are refused anyway."""
    length: int = request.content_length  # -1 without one
    return min(max(length, 0), limit)


def multipart_file(
    request: BaseRequest, name: str, open_sink: Callable[[], Sink], limit: int, fields: tuple[str, ...] = ()
) -> tuple[Received, dict[str, str]]:
    """Write the file part `name` to a sink; return it with the text `fields` of the form.

    Raises Refused (UNSUPPORTED_MEDIA_TYPE, LENGTH_REQUIRED, INVALID_REQUEST, INVALID_FILE, FILE_TOO_LARGE).
    """
    boundary, form = _boundary(request), _Form(name, open_sink, fields)
    try:
        with PushMultipartParser(boundary, max_segment_count=PARTS_MAX, max_segment_size=limit) as parser:
            for chunk in _chunks(request, limit + OVERHEAD_MAX):
                for event in parser.parse(chunk):
                    form.take(event)
        return form.finish()
    except ParserLimitReached as error:
        raise Refused("FILE_TOO_LARGE", f"The form exceeds a limit: {error}") from None
    except MultipartError as error:
        raise Refused("INVALID_FILE", f"The form is malformed or incomplete: {error}") from None
    finally:
        form.close()


class _Form:
    """The parts of a form as they arrive: one file, and text fields."""

    def __init__(self, name: str, open_sink: Callable[[], Sink], fields: tuple[str, ...]) -> None:
        self._name, self._open_sink, self._fields = name, open_sink, fields
        self._sink: Sink | None = None
        self._texts: dict[str, bytearray] = {}
        self._write: Callable[[bytes], object] = _ignore

    def take(self, event: Any) -> None:
        """An event of the parser: the head of a part, bytes of it, or None at its end."""
        if event is None:
            self._write = _ignore
        elif isinstance(event, MultipartSegment):
            self._write = self._writer(event.name)
        else:
            self._write(event)

    def _writer(self, part: str) -> Callable[[bytes], object]:
        if part == self._name:
            if self._sink is not None:
                raise Refused("INVALID_FILE", f"The form has more than one part {part!r}.")
            self._sink = self._open_sink()
            return self._sink.write
        if part in self._fields and part not in self._texts:
            return _bounded(part, self._texts.setdefault(part, bytearray()))
        raise Refused("INVALID_FILE", f"The form has an unexpected part {quote(part)}: {self._expected()}.")

    def _expected(self) -> str:
        texts = f" and, at most once, each of the text fields {' and '.join(self._fields)}" if self._fields else ""
        return f'it takes one file, "{self._name}"{texts}'

    def finish(self) -> tuple[Received, dict[str, str]]:
        if self._sink is None:
            raise Refused("INVALID_FILE", f"The form has no part {self._name!r}.")
        try:
            return self._sink.finish(), {name: text.decode() for name, text in self._texts.items()}
        except UnicodeDecodeError:
            raise Refused("INVALID_FILE", "A text field is not UTF-8.") from None

    def close(self) -> None:
        if self._sink is not None:
            self._sink.close()


def _boundary(request: BaseRequest) -> str:
    content_type, options = parse_options_header(request.get_header("Content-Type", ""))
    boundary: str = options.get("boundary", "")
    if content_type != "multipart/form-data" or not 1 <= len(boundary) <= BOUNDARY_MAX or not boundary.isascii():
        raise Refused(
            "UNSUPPORTED_MEDIA_TYPE",
            f"The body must be multipart/form-data with a boundary of 1 to {BOUNDARY_MAX} characters.",
        )
    return boundary


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
