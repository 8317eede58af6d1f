"""`mosis login` and `logout`."""

import os
import sys
from typing import Annotated
from urllib.parse import urlsplit

import typer

from portal.cli.lazy import example
from portal.cli.output import line
from portal.cli.signed_in import note
from portal.cli.usage import WrongUsage
from portal.developer import credentials
from portal.developer.answers import Me
from portal.developer.client import Client
from portal.developer.credentials import Account
from portal.developer.errors import NOT_ACCEPTED, Problem, SignedOut
from portal.faults import Fault

LOOPBACK = ("localhost", "127.0.0.1", "::1")


def add(app: typer.Typer) -> None:
    """Declare the commands."""
    app.command(epilog=example("login https://store.example.org", "login"))(login)
    app.command(epilog=example("logout"))(logout)


def login(
    url: Annotated[
        str | None,
        typer.Argument(
            envvar="MOSIS_URL", show_envvar=True, help="The store's URL; the last login's by default.", metavar="URL"
        ),
    ] = None,
) -> None:
    """Sign in to a store with a token, which its operator issues; other commands then use that store.

    The token is asked for on a terminal, and read from standard input elsewhere. It is kept in the keyring where that
    works, else in a file that only you can read. MOSIS_TOKEN and MOSIS_URL do without a login.
    """
    base = credentials.url_of(_chosen() if url is None else url)
    parts = urlsplit(base)
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        note(f"Warning: {base} is not encrypted. Everybody on the way can read the token.")
    account = Account(base, credentials.token_of(_asked()))
    described = _checked(client := Client(account))
    place = credentials.keep(Account(client.url, account.token))
    who, until = f"{described.developer_id}, scope {described.scope}", described.expires_at[:10]
    line(f"Signed in to {client.url} as {who}, until {until}. The token is in {place}.")
    if os.environ.get(credentials.TOKEN_VARIABLE):
        note(f"{credentials.TOKEN_VARIABLE} is set: commands use that token instead.")


def logout(
    url: Annotated[str | None, typer.Argument(help="The store's URL; the last login's by default.")] = None,
) -> None:
    """Forget the token of a store. It stays valid: its operator can revoke it."""
    left, now = credentials.forget(url), credentials.current()
    remaining = f"Commands use {now} now." if now else "No store is chosen now: `mosis login URL` chooses one."
    print(f"Signed out of {left}. {remaining}")


def _chosen() -> str:
    """The store of the last login; a person can name another."""
    known = credentials.current()
    if credentials.interactive():
        return str(typer.prompt("URL of the store", default=known, err=True))
    if known is None:
        raise WrongUsage("No store is known yet: name its URL, as in `mosis login https://store.example.org`.")
    return known


def _asked() -> str:
    if credentials.interactive():
        return str(typer.prompt("Token", hide_input=True, err=True))
    return "" if sys.stdin is None else sys.stdin.readline()


def _checked(client: Client) -> Me:
    """What the token is. Raises SignedOut, Fault."""
    try:
        return client.get("/api/me", Me)
    except Problem as problem:
        if problem.code == "UNAUTHENTICATED":
            raise SignedOut(f"{NOT_ACCEPTED.format(url=client.url)} The store's operator issues tokens.") from None
        if problem.status == 404 and (path := urlsplit(client.url).path):
            raise Fault(f"There is no store at {client.url}: try {client.url.removesuffix(path)}.") from None
        if problem.status == 404:
            raise Fault(f"{client.url} is older than this client: ask its operator to upgrade it.") from None
        raise
