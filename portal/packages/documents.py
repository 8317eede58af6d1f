"""The JSON documents inside a package, validated by their models."""

from typing import TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from portal.packages import strict_json
from portal.packages.errors import PackageRejected, quote

Model = TypeVar("Model", bound=BaseModel)


def parse(model: type[Model], data: bytes, *, path: str, max_bytes: int) -> Model:
    """Parse and validate `data`, the entry `path` of a package. Raises PackageRejected with every reason."""
    try:
        return model.model_validate(strict_json.parse(data, max_bytes=max_bytes))
    except strict_json.JsonRejected as error:
        raise PackageRejected([f"{path} {error}."]) from None
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False)
        raise PackageRejected([f"{path}: {_sentence(model, fault)}." for fault in faults]) from None


def _sentence(model: type[BaseModel], fault: ErrorDetails) -> str:
    if not fault["loc"]:
        return "must be an object"
    name = fault["loc"][0]
    where = quote(".".join(map(str, fault["loc"])))
    declared = model.model_fields.get(str(name))
    if fault["type"] == "missing":
        return f"{where} is missing"
    if declared is None:
        hint = "; custom keys start with `x-` and are lower case" if model.model_config["extra"] == "allow" else ""
        return f"{where} is not a known key{hint}"
    if fault["type"] == "string_pattern_mismatch":
        return f"{where} must be {declared.description}"
    if fault["type"] == "tuple_type":
        return f"{where} must be a list of strings"
    message = fault["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return f"{where} {message if message[:2].isupper() else message[0].lower() + message[1:]}"
