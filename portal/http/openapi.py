"""The OpenAPI 3.1 description, made of the very declarations that the server routes by."""

import re
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from portal import __version__
from portal.http import idempotency, problems, schemas
from portal.http.api import Operation
from portal.packages.identifiers import LARGEST_INTEGER

PARAMETER = re.compile(r"<(\w+)(?::(\w+)(?::((?:[^\\>]|\\.)+))?)?>")
ANYWHERE = {"INTERNAL_ERROR", "INVALID_REQUEST", "RATE_LIMITED", "STORAGE_ERROR", "UNAUTHENTICATED", "UNAVAILABLE"}
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
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
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
    if operation.body:
        required = any(field.is_required() for field in operation.body.model_fields.values())
        described["requestBody"] = {"required": required, "content": {"application/json": _schema(operation.body)}}
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
    if idempotency.applies(operation.rule, operation.method):
        found.append({"name": "Idempotency-Key", "in": "header", "schema": {"type": "string"}})
    found += [{"name": name, "in": "query", "schema": {"type": "string"}} for name in operation.query]
    return found


def _responses(operation: Operation) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": "Done"}
    if operation.answer:
        answer["content"] = {"application/json": _schema(operation.answer)}
    elif operation.status != 204:
        answer["content"] = {operation.media_type: {}}
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
        }
        for status, names in sorted(by_status.items())
    }
    if operation.ranges:
        described |= {"206": answer | {"description": "The part asked for"}, "304": {"description": "Not modified"}}
    return {str(operation.status): answer} | described


def _schema(model: type[BaseModel]) -> dict[str, Any]:
    return {"schema": {"$ref": REFERENCE.format(model=model.__name__)}}
