"""The store that a developer's command talks to."""

import sys
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from portal.developer import credentials
from portal.developer.client import Client
from portal.developer.credentials import Account
from portal.developer.push import spoken

StoreUrl = Annotated[
    str | None,
    typer.Option("--url", envvar="MOSIS_URL", show_envvar=True, help="The store's URL instead of the last login's."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def connected(url: str | None) -> Client:
    """A client of the chosen store. Raises SignedOut, CredentialsUnusable."""
    account = credentials.account(url)

    def moved(new: str) -> None:
        note(f"The store has moved from {account.url} to {new}.")
        if not credentials.overridden():
            credentials.keep(Account(new, account.token))

    return Client(account, moved)


def outcome(version: Mapping[str, Any], url: str) -> str:
    """What a command has made of a version in the store at `url`, as a line for people."""
    return f"{version['app_id']} {version['version']} ({version['version_code']}): {spoken(version['status'])} at {url}"


def note(text: str) -> None:
    """A line for people, beside the output for programs."""
    print(text, file=sys.stderr)
