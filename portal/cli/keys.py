"""`mosis key`: a developer's key files, and what a store has registered."""

import base64
import json
from pathlib import Path
from typing import Annotated

import typer

from portal import settings
from portal.cli.keyfile import Passphrase, load_key
from portal.packages import keys as key_files
from portal.packages import signature
from portal.store import keys
from portal.store.audit import OPERATOR
from portal.store.store import open_store


def add(app: typer.Typer) -> None:
    """Declare the commands."""
    group = typer.Typer(help="Signing keys: files of a developer, and what the store has registered.",
                        no_args_is_help=True)  # fmt: skip
    for function in (generate, proof, rotate, revoke):
        group.command()(function)
    group.command("list")(list_registered)
    app.add_typer(group, name="key")
    app.command("keygen")(generate)


def generate(path: Path, passphrase: Passphrase = False) -> None:
    """Make a private key in a new file, mode 600 (PEM, which openssl reads too)."""
    secret = typer.prompt("Passphrase", hide_input=True, confirmation_prompt=True) if passphrase else None
    key = key_files.generate(path, secret)
    print(f"key_id {signature.key_id(signature.raw_public_key(key))}")


def proof(path: Path, developer: Annotated[str, typer.Option(help="Your developer id.")]) -> None:
    """Print the body that registers a key: POST it to /api/developers/{developer_id}/keys."""
    key = load_key(path)
    public = signature.raw_public_key(key)
    proof = signature.sign(key, signature.registration_statement(developer, signature.key_id(public)))
    print(json.dumps({"public_key": base64.b64encode(public).decode(), "proof": proof}))


def rotate(
    old: Path,
    new: Path,
    app: Annotated[str, typer.Option(help="The app that passes from the old key to the new one.")],
    from_version_code: Annotated[int, typer.Option(min=1, help="The first version that the new key signs.")],
) -> None:
    """Print the body that hands an app over: POST it to /api/apps/{app_id}/key-rotations."""
    pair = load_key(old), load_key(new)
    old_id, new_id = (signature.key_id(signature.raw_public_key(key)) for key in pair)
    statement = signature.rotation_statement(app, old_id, new_id, from_version_code)
    old_signature, new_signature = (signature.sign(key, statement) for key in pair)
    print(
        json.dumps(
            {
                "new_key_id": new_id,
                "from_version_code": from_version_code,
                "old_signature": old_signature,
                "new_signature": new_signature,
            }
        )
    )


def list_registered(developer_id: str) -> None:
    """List a developer's registered keys."""
    for key in keys.of_developer(open_store(settings.load()).db.read(), developer_id):
        print(f"{key.key_id}\t{'revoked' if key.revoked_at else 'valid'}")


def revoke(developer_id: str, key_id: str) -> None:
    """Revoke a registered key: no package signed with it is taken from now on."""
    with open_store(settings.load()).db.write() as tx:
        keys.revoke(tx, OPERATOR, developer_id, key_id)
