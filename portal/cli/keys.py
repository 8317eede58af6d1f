"""`mosis key`: a developer's key files, and what a store has registered."""

import base64
import json
from pathlib import Path
from typing import Annotated

import typer

from portal import settings
from portal.cli.keyfile import Passphrase, load_key
from portal.cli.lazy import declaring, example
from portal.cli.parameters import DeveloperId, KeyId, app_id, developer_id
from portal.packages import keys as key_files
from portal.packages import signature
from portal.store import developers, keys
from portal.store.audit import OPERATOR
from portal.store.store import open_store

KeyFile = Annotated[Path, typer.Argument(help="A private key file.")]


def add(app: typer.Typer) -> None:
    """Declare the commands."""
    group = declaring("Signing keys: key files, and the keys registered in the store.")
    group.command(epilog=example("key generate key.pem"))(generate)
    group.command(epilog=example("key proof key.pem --developer acme"))(proof)
    group.command(epilog=example("key rotate old.pem new.pem --app org.acme.reader --from-version-code 12"))(rotate)
    group.command("list", epilog=example("key list acme"))(list_registered)
    group.command(epilog=example("key revoke acme 0123456789abcdef0123456789abcdef"))(revoke)
    app.add_typer(group, name="key")


def generate(
    path: Annotated[Path, typer.Argument(help="The new file; an existing one is never overwritten.")],
    passphrase: Passphrase = False,
) -> None:
    """Make a private key in a new file, mode 600 (PEM, which openssl reads too)."""
    secret = typer.prompt("Passphrase", hide_input=True, confirmation_prompt=True) if passphrase else None
    key = key_files.generate(path, secret)
    print(f"key_id {signature.key_id(signature.raw_public_key(key))}")


def proof(
    path: KeyFile, developer: Annotated[str, typer.Option(parser=developer_id, help="Your developer id.")]
) -> None:
    """Print the request body that registers a key: POST it to /api/developers/{developer_id}/keys."""
    key = load_key(path)
    public = signature.raw_public_key(key)
    proof = signature.sign(key, signature.registration_statement(developer, signature.key_id(public)))
    print(json.dumps({"public_key": base64.b64encode(public).decode(), "proof": proof}))


def rotate(
    old: Annotated[Path, typer.Argument(help="The private key file that signs the app now.")],
    new: Annotated[Path, typer.Argument(help="The private key file that signs it afterwards.")],
    app: Annotated[str, typer.Option(parser=app_id, help="The app that passes from the old key to the new one.")],
    from_version_code: Annotated[int, typer.Option(min=1, help="The first version that the new key signs.")],
) -> None:
    """Print the request body that changes an app's key: POST it to /api/apps/{app_id}/key-rotations."""
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


def list_registered(developer_id: DeveloperId) -> None:
    """List a developer's registered keys: id and state."""
    db = open_store(settings.load()).db.read()
    developers.get(db, developer_id)
    for key in keys.of_developer(db, developer_id):
        print(f"{key.key_id}\t{'revoked' if key.revoked_at else 'valid'}")


def revoke(developer_id: DeveloperId, key_id: KeyId) -> None:
    """Revoke a registered key: packages signed with it are rejected from now on."""
    with open_store(settings.load()).db.write() as tx:
        keys.revoke(tx, OPERATOR, developer_id, key_id)
    print(f"revoked key {key_id} of {developer_id}")
