"""JSON answers: models, problems, and documents that clients revalidate."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from bottle import BaseRequest, HTTPResponse
from pydantic import BaseModel

from portal.http import problems
from portal.http.conditional import Outcome, evaluate

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class Answer(Generic[Model]):
    """A model that a handler answers with header fields, and a status if it is not the route's, of its own."""

    model: Model
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int | None = None

    @property
    def content(self) -> str:
        return self.model.model_dump_json()

    @property
    def fields(self) -> dict[str, str]:
        """The header fields, Content-Type among them; nothing is cached unless the handler says so."""
        return {"Content-Type": "application/json", "Cache-Control": "no-store", **self.headers}


def revalidated(request: BaseRequest, content: bytes, headers: Mapping[str, str]) -> HTTPResponse:
    """`content` with its SHA-256 as the entity tag: 200, 304 if the client has it, or 412 (RFC 9110 section 13)."""
    headers = {**headers, "ETag": f'"{hashlib.sha256(content).hexdigest()}"'}
    named = {name: request.get_header(name) for name in ("if-match", "if-none-match")}
    conditions = {name: value for name, value in named.items() if value is not None}
    outcome = evaluate(conditions, headers["ETag"], 0)
    if outcome is Outcome.FAILED:
        return problem("PRECONDITION_FAILED", "The document is not the one that the request names.")
    if outcome is Outcome.NOT_MODIFIED:
        return HTTPResponse(status=304, headers=headers)
    return HTTPResponse(content, 200, headers)


def problem(
    code: str, detail: str, *, errors: list[str] | None = None, headers: Mapping[str, str] | None = None
) -> HTTPResponse:
    """The response for a code of the table of problems."""
    return HTTPResponse(
        json.dumps(problems.body(code, detail, errors)),
        problems.KINDS[code].status,
        {"Content-Type": problems.CONTENT_TYPE, "Cache-Control": "no-store", **(headers or {})},
    )
