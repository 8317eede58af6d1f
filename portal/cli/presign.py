"""`mosis presign`: the keys that sign upload URLs."""

from collections.abc import Sequence
from typing import Annotated

import typer

from portal import settings
from portal.cli.lazy import declaring, example
from portal.cli.output import table
from portal.store import audit, presign
from portal.store.layout import Layout
from portal.store.store import Store, open_store


def add(app: typer.Typer) -> None:
    """Declare the commands."""
    group = declaring("Keys that sign upload URLs.")
    group.command("rotate", epilog=example("presign rotate --dry-run", "presign rotate"))(rotate)
    group.command("list", epilog=example("presign list"))(show)
    app.add_typer(group, name="presign")


def rotate(
    drop: Annotated[bool, typer.Option("--drop", help="Forget every older key: URLs in use stop working.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change; change nothing.")] = False,
) -> None:
    """Sign with a new key from now on. The previous key still verifies, so that URLs in use keep working."""
    chosen = settings.load()
    path = Layout(chosen.root).presign_keys
    forgotten = presign.forgotten(presign.load(path), lifetime=chosen.upload_url_seconds, drop=drop)
    if dry_run:
        print("would sign with a new key")
    else:
        key = presign.new_key()
        _record(open_store(chosen), key, forgotten)
        presign.rotate(path, lifetime=chosen.upload_url_seconds, drop=drop, key=key)
        print(f"key {key.key_id} signs from now on")
    for key in forgotten:
        print(f"key {key.key_id} {'would be forgotten' if dry_run else 'is forgotten'}")


def _record(store: Store, key: presign.Key, forgotten: Sequence[presign.Key]) -> None:
    """Before the rotation: a key that signs without a row of the log must not be, a row without one misleads nobody."""
    with store.db.write() as tx:
        gone = [old.key_id for old in forgotten]
        audit.append(tx, audit.OPERATOR, "presign.rotate", key.key_id, forgotten=gone)


def show() -> None:
    """List the live keys without their secrets, the signing one first."""
    found = presign.load(Layout(settings.load().root).presign_keys)
    table(("key", "state"), [(key.key_id, "verifies" if number else "signs") for number, key in enumerate(found)])
