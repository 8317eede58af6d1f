"""Deletion of files that the catalogue no longer refers to."""

from pathlib import Path

from portal.catalogue import bins
from portal.catalogue.keys import DAY
from portal.catalogue.tree import VERSIONED, Tree, document_path, metadata_path

KEEP_SECONDS = 2 * DAY
"""How long a superseded file stays for devices and mirrors that have just read what refers to it."""


def prune(tree: Tree, at: int) -> None:
    """Delete what has been superseded for KEEP_SECONDS, and what killed runs left; roots stay for ever."""
    if tree.timestamp is None or tree.snapshot is None:
        return
    used = {metadata_path("snapshot", tree.snapshot.signed.version)}
    used |= {metadata_path(name, version) for name, version in tree.versions.items()}
    for name in tree.versions:
        found = tree.bin(name) if bins.NAME.fullmatch(name) else None
        used |= {document_path(target) for target in found.signed.targets.values()} if found else set()
    _delete(tree.root / "metadata", "metadata", used, at)
    _delete(tree.root / "targets/apps", "targets/apps", used, at)


def _delete(directory: Path, below: str, used: set[str], at: int) -> None:
    for path in directory.glob("*"):
        superseded = f"{below}/{path.name}" not in used and _disposable(path.name)
        if superseded and at - path.stat().st_mtime > KEEP_SECONDS:
            path.unlink()


def _disposable(name: str) -> bool:
    """Not the timestamp, and no root."""
    match = VERSIONED.fullmatch(name)
    return name != "timestamp.json" and not (match and match[2] == "root")
