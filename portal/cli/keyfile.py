"""Private key files on the command line."""

from pathlib import Path
from typing import Annotated

import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from portal.packages import keys
from portal.packages.keys import KeyUnusable

Passphrase = Annotated[bool, typer.Option("--passphrase", help="Ask for a passphrase and encrypt the file.")]


def load_key(path: Path) -> Ed25519PrivateKey:
    """The key in a file; asks for the passphrase where there is one. Raises KeyUnusable."""
    try:
        return keys.load(path)
    except KeyUnusable:
        if b"ENCRYPTED" not in path.read_bytes():
            raise
    return keys.load(path, typer.prompt("Passphrase", hide_input=True, err=True))
