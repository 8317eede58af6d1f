"""`manifest.json`: the identity and description of a package."""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, model_validator

from portal.packages import documents
from portal.packages.identifiers import AppId, SemVer, VersionCode
from portal.packages.limits import DEFAULT_LIMITS
from portal.packages.texts import Changelog, Description, Line, Name, WebPage, one_line

PATH = "manifest.json"
EXTENSION = "^x-[a-z0-9][a-z0-9_-]*$"
FOR_EDITORS = "$schema"


def _inner_path(value: str) -> str:
    if value.startswith("/") or "\\" in value or ".." in value.split("/"):
        raise ValueError("must stay inside the package")
    return one_line(value)


def _distinct(values: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(values)) < len(values):
        raise ValueError("must not repeat a permission")
    return values


Permission = Annotated[str, Field(pattern="^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$")]


class Manifest(BaseModel):
    """The manifest of a package, format version 1. Custom keys are prefixed with `x-`."""

    model_config = ConfigDict(
        extra="allow",
        strict=True,
        frozen=True,
        json_schema_extra={"additionalProperties": False, "patternProperties": {EXTENSION: {}}},
    )
    __pydantic_extra__: dict[Annotated[str, Field(pattern=EXTENSION)], JsonValue]

    @model_validator(mode="before")
    @classmethod
    def _without_schema(cls, document: object) -> object:
        if isinstance(document, dict) and isinstance(document.get(FOR_EDITORS), str):
            return {name: member for name, member in document.items() if name != FOR_EDITORS}
        return document

    manifest_version: int = Field(ge=1, le=1, description="format version of this document: 1")
    id: AppId
    name: Name = Field(description="display name")
    version_name: SemVer
    version_code: VersionCode
    description: Description | None = Field(None, description="what the app does")
    author: Line | None = Field(None, description="author of the app")
    license: Line | None = Field(None, description="SPDX license expression")
    homepage: WebPage | None = Field(None, description="http or https URL")
    entry: Annotated[str, Field(max_length=512), AfterValidator(_inner_path)] | None = Field(
        None, description="path in the package of the file that a device starts"
    )
    permissions: Annotated[tuple[Permission, ...], Field(max_length=100, strict=False), AfterValidator(_distinct)] = (
        Field((), description="names made of letters, digits and . _ : / -")
    )
    min_api: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = Field(
        None, description="lowest API level of a device that can run the app"
    )
    changelog: Changelog | None = Field(None, description="changes in this version")


def parse(data: bytes, max_bytes: int = DEFAULT_LIMITS.manifest_bytes) -> Manifest:
    """Parse and validate the bytes of `manifest.json`. Raises PackageRejected with every reason."""
    return documents.parse(Manifest, data, path=PATH, max_bytes=max_bytes)


def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a manifest, as published at `/schemas/manifest.json`."""
    schema = Manifest.model_json_schema()
    schema["properties"][FOR_EDITORS] = {"type": "string", "description": "URL of this schema, for editors; ignored"}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
