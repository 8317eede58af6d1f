"""Identifiers used in URLs, paths and signed statements: lower-case ASCII, the same on every file system."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

DEVICE_NAME = re.compile(r"con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³]", re.IGNORECASE)
"""Names that Windows reserves for devices, with any suffix (learn.microsoft.com, "Naming Files")."""

_LABEL = "[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?"
_NUMBER = "(?:0|[1-9][0-9]*)"
_PRERELEASE = "(?:0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)"
_BUILD = "[0-9a-zA-Z-]+"

LARGEST_INTEGER = 2**53 - 1  # the largest that every JSON reader represents exactly (RFC 8259, section 6)


def _no_device_name(value: str) -> str:
    for label in value.split("."):
        if DEVICE_NAME.fullmatch(label):
            raise ValueError(f"`{label}` is a device name on Windows")
    return value


AppId = Annotated[
    str,
    Field(
        strict=True,
        max_length=128,
        pattern=rf"^[a-z](?:[a-z0-9-]{{0,61}}[a-z0-9])?(?:\.{_LABEL})+$",
        description="a reverse-DNS identifier in lower-case ASCII, such as `org.example.reader`",
        examples=["org.example.reader"],
    ),
    AfterValidator(_no_device_name),
]
DeveloperId = Annotated[
    str,
    Field(
        strict=True,
        max_length=63,
        pattern=r"^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$",
        description="a lower-case slug: letters, digits and inner hyphens",
        examples=["example-apps"],
    ),
    AfterValidator(_no_device_name),
]
SemVer = Annotated[
    str,
    Field(
        strict=True,
        max_length=64,
        pattern=rf"^{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-{_PRERELEASE}(?:\.{_PRERELEASE})*)?(?:\+{_BUILD}(?:\.{_BUILD})*)?$",
        description="a version according to Semantic Versioning 2.0.0, such as 1.4.0",
        examples=["1.4.0"],
    ),
]
VersionCode = Annotated[
    int,
    Field(strict=True, ge=1, le=LARGEST_INTEGER, description="an integer that increases with each published version"),
]

_app_id = TypeAdapter(AppId)
_developer_id = TypeAdapter(DeveloperId)


def valid_app_id(value: str) -> bool:
    """Whether `value` is a valid app identifier."""
    return _valid(_app_id, value)


def valid_developer_id(value: str) -> bool:
    """Whether `value` is a valid developer identifier."""
    return _valid(_developer_id, value)


def _valid(kind: TypeAdapter[str], value: str) -> bool:
    try:
        kind.validate_python(value)
    except ValidationError:
        return False
    return True
