"""`mosis presign`: the keys that sign upload URLs."""

from typing import Annotated

import typer

from portal import settings
from portal.store import presign
from portal.store.layout import Layout


def add(app: typer.Typer) -> None:
    """Declare the commands."""
    group = typer.Typer(help="Keys that sign upload URLs.", no_args_is_help=True)
    group.command("rotate")(rotate)
    group.command("list")(show)
    app.add_typer(group, name="presign")


def rotate(
    drop: Annotated[bool, typer.Option("--drop", help="Forget every older key: URLs given out stop working.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be forgotten.")] = False,
) -> None:
    """Sign with a new key from now on; the one before it still verifies, so that no URL given out breaks."""
    chosen = settings.load()
    path = Layout(chosen.root).presign_keys
    if dry_run:
        for key in presign.forgotten(presign.load(path), lifetime=chosen.upload_url_seconds, drop=drop):
            print(f"{key.key_id}\twould be forgotten")
        return
    print(presign.rotate(path, lifetime=chosen.upload_url_seconds, drop=drop).key_id)


def show() -> None:
    """List the live keys, the signing one first, never their secrets."""
    for number, key in enumerate(presign.load(Layout(settings.load().root).presign_keys)):
        print(f"{key.key_id}\t{'verifies' if number else 'signs'}")
