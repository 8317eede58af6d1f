"""The store that a developer's command talks to."""

import sys
from typing import Annotated

import typer

from portal.developer import credentials, trusted
from portal.developer.answers import Placed
from portal.developer.client import Client
from portal.developer.credentials import Account
from portal.developer.push import spoken
from portal.printable import printable

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


def connected_for(app_id: str, url: str | None) -> Client:
    """A client of the chosen store that may publish the app; in a job of a CI service, by what that proves.

    Raises SignedOut, CredentialsUnusable, Unreachable, Fault.
    """
    if not trusted.is_offered():
        return connected(url)
    base = credentials.store_url(url)
    account = Account(base, trusted.token(base, app_id))
    note(f"Signed in to {base} as a CI job that {app_id} trusts.")
    return Client(account, renewed=lambda: trusted.token(base, app_id))


def outcome(version: Placed, url: str) -> str:
    """What a command has made of a version in the store at `url`, as a line for people."""
    name = printable(version.version)
    return f"{version.app_id} {name} ({version.version_code}): {spoken(version.status)} at {url}"


def note(text: str) -> None:
    """A line for people, beside the output for programs."""
    print(printable(text), file=sys.stderr)
