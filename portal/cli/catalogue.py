"""`mosis catalogue`: what cron runs every few minutes, and the keys."""

import os
from pathlib import Path
from typing import Annotated

import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from portal import settings
from portal.catalogue.errors import KeysError
from portal.cli.keyfile import load_key
from portal.cli.lazy import Group, example
from portal.jobs import catalogue_idle
from portal.jobs.alone import RunningError
from portal.jobs.opening import open_for
from portal.packages import keys as key_files
from portal.store.store import Store, open_store

DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would change; change nothing.")]

RootKeys = Annotated[
    list[Path] | None, typer.Option(help="File of a root key; repeat it for several. `init` makes one that is missing.")
]
ROOT_KEY = "root.pem"


def add(app: typer.Typer) -> None:
    """Declare the commands."""
    group = typer.Typer(
        help="Sign the catalogue of what is published, and its keys.", cls=Group,
        invoke_without_command=True, rich_markup_mode=None, add_completion=False,
        epilog=example("catalogue --dry-run", "catalogue"), callback=catalogue,
    )  # fmt: skip
    group.command("init", epilog=example("catalogue init --root-key /media/stick/root.pem"))(init)
    group.command("renew", epilog=example("catalogue renew --root-key /media/stick/root.pem --new-store-key"))(renew)
    app.add_typer(group, name="catalogue")


def catalogue(
    context: typer.Context,
    dry_run: DryRun = False,
    verify: Annotated[bool, typer.Option("--verify", help="Compare every document, as a run does once a day.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Sign although the clock or the number of removed apps looks wrong.")
    ] = False,
) -> None:
    """Sign the catalogue of what is published. Prints nothing when there is nothing to do."""
    if context.invoked_subcommand:
        return
    if dry_run:
        _preview(open_store(settings.load()))
        return
    store = open_for(catalogue_idle.JOB, settings.load())
    try:
        if verify or force or not catalogue_idle.ran(store):
            from portal.jobs import catalogue as job  # here, because it takes longer to load than an idle run

            job.catalogue(store, verify=verify, force=force, wrote=lambda path: print(f"wrote {path}"))
    except RunningError as running:  # the first run may take longer than the time between two
        print(running)


def _preview(store: Store) -> None:
    from portal.jobs import catalogue as job

    found = job.preview(store)
    for path in found.written:
        print(f"would write {path}")
    for app_id in found.removed:
        print(f"would remove {app_id}")


def init(
    root_key: RootKeys = None,
    threshold: Annotated[int, typer.Option(min=1, help="How many of the root keys must sign a change.")] = 1,
    on_this_host: Annotated[
        bool, typer.Option("--on-this-host", help="Make the root key beside the store key; move it away afterwards.")
    ] = False,
    new: Annotated[
        bool, typer.Option("--new", help="Start another catalogue, which no device of the old one accepts.")
    ] = False,
    dry_run: DryRun = False,
) -> None:
    """Make the catalogue's keys: the store key, which signs every few minutes, trusted by root keys, kept offline."""
    from portal.jobs import catalogue_keys

    store = open_store(settings.load())
    catalogue_keys.require_new(store, new=new)
    paths = _named(store, root_key, on_this_host=on_this_host)
    if threshold > len(paths):
        raise KeysError(f"{threshold} of {len(paths)} root keys cannot sign: name more files.")
    if dry_run:
        print(f"would make keys in {store.settings.catalogue_key_directory}, trusted by {', '.join(map(str, paths))}")
        return
    catalogue_keys.make(store, [_made(path) for path in paths], threshold=threshold, new=new)
    for path in paths:
        print(f"{path} is the root key: it can replace every other key, and is needed for nothing else.")
    print(
        "Keep it in two places off this host, such as two USB sticks, and remove it here. Devices are made with"
        f" {store.layout.catalogue}/metadata/1.root.json."
    )


def renew(
    root_key: RootKeys = None,
    new_root_key: Annotated[
        list[Path] | None, typer.Option(help="File of a root key that replaces the old ones; made if it is missing.")
    ] = None,
    threshold: Annotated[int, typer.Option(min=1, help="How many of the new root keys must sign a change.")] = 1,
    new_store_key: Annotated[
        bool, typer.Option("--new-store-key", help="Replace the store key, which was lost or may be known to others.")
    ] = False,
    dry_run: DryRun = False,
) -> None:
    """Sign the keys for another five years with the root key, and replace keys."""
    from portal.jobs import catalogue_keys

    store = open_store(settings.load())
    paths, new_paths = _named(store, root_key, on_this_host=root_key is None), new_root_key or []
    if new_paths and threshold > len(new_paths):
        raise KeysError(f"{threshold} of {len(new_paths)} root keys cannot sign: name more files.")
    if dry_run:
        changes = (
            ["the next root"] + ["a new store key"] * new_store_key + [f"the root key {path}" for path in new_paths]
        )
        print(f"would sign {', '.join(changes)}")
        return
    if root_key is None and not paths[0].exists():
        raise KeysError("The root key is not on this host: name its file by --root-key.")
    catalogue_keys.renew(
        store,
        [load_key(path) for path in paths],
        new_root_keys=[_made(path) for path in new_paths],
        threshold=threshold,
        new_store_key=new_store_key,
    )
    print("signed; the next run of `mosis catalogue` publishes it")


def _named(store: Store, paths: list[Path] | None, *, on_this_host: bool) -> list[Path]:
    """The files of the root keys. Raises KeysError for one that would stay in the store."""
    if on_this_host:
        return [store.settings.catalogue_key_directory / ROOT_KEY]
    if not paths:
        raise KeysError("Name a file for the root key by --root-key, off this host, or use --on-this-host.")
    for path in paths:
        if Path(os.path.realpath(path)).is_relative_to(store.settings.root):  # Path.resolve raises for a loop of links
            raise KeysError(f"{path} is inside the store, where a root key must not stay: name a file elsewhere.")
    return paths


def _made(path: Path) -> Ed25519PrivateKey:
    if path.exists():
        return load_key(path)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return key_files.generate(path)
