"""Directories, files and secrets of a plan, declared."""

from collections.abc import Iterable
from io import StringIO

from pyinfra import host
from pyinfra.operations import files

from deploys.model import Directory, File


def _owner(owner: str) -> dict[str, str | None]:
    user, _, group = owner.partition(":")
    return {"user": user or None, "group": group or None}


def directories(wanted: Iterable[Directory]) -> None:
    """Declare directories with mode and owner, parents first."""
    for entry in host.loop(list(wanted)):
        files.directory(name=f"Directory {entry.path}", path=entry.path, mode=entry.mode, **_owner(entry.owner))


def written(wanted: Iterable[File]) -> None:
    """Declare files with content, mode and owner."""
    for entry in host.loop(list(wanted)):
        files.put(
            name=f"File {entry.path}",
            src=StringIO(entry.content),
            dest=entry.path,
            mode=entry.mode,
            create_remote_dir=False,
            **_owner(entry.owner),
        )
