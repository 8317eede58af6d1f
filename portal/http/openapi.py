"""The OpenAPI 3.1 description, made of the very declarations that the server routes by."""

import re
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from portal import __version__
from portal.http import headers, idempotency, problems, schemas
from portal.http.api import Operation
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
        "description": "The URL as an upload or …/download-url gave it, whole: it needs no token.",
    },
}
REFERENCE = "#/components/schemas/{model}"


def describe(operations: list[Operation]) -> dict[str, Any]:
    """The document as JSON values."""
    models: set[type[BaseModel]] = {schemas.Problem}
    for operation in operations:
        models |= {model for model in (operation.body, operation.answer) if model}
    ordered = sorted(models, key=lambda model: model.__name__)
    modes = [(model, "validation" if issubclass(model, schemas.Body) else "serialization") for model in ordered]
    _, definitions = models_json_schema(modes, ref_template=REFERENCE)
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(PARAMETER.sub(r"{\1}", operation.rule), {})[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Mosis portal", "version": __version__},
        "paths": paths,
        "components": {
            "schemas": definitions.get("$defs", {}),
            "securitySchemes": SECURITY,
        },
    }


def _operation(operation: Operation) -> dict[str, Any]:
    words = re.findall("[a-z]+", PARAMETER.sub(r"\1", operation.rule))
    described: dict[str, Any] = {
        "summary": operation.summary,
        "operationId": "_".join([operation.method.lower(), *words]),
        "parameters": _parameters(operation),
        "responses": _responses(operation),
    }
    if operation.scopes:
        described["security"] = [{"token": []}]
        described["description"] = f"Scope: {' or '.join(sorted(operation.scopes))}."
    elif _is_signed(operation):
        described["security"] = [{"signed_url": []}, *([{"token": []}, {}] if operation.ranges else [])]
    if operation.body:
        required = any(field.is_required() for field in operation.body.model_fields.values())
        described["requestBody"] = {"required": required, "content": {"application/json": _schema(operation.body)}}
    if operation.content:
        described["requestBody"] = {"content": {operation.content: {}}}
    if operation.file:
        form: dict[str, Any] = {
            "type": "object",
            "additionalProperties": False,
            "required": [operation.file],
            "properties": {
                operation.file: {"type": "string", "format": "binary"},
                **{name: {"type": "string", "maxLength": 64} for name in operation.fields},
            },
        }
        described["requestBody"] = {"required": True, "content": {"multipart/form-data": {"schema": form}}}
    return described


def _parameters(operation: Operation) -> list[dict[str, Any]]:
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
        if name in presign.QUERY and not operation.ranges:  # where a token will do, a URL that is none is ignored
            schema["pattern"] = f"^(?:{presign.QUERY[name].pattern})$"
        found.append({"name": name, "in": "query", "schema": schema})
    taken = [*operation.takes]
    if operation.body or operation.file or operation.content:
        taken += headers.DIGESTS
    if operation.ranges:
        taken += headers.CONDITIONS
    if idempotency.applies(operation.rule, operation.method):
        taken.append("Idempotency-Key")
    return found + headers.parameters(tuple(taken))


def _responses(operation: Operation) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": "Done"}
    if operation.answer:
        answer["content"] = {"application/json": _schema(operation.answer)}
    elif operation.status != 204:
        answer["content"] = {operation.media_type: {}}
    given = operation.gives + (headers.FILE if operation.ranges else ())
    if operation.answer and "Cache-Control" not in given:
        given += ("Cache-Control",)
    answer["headers"] = headers.headers(given) | headers.headers(operation.may_give, always=False)
    codes = set(operation.problems) | ANYWHERE
    if operation.scopes:
        codes.add("FORBIDDEN")
    if PARAMETER.search(operation.rule):
        codes.add("NOT_FOUND")
    if operation.body or operation.file:
        codes |= {"DIGEST_MISMATCH", "FILE_TOO_LARGE", "LENGTH_REQUIRED", "UNSUPPORTED_MEDIA_TYPE", "VALIDATION_ERROR"}
    if idempotency.applies(operation.rule, operation.method):
        codes |= {"IDEMPOTENCY_CONFLICT", "IDEMPOTENCY_MISMATCH"}
    by_status: dict[int, list[str]] = {}
    for code in sorted(codes):
        by_status.setdefault(problems.KINDS[code].status, []).append(code)
    described = {
        str(status): {
            "description": ", ".join(names),
            "content": {problems.CONTENT_TYPE: _schema(schemas.Problem)},
            "headers": headers.headers(("Cache-Control", *headers.REFUSAL.get(status, ())))
            | headers.headers(headers.REFUSAL_AT_TIMES.get(status, ()), always=False),
        }
        for status, names in sorted(by_status.items())
    }
    if operation.ranges:
        part = {
            "description": "The range asked for",
            "content": {operation.media_type: {}},
            "headers": answer["headers"] | headers.headers(headers.PART, always=False),
        }
        described |= {
            "206": part,
            "304": {"description": "Not modified", "headers": headers.headers(headers.NOT_MODIFIED)},
        }
    responses = {str(operation.status): answer} | described
    if set(headers.TUS_UPLOAD) & {*operation.takes, *operation.gives}:
        for response in responses.values():
            response["headers"] |= headers.headers(("Tus-Resumable",), always=False)
    return responses


def _is_signed(operation: Operation) -> bool:
    return presign.QUERY.keys() <= set(operation.query)


def _schema(model: type[BaseModel]) -> dict[str, Any]:
    return {"schema": {"$ref": REFERENCE.format(model=model.__name__)}}
