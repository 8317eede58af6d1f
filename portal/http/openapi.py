"""The OpenAPI 3.1 description, generated from the declarations of the routes."""

import re
from collections.abc import Iterable
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from portal import __version__
from portal.http import headers, problems, schemas
from portal.http.routing import Operation, Route
from portal.packages.identifiers import LARGEST_INTEGER
from portal.store import presign

PARAMETER = re.compile(r"<(\w+)(?::(\w+)(?::((?:[^\\>]|\\.)+))?)?>")
ANYWHERE = {"INTERNAL_ERROR", "INVALID_REQUEST", "RATE_LIMITED", "STORAGE_ERROR", "UNAUTHENTICATED", "UNAVAILABLE"}
SECURITY = {
    "token": {"type": "http", "scheme": "bearer"},
    "signed_url": {
        "type": "apiKey",
        "in": "query",
        "name": "signature",
        "description": "A signed URL, exactly as the upload or …/download-url returned it; it needs no token.",
    },
}
REFERENCE = "#/components/schemas/{model}"
UNCHANGED = {"304": {"description": "Not modified", "headers": headers.headers(headers.NOT_MODIFIED)}}


def describe(routes: Iterable[Route]) -> dict[str, Any]:
    """The document as JSON values."""
    models: set[type[BaseModel]] = {schemas.Problem}
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        models |= {model for model in (route.body, route.answer) if model}
        path = PARAMETER.sub(r"{\1}", route.operation.rule)
        paths.setdefault(path, {})[route.operation.method.lower()] = _operation(route)
    ordered = sorted(models, key=lambda model: model.__name__)
    _, definitions = models_json_schema([(model, _mode(model)) for model in ordered], ref_template=REFERENCE)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Mosis portal", "version": __version__},
        "paths": paths,
        "components": {
            "schemas": definitions.get("$defs", {}),
            "securitySchemes": SECURITY,
        },
    }


def _operation(route: Route) -> dict[str, Any]:
    operation = route.operation
    words = re.findall("[a-z]+", PARAMETER.sub(r"\1", operation.rule))
    described: dict[str, Any] = {
        "summary": operation.summary,
        "operationId": "_".join([operation.method.lower(), *words]),
        "parameters": _parameters(route),
        "responses": _responses(route),
    }
    if operation.access.scopes:
        described["security"] = [{"token": []}]
        described["description"] = f"Scope: {' or '.join(sorted(operation.access.scopes))}."
    elif _is_signed(operation):
        described["security"] = [{"signed_url": []}, *([{"token": []}, {}] if operation.supports_ranges else [])]
    if route.body:
        required = any(field.is_required() for field in route.body.model_fields.values())
        described["requestBody"] = {"required": required, "content": {"application/json": _schema(route.body)}}
    if operation.request_media_type:
        described["requestBody"] = {"content": {operation.request_media_type: {}}}
    if operation.form_file:
        form: dict[str, Any] = {
            "type": "object",
            "additionalProperties": False,
            "required": [operation.form_file],
            "properties": {
                operation.form_file: {"type": "string", "format": "binary"},
                **{name: {"type": "string", "maxLength": 64} for name in operation.form_fields},
            },
        }
        described["requestBody"] = {"required": True, "content": {"multipart/form-data": {"schema": form}}}
    return described


def _parameters(route: Route) -> list[dict[str, Any]]:
    operation = route.operation
    found = []
    for name, filter_name, pattern in PARAMETER.findall(operation.rule):
        schema: dict[str, Any] = {"type": "string"}
        if filter_name == "code":
            schema = {"type": "integer", "minimum": 1, "maximum": LARGEST_INTEGER}
        elif pattern:
            schema["pattern"] = f"^(?:{pattern})$"
        found.append({"name": name, "in": "path", "required": True, "schema": schema})
    for name in operation.query:
        schema = {"type": "string"}
        if (
            name in presign.QUERY and not operation.supports_ranges
        ):  # where a token will do, a URL that is none is ignored
            schema["pattern"] = f"^(?:{presign.QUERY[name].pattern})$"
        found.append({"name": name, "in": "query", "schema": schema})
    taken = [*operation.request_headers]
    if route.body or operation.form_file or operation.request_media_type:
        taken += headers.DIGESTS
    if operation.supports_ranges:
        taken += headers.CONDITIONS
    if operation.revalidated:
        taken += headers.ENTITY_TAGS
    if operation.idempotency_key:
        taken.append("Idempotency-Key")
    return found + headers.parameters(tuple(taken))


