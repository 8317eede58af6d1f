"""Stores that the developer signed in to, and their tokens: in the keyring where it works, else in a file of mode 600.

The keyring is asked on a terminal only: without one, some of its backends wait for ever for somebody to unlock them.
"""

import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from portal.developer import places, private_file
from portal.developer.errors import SignedOut
from portal.faults import Fault

SERVICE = "mosis"  # under which the keyring keeps tokens
TOKEN = re.compile(r"mosis_[0-9a-f]{16}_[A-Za-z0-9_-]{43}")
URL = re.compile(r"https?://[^\s@?#\\]+", re.ASCII)
TOKEN_VARIABLE, URL_VARIABLE = "MOSIS_TOKEN", "MOSIS_URL"


class CredentialsUnusable(Fault):
    """The file of credentials, or the keyring, cannot be used."""


@dataclass(frozen=True)
class Account:
    """A store's URL without a slash at the end, and the token that signs in there."""

    url: str
    token: str


def url_of(text: str) -> str:
    """The URL of a store as typed; https where no scheme is named. Raises Fault."""
    url = (text if "://" in text else f"https://{text}").rstrip("/")
    if not is_url(url):
        raise Fault(f"{text!r} is not the URL of a store, such as https://store.example.org.")
    return url


def is_url(url: str) -> bool:
    """Whether a store can have this URL, which has no slash at its end."""
    try:
        parts = urlsplit(url)
        return bool(URL.fullmatch(url) and url.isprintable() and parts.hostname) and parts.port != 0
    except ValueError:  # half of an IPv6 address, or a port that is none
        return False


def token_of(text: str) -> str:
    """A token as typed or read from a file. Raises SignedOut."""
    token = text.strip()
    if not TOKEN.fullmatch(token):
        raise SignedOut("That is no token: one has the form mosis_ID_SECRET. The store's operator issues it.")
    return token


def account(url: str | None = None) -> Account:
    """The store and token of this command. Raises SignedOut, CredentialsUnusable.

    The store is `url`, else that in MOSIS_URL, else the one of the last login; the token that in MOSIS_TOKEN, else the
    one kept at login.
    """
    chosen, token = store_url(url), os.environ.get(TOKEN_VARIABLE)
    if token:
        return Account(chosen, token_of(token))
    known = _read()
    if chosen not in known.tokens:
        raise SignedOut(f"Not signed in to {chosen}: run `mosis login {chosen}`, or set {TOKEN_VARIABLE}.")
    return Account(chosen, known.tokens[chosen] or _from_keyring(chosen))


def store_url(url: str | None = None) -> str:
    """The URL of the store of this command. Raises SignedOut, CredentialsUnusable."""
    chosen = url or os.environ.get(URL_VARIABLE) or _read().current
    if not chosen:
        raise SignedOut(f"No store is chosen: run `mosis login URL`, or set {URL_VARIABLE} and {TOKEN_VARIABLE}.")
    return url_of(chosen)


def keep(found: Account) -> str:
    """Keep the token and make its store the chosen one; returns the place, for people."""
    known = _read()
    in_keyring = _to_keyring(found)
    known.tokens[found.url] = None if in_keyring else found.token
    known.current = found.url
    _write(known)
    return "the keyring" if in_keyring else str(_path())


def current() -> str | None:
    """The URL of the store that commands use without MOSIS_URL or --url. Raises CredentialsUnusable."""
    return _read().current


def forget(url: str | None = None) -> str:
    """Forget the token of a store, the chosen one by default; returns its URL. Raises SignedOut."""
    known = _read()
    chosen = url_of(url) if url else known.current
    if not chosen or chosen not in known.tokens:
        raise SignedOut(f"Not signed in to {chosen}." if chosen else "Not signed in to any store.")
    if known.tokens.pop(chosen) is None:
        _delete_from_keyring(chosen)
    if known.current == chosen:
        known.current = next(iter(known.tokens), None)
    _write(known)
    return chosen


def overridden() -> bool:
    """Whether the token comes from the environment, as on the machines of a CI service."""
    return bool(os.environ.get(TOKEN_VARIABLE))


def interactive() -> bool:
    """Whether a person can be asked."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


@dataclass
class _Known:
    """Token by URL, None for one in the keyring."""

    current: str | None
    tokens: dict[str, str | None]


def _path() -> Path:
    return places.config() / "credentials.json"


def _read() -> _Known:
    path = _path()
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_mode & 0o077:
                raise CredentialsUnusable(f"{path} is readable by others: run `chmod 600 {path}`.")
            document = json.load(file)
        stores = document["stores"]
        return _Known(document["current"], {str(url): stores[url]["token"] for url in stores})
    except FileNotFoundError:
        return _Known(None, {})
    except (ValueError, KeyError, TypeError):
        raise CredentialsUnusable(f"{path} is damaged: delete it, then run `mosis login URL`.") from None


def _write(known: _Known) -> None:
    stores = {url: {"token": token} for url, token in known.tokens.items()}
    content = json.dumps({"current": known.current, "stores": stores}, indent=1)
    private_file.write(_path(), content.encode() + b"\n")


def _to_keyring(found: Account) -> bool:
    if not interactive():
        return False
    try:
        import keyring

        keyring.set_password(SERVICE, found.url, found.token)
        return bool(keyring.get_password(SERVICE, found.url) == found.token)
    except Exception:  # noqa: BLE001  # absent, locked, or without a backend: backends raise errors of their own
        return False


def _from_keyring(url: str) -> str:
    if not interactive():
        raise CredentialsUnusable(
            f"The token of {url} is in the keyring, which is asked on a terminal only: set {TOKEN_VARIABLE}."
        )
    with _keyring_works(url):
        import keyring

        token = keyring.get_password(SERVICE, url)
    if token is None:
        raise SignedOut(f"The keyring no longer has the token of {url}: run `mosis login {url}`.")
    return token_of(token)


def _delete_from_keyring(url: str) -> None:
    with _keyring_works(url):
        import keyring

        if keyring.get_password(SERVICE, url) is not None:
            keyring.delete_password(SERVICE, url)


@contextmanager
def _keyring_works(url: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise CredentialsUnusable(
            f"The keyring, which has the token of {url}, does not answer ({type(error).__name__}): unlock it, or set"
            f" {TOKEN_VARIABLE}."
        ) from error
