"""JSON answers: models and problems."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from bottle import HTTPResponse
from pydantic import BaseModel

from portal.http import problems

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class Answer(Generic[Model]):
    """A model that a handler answers with header fields of its own."""

    model: Model
    headers: Mapping[str, str] = field(default_factory=dict)


def json_response(answer: Answer[Model], status: int) -> HTTPResponse:
    headers = {"Content-Type": "application/json", "Cache-Control": "no-store", **answer.headers}
    return HTTPResponse(answer.model.model_dump_json(), status, headers)


def problem(
    code: str, detail: str, *, errors: list[str] | None = None, headers: Mapping[str, str] | None = None
) -> HTTPResponse:
    """The response for a code of the table of problems."""
    response = HTTPResponse(
        json.dumps(problems.body(code, detail, errors)),
        problems.KINDS[code].status,
        {"Content-Type": problems.CONTENT_TYPE, **(headers or {})},
    )
    response.set_header("Cache-Control", "no-store")
    return response
