"""`mosis push`: from a directory to a version in the store."""

import json
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from portal.cli.keyfile import load_key
from portal.cli.lazy import example
from portal.cli.progress import progress
from portal.cli.signed_in import AsJson, StoreUrl, connected, note
from portal.developer import credentials, signing, source
from portal.developer import push as pushing
from portal.developer.manifests import Bump, bump
from portal.developer.patience import Patience
from portal.developer.push import Push, Version
from portal.faults import Fault
from portal.packages.manifest import Manifest


def add(app: typer.Typer) -> None:
    """Declare the command."""
    app.command(epilog=example("push --submit", "push hello/ --bump patch --submit", "push reader.mosis"))(push)


def push(
    path: Annotated[Path, typer.Argument(help="The app's directory, or a package (.mosis).")] = Path(),
    submit: Annotated[bool, typer.Option("--submit", help="Submit the version for review.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Submit it, and wait for the end of the review.")] = False,
    raised: Annotated[
        Bump | None, typer.Option("--bump", help="First raise this part of version_name, and version_code.")
    ] = None,
    key: Annotated[
        Path | None, typer.Option(envvar="MOSIS_KEY", show_envvar=True, help="The private key file.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything; upload nothing.")] = False,
    as_json: AsJson = False,
    url: StoreUrl = None,
) -> None:
    """Pack, sign and upload an app. The app and the key are added to the store where it does not have them yet.

    An upload continues where it broke off: after a lost connection by itself, after Ctrl-C when the command runs again.
    """
    client = connected(url)
    manifest = source.manifest_of(path)
    store = pushing.look(client, manifest.id)
    if raised:
        manifest = _bumped(path, raised, store.next_code, manifest, dry_run)
    private = None if key is None and source.is_signed(path) else _key(key, store, dry_run)
    with tempfile.TemporaryDirectory(prefix="mosis-") as scratch, progress("Packing") as packed:
        prepared = source.prepare(path, private, Path(scratch), packed)
        pushing.require_possible(store, prepared.package.manifest, prepared.package.key_id)
        said = f"{manifest.id} {manifest.version_name} ({manifest.version_code}), {prepared.size} bytes"
        if dry_run:
            return print(f"{said}: would be pushed to {client.url}")
        run = Push(client, Patience(report=note), note)
        run.register(store, private, prepared.package.key_id)
        run.add_app(store, manifest)
        with progress("Uploading") as run.progress:
            version = run.upload(store, prepared)
    if submit or wait:
        version = run.submit(version)
    if wait:
        version = run.wait(version)
    return _show(version, said, as_json)


def _bumped(path: Path, part: Bump, at_least: int, manifest: Manifest, dry_run: bool) -> Manifest:
    if not path.is_dir():
        raise typer.BadParameter("needs the app's directory, not a package.", param_hint="--bump")
    return manifest if dry_run else bump(path, part, at_least)


def _key(named: Path | None, store: pushing.Store, dry_run: bool) -> Ed25519PrivateKey:
    """The signing key; the first one of a developer is made here."""
    path = signing.path_of(named)
    if path.exists():
        return load_key(path)
    if named or credentials.overridden() or (store.app and store.app["signing"]["keys"]):
        raise Fault(f"There is no signing key {path}: name its file with --key or MOSIS_KEY.")
    made = signing.generate(path)
    note(f"Made the signing key {path}: keep a copy of it, since only it can sign updates.")
    return made


def _show(version: Version, said: str, as_json: bool) -> None:
    print(json.dumps(version) if as_json else f"{said}: {version['status']}")
