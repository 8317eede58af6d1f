"""`mosis key`: a developer's signing keys, on this machine and in the store."""

import base64
import json
from pathlib import Path
from typing import Annotated

import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from portal.cli.keyfile import Passphrase, load_key, own_key
from portal.cli.lazy import declaring, example
from portal.cli.output import table
from portal.cli.parameters import KeyId, app_id, developer_id
from portal.cli.signed_in import AsJson, StoreUrl, connected
from portal.developer import signing
from portal.developer.answers import Document, Keys, Me
from portal.developer.client import Client
from portal.packages import keys as key_files
from portal.packages import signature

KeyFile = Annotated[Path | None, typer.Argument(help="A private key file; by default the one that push uses.")]
Offline = Annotated[bool, typer.Option("--offline", help="Do not register it: no store is asked.")]


def add(app: typer.Typer) -> None:
    """Declare the commands."""
    group = declaring("Your signing keys, on this machine and in the store.")
    group.command(epilog=example("key generate", "key generate key.pem --offline"))(generate)
    group.command(epilog=example("key show", "key show key.pem --json"))(show)
    group.command(epilog=example("key register key.pem"))(register)
    group.command("list", epilog=example("key list"))(list_registered)
    group.command(epilog=example("key revoke 0123456789abcdef0123456789abcdef"))(revoke)
    group.command(epilog=example("key rotate old.pem new.pem --app org.acme.reader --from-version-code 12"))(rotate)
    group.command(epilog=example("key proof key.pem --developer acme"))(proof)
    app.add_typer(group, name="key")


def generate(
    path: Annotated[
        Path | None, typer.Argument(help="The new file; an existing one is never overwritten. By default push's own.")
    ] = None,
    passphrase: Passphrase = False,
    offline: Offline = False,
    url: StoreUrl = None,
) -> None:
    """Make a private key in a new file of mode 600 (PEM, which openssl reads too), and register it in the store."""
    client = None if offline else connected(url)
    secret = typer.prompt("Passphrase", hide_input=True, confirmation_prompt=True, err=True) if passphrase else None
    file = signing.path_of(path)
    key = signing.generate(file, secret) if path is None else key_files.generate(file, secret)
    print(f"key_id {signing.id_of(key)} in {file}: keep a copy, since only it can sign updates")
    if client:
        _register(client, key)


def show(path: KeyFile = None, as_json: AsJson = False) -> None:
    """Print the public key of a private key, as `mosis verify --public-key` takes it. No store is asked."""
    key = own_key(path)
    public_key = base64.b64encode(signature.raw_public_key(key)).decode()
    print(json.dumps({"key_id": signing.id_of(key), "public_key": public_key}) if as_json else public_key)


def register(path: KeyFile = None, url: StoreUrl = None) -> None:
    """Register a key in the store, which then takes packages that it signed. `mosis push` does so by itself."""
    client = connected(url)
    _register(client, own_key(path))


def list_registered(as_json: AsJson = False, url: StoreUrl = None) -> None:
    """List your registered keys: id and state."""
    client = connected(url)
    found = client.every(f"/api/developers/{_me(client)}/keys", Keys, "keys")
    if as_json:
        print(json.dumps(found.as_sent()["keys"]))
    else:
        table(("key", "state"), [(key.key_id, "revoked" if key.revoked_at else "valid") for key in found.keys])


def revoke(key_id: KeyId, url: StoreUrl = None) -> None:
    """Revoke a registered key: packages signed with it are rejected from now on."""
    client = connected(url)
    client.request("DELETE", f"/api/developers/{_me(client)}/keys/{key_id}")
    print(f"revoked key {key_id}")


def rotate(
    old: Annotated[Path, typer.Argument(help="The private key file that signs the app now.")],
    new: Annotated[Path, typer.Argument(help="The private key file that signs it afterwards.")],
    app: Annotated[str, typer.Option(parser=app_id, help="The app that passes from the old key to the new one.")],
    from_version_code: Annotated[int, typer.Option(min=1, help="The first version that the new key signs.")],
    offline: Annotated[bool, typer.Option("--offline", help="Print the request body instead of sending it.")] = False,
    url: StoreUrl = None,
) -> None:
    """Change the key of an app; the new one is registered first. Everyone can see and verify the change.

    With --offline, POST what is printed to /api/apps/{app_id}/key-rotations.
    """
    pair = load_key(old), load_key(new)
    body = signing.rotation(app, *pair, from_version_code)
    if offline:
        print(json.dumps(body))
        return
    client = connected(url)
    _register(client, pair[1])
    client.post(f"/api/apps/{app}/key-rotations", Document, body)
    print(f"{app} is signed with key {body['new_key_id']} from version code {from_version_code} on")


def proof(
    developer: Annotated[str, typer.Option(parser=developer_id, help="Your developer id.")], path: KeyFile = None
) -> None:
    """Print the request body that registers a key: POST it to /api/developers/{developer_id}/keys."""
    print(json.dumps(signing.registration(developer, own_key(path))))


def _register(client: Client, key: Ed25519PrivateKey) -> None:
    me, key_id = _me(client), signing.id_of(key)
    new = signing.register(client, me, key)
    print(f"{'registered' if new else 'already registered:'} key {key_id} of {me} in {client.url}")


def _me(client: Client) -> str:
    return client.get("/api/me", Me).developer_id