def _responses(route: Route) -> dict[str, Any]:
    operation = route.operation
    answer = _answer(route)
    responses = {str(operation.status): answer} | _refusals(_codes(route))
    if operation.supports_ranges:
        responses |= _parts(operation.media_type, answer["headers"]) | UNCHANGED
    if operation.revalidated:
        responses |= UNCHANGED
    if operation.redirects:
        where = headers.headers(("Cache-Control", "Location", "X-Mosis-Signature", "X-Mosis-Version"))
        responses["302"] = {"description": "The mirror has the file", "headers": where}
    if operation.accepted:
        later = headers.headers(("Cache-Control", "Retry-After"))
        responses["202"] = answer | {"description": "Not ready: repeat the request", "headers": later}
    if set(headers.TUS_UPLOAD) & {*operation.request_headers, *operation.response_headers}:
        for response in responses.values():
            response["headers"] |= headers.headers(("Tus-Resumable",), always=False)
    return responses


def _answer(route: Route) -> dict[str, Any]:
    operation = route.operation
    answer: dict[str, Any] = {"description": "Success"}
    if route.answer:
        answer["content"] = {"application/json": _schema(route.answer)}
    elif operation.status != 204:
        answer["content"] = {operation.media_type: {}}
    given = operation.response_headers + (headers.FILE if operation.supports_ranges else ())
    given += headers.NOT_MODIFIED if operation.revalidated else ()
    if route.answer and "Cache-Control" not in given:
        given += ("Cache-Control",)
    answer["headers"] = headers.headers(given) | headers.headers(operation.optional_headers, always=False)
    return answer


def _codes(route: Route) -> set[str]:
    """Codes of every problem that the route may answer."""
    operation = route.operation
    codes = set(operation.problems) | ANYWHERE
    if operation.access.scopes:
        codes.add("FORBIDDEN")
    if operation.revalidated:
        codes.add("PRECONDITION_FAILED")
    if PARAMETER.search(operation.rule):
        codes.add("NOT_FOUND")
    if route.body or operation.form_file:
        codes |= {"DIGEST_MISMATCH", "FILE_TOO_LARGE", "LENGTH_REQUIRED", "UNSUPPORTED_MEDIA_TYPE", "VALIDATION_ERROR"}
    if operation.rate_limited:
        codes |= {"QUOTA_EXCEEDED", "STORAGE_FULL"}
    if operation.idempotency_key:
        codes |= {"IDEMPOTENCY_CONFLICT", "IDEMPOTENCY_MISMATCH"}
    return codes


def _refusals(codes: set[str]) -> dict[str, dict[str, Any]]:
    by_status: dict[int, list[str]] = {}
    for code in sorted(codes):
        by_status.setdefault(problems.KINDS[code].status, []).append(code)
    return {
        str(status): {
            "description": ", ".join(names),
            "content": {problems.CONTENT_TYPE: _schema(schemas.Problem)},
            "headers": headers.headers(("Cache-Control", *headers.REFUSAL.get(status, ())))
            | headers.headers(headers.REFUSAL_AT_TIMES.get(status, ()), always=False),
        }
        for status, names in sorted(by_status.items())
    }


def _parts(media_type: str, whole: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The answer to a range; `whole` are the headers of the whole file."""
    part = {
        "description": "The requested range",
        "content": {media_type: {}},
        "headers": whole | headers.headers(headers.PART, always=False),
    }
    return {"206": part}


def _mode(model: type[BaseModel]) -> Literal["validation", "serialization"]:
    return "validation" if issubclass(model, schemas.Body) else "serialization"


def _is_signed(operation: Operation[Any]) -> bool:
    return presign.QUERY.keys() <= set(operation.query)


def _schema(model: type[BaseModel]) -> dict[str, Any]:
    return {"schema": {"$ref": REFERENCE.format(model=model.__name__)}}
