"""`mosis push`: from a directory to a version in the store."""

import json
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from portal.cli.keyfile import OwnKey, own_key
from portal.cli.lazy import example
from portal.cli.progress import progress
from portal.cli.signed_in import AsJson, StoreUrl, connected_for, note, outcome
from portal.cli.usage import WrongUsage
from portal.developer import credentials, signing, source, trusted
from portal.developer import push as pushing
from portal.developer.answers import Placed
from portal.developer.manifests import Bump, bumped
from portal.developer.patience import Patience
from portal.developer.push import Push, Store, require_open, spoken
from portal.developer.source import Prepared
from portal.faults import Fault

UNCHANGED = {"draft": "a draft", "in_review": "in review", "published": "published"}
REMEDY = "If it should be a new version, push with --bump."
EXITS = (
    "\b\nExit status: 0 done, 1 failed, 2 wrong usage, 3 rejected by a reviewer,\n"
    "4 not signed in, 5 the store cannot be reached, 130 interrupted."
)


def add(app: typer.Typer) -> None:
    """Declare the command."""
    examples = example("push --submit", "push hello/ --bump patch --submit", "push reader.mosis --wait --json")
    app.command(epilog=f"{examples}\n\n{EXITS}")(push)


def push(
    path: Annotated[Path, typer.Argument(help="The app's directory, or a package (.mosis).")] = Path(),
    submit: Annotated[bool, typer.Option("--submit", help="Submit the version for review.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Submit it, and wait for the end of the review.")] = False,
    raised: Annotated[
        Bump | None,
        typer.Option("--bump", help="If the store has this version already, first raise it in manifest.json."),
    ] = None,
    key: OwnKey = None,
    register_key: Annotated[
        bool, typer.Option("--register-key", help="Register the key of --key or MOSIS_KEY without asking.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything; change nothing.")] = False,
    as_json: AsJson = False,
    url: StoreUrl = None,
) -> None:
    """Pack, sign and upload an app. The app and your key are added to the store if it does not have them yet.

    Everything that the store would refuse is found before the upload. A lost connection only delays it. After Ctrl-C,
    the same command continues it.
    """
    if raised and path.is_file():
        raise WrongUsage("With --bump, push the app's directory: the version in a package cannot be raised.")
    manifest = source.manifest_of(path)
    client = connected_for(manifest.id, url)
    run = Push(client, Patience(report=note), note)
    store = run.look(manifest)
    with tempfile.TemporaryDirectory(prefix="mosis-") as scratch:
        prepared = _prepared(path, key, raised, store, Path(scratch), dry_run)
        version = unchanged = pushing.already(store, prepared)
        if version is None:
            pushing.require_possible(store, prepared)
            new_key = run.to_register(store, prepared)
            if new_key and signing.is_named(key) and not register_key:
                _require_consent(signing.id_of(new_key), client.url, dry_run)
            if dry_run:
                pushing.require_quota(store, prepared)
                _show(client.url, _unsent(prepared), as_json)
                return
            version = _uploaded(run, store, prepared, new_key)
    require_open(version)
    if (submit or wait) and version.status == "draft" and not dry_run:
        version = run.submit(version)
    if wait and not dry_run:
        version = run.wait(version)
    if version == unchanged:
        what = UNCHANGED.get(version.status, spoken(version.status))
        note(f"This package is already {what}; nothing to upload. {REMEDY}")
    _show(client.url, version, as_json)


def _prepared(
    path: Path, named: Path | None, raised: Bump | None, store: Store, scratch: Path, dry_run: bool
) -> Prepared:  # fmt: skip
    key = None if named is None and source.is_signed(path) else _key(named, store, dry_run)
    if store.is_free(source.manifest_of(path).version_code):
        raised = None  # an earlier push raised it, and did not come to its end
    with bumped(path, raised, store.next_code, keep=not dry_run), progress("Packing") as packed:
        return source.prepare(path, key, scratch, packed)


def _require_consent(key_id: str, url: str, dry_run: bool) -> None:
    """The key is registered only if somebody wants that: with a registered key anybody can sign in its owner's name."""
    if not dry_run and credentials.interactive():
        if typer.confirm(f"Key {key_id} is not registered at {url}. Register it?", err=True):
            return
        raise Fault("Nothing was pushed: name another key with --key.")
    raise Fault(f"Key {key_id} is not registered: run `mosis key register FILE`, or push with --register-key.")


def _uploaded(run: Push, store: Store, prepared: Prepared, key: Ed25519PrivateKey | None) -> Placed:
    run.add_app(store, prepared.package.manifest)  # first, since somebody else may have the app
    if key:
        run.register(store, key)
    run.replace(store, prepared.package.manifest)
    try:
        with progress("Uploading", sent=True) as run.progress:
            return run.upload(store, prepared)
    except KeyboardInterrupt:
        note("Interrupted: the same command continues the upload.")
        raise


def _key(named: Path | None, store: Store, dry_run: bool) -> Ed25519PrivateKey:
    """The signing key; the first one of a developer is made here."""
    if signing.is_there(named):
        return own_key(named)
    path = signing.path_of(named)
    if named or store.signed or credentials.overridden() or trusted.is_offered():
        raise Fault(f"There is no signing key {path}: name its file with --key or MOSIS_KEY.")
    if dry_run:
        return Ed25519PrivateKey.generate()
    made = signing.generate(path)
    note(f"Made the signing key {path}: keep a copy of it, since only it can sign updates.")
    return made


def _unsent(prepared: Prepared) -> Placed:
    manifest = prepared.package.manifest
    return Placed(
        app_id=manifest.id, version_code=manifest.version_code, version=manifest.version_name,
        status="would be pushed", size=prepared.size, sha256=prepared.sha256, reasons=[],
    )  # fmt: skip


def _show(url: str, version: Placed, as_json: bool) -> None:
    print(json.dumps(version.as_sent()) if as_json else outcome(version, url))
