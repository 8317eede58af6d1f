"""JSON answers: models and problems."""

import json
from collections.abc import Mapping

from bottle import HTTPResponse
from pydantic import BaseModel

from portal.http import problems


def json_response(answer: BaseModel, status: int = 200, cache_control: str = "no-store") -> HTTPResponse:
    headers = {"Content-Type": "application/json", "Cache-Control": cache_control}
    return HTTPResponse(answer.model_dump_json(), status, headers)


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
