"""Kinds of arguments, each checked as the API checks the same value."""

from collections.abc import Callable
from typing import Annotated, Any, get_args

import typer
from pydantic import Field, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from typer.models import OptionInfo

from portal.packages import identifiers, signature
from portal.packages.texts import Explanation


def checked(kind: Any, meaning: str = "") -> Callable[[str], str]:
    """A parser of values of `kind`; what is none is wrong usage, and the message says what is one."""
    adapter: TypeAdapter[str] = TypeAdapter(kind)
    meaning = meaning or next(part.description or "" for part in get_args(kind) if isinstance(part, FieldInfo))

    def parse(value: str) -> str:
        try:
            return adapter.validate_python(value)
        except ValidationError:
            raise typer.BadParameter(f"{value!r} is not {meaning}.") from None

    return parse


def reason_option(help_text: str) -> OptionInfo:
    """The option --reason, required; `help_text` says who reads it."""
    parser = checked(Explanation, "a text without control characters that says something")
    option: OptionInfo = typer.Option(parser=parser, metavar="TEXT", help=help_text)
    return option


developer_id = checked(identifiers.DeveloperId)
app_id = checked(identifiers.AppId)
DeveloperId = Annotated[
    str, typer.Argument(parser=developer_id, metavar="DEVELOPER_ID", help="The developer's id, such as acme.")
]
KeyId = Annotated[
    str,
    typer.Argument(parser=checked(signature.KeyId), metavar="KEY_ID", help="The key's id, as `mosis key list` shows."),
]
TokenId = Annotated[
    str,
    typer.Argument(
        parser=checked(Annotated[str, Field(pattern="^[0-9a-f]{16}$")], "a token's id: 16 hex digits"),
        metavar="TOKEN_ID",
        help="The token's id, as `mosis token list` shows.",
    ),
]
PackageDigest = Annotated[
    str | None, typer.Option(metavar="DIGEST", help="SHA-256 of the package that was reviewed; refused for another.")
]
ImagesDigest = Annotated[
    str,
    typer.Argument(
        metavar="DIGEST", help="Digest of the images that were reviewed, as the command `images` prints it."
    ),
]
