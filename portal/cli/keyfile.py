"""Private keys on the command line."""

import os
from pathlib import Path
from typing import Annotated

import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from portal.developer import credentials, signing
from portal.packages import keys
from portal.packages.keys import KeyUnusable

Passphrase = Annotated[bool, typer.Option("--passphrase", help="Ask for a passphrase and encrypt the file.")]
OwnKey = Annotated[
    Path | None,
    typer.Option("--key", help="The private key file instead of your own. [env var: MOSIS_KEY, a file or its text]"),
]


def load_key(path: Path) -> Ed25519PrivateKey:
    """The key in a file; asks for the passphrase where there is one. Raises KeyUnusable."""
    try:
        return keys.load(path)
    except KeyUnusable:
        if b"ENCRYPTED" not in path.read_bytes():
            raise
    if not credentials.interactive():
        raise KeyUnusable(f"{path} is encrypted, and nobody can be asked for the passphrase here: use another key.")
    return keys.load(path, typer.prompt("Passphrase", hide_input=True, err=True))


def own_key(named: Path | None) -> Ed25519PrivateKey:
    """The key that was named, else that in MOSIS_KEY, else the developer's own. Raises KeyUnusable, OSError."""
    text = os.environ.get(signing.KEY_VARIABLE, "")
    if named is None and text.startswith(signing.PEM):
        return keys.parse(text.encode(), signing.KEY_VARIABLE)
    path = signing.path_of(named)
    if not path.exists() and named is None:
        raise KeyUnusable(f"There is no signing key {path}: `mosis key generate` makes one; MOSIS_KEY names another.")
    return load_key(path)
