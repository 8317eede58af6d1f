"""Directories, files and secrets of a plan, declared."""

import hashlib
from collections.abc import Generator, Iterable
from io import StringIO
from shlex import join, quote

from pyinfra import host
from pyinfra.api import FactBase, operation
from pyinfra.operations import files

from deploys.plan.model import Directory, File


def _owner(owner: str) -> tuple[str | None, str | None]:
    user, _, group = owner.partition(":")
    return user or None, group or None


def directories(wanted: Iterable[Directory]) -> None:
    """Declare directories with mode and owner, parents first."""
    for entry in host.loop(list(wanted)):
        user, group = _owner(entry.owner)
        files.directory(
            name=f"Directory {entry.path}", path=entry.path, mode=entry.mode, user=user, group=group
        )  # fmt: skip


def written(wanted: Iterable[File], reads: Iterable[str] = ()) -> None:
    """Declare files with content, mode and owner.

    No file's time, and none of what a program `reads` besides, stays in the future.
    """
    declared = list(wanted)
    for entry in host.loop(declared):
        user, group = _owner(entry.owner)
        files.put(
            name=f"File {entry.path}",
            src=StringIO(entry.content),
            dest=entry.path,
            mode=entry.mode,
            create_remote_dir=False,
            user=user,
            group=group,
        )
    paths = [*(entry.path for entry in declared), *reads]
    if host.get_fact(Future, paths=paths):
        dated(name="No file is from the future", paths=paths)


class Future(FactBase[list[str]]):
    """Those of the files that were written later than now."""

    default = list

    def command(self, paths: list[str]) -> str:
        return f"date +%s; stat -c '%Y %n' {join(paths)} 2>/dev/null; true"

    def process(self, output: list[str]) -> list[str]:
        now, *found = output
        return [path for written, path in (line.split(" ", 1) for line in found) if int(written) > int(now)]


@operation()
def dated(paths: list[str]) -> Generator[str]:
    """Touch files that were written while the clock was ahead: until that time comes, every process that reads them
    would be older than they are, and every deploy would restart it."""
    if future := host.get_fact(Future, paths=paths):
        yield f"touch -c -h {join(future)}"  # a link itself, not what it names


class Digests(FactBase[dict[str, str]]):
    """Path to SHA-256 of the files that are there."""

    default = dict

    def command(self, paths: list[str]) -> str:
        return f"sha256sum {join(paths)} 2>/dev/null; true"

    def process(self, output: list[str]) -> dict[str, str]:
        return {path: digest for digest, path in (line.split(maxsplit=1) for line in output)}


def sha256(content: str) -> str:
    """The digest of a file with this content."""
    return hashlib.sha256(content.encode()).hexdigest()


def drifted(wanted: Iterable[File]) -> set[str]:
    """Paths of files that are missing or have other content, whatever their age: a run will write them anew."""
    contents = {file.path: sha256(file.content) for file in wanted}
    found = host.get_fact(Digests, paths=list(contents)) if contents else {}
    return {path for path, content in contents.items() if found.get(path) != content}


@operation()
def kept(wanted: tuple[File, ...], links: tuple[str, ...], good: str) -> Generator[str]:
    """Below `good` are copies of the files that run now, and of the links that exist, for a return from what comes."""
    found = host.get_fact(Digests, paths=[f"{good}{file.path}" for file in wanted])
    if found != {f"{good}{file.path}": sha256(file.content) for file in wanted}:
        paths, there = (join([path.lstrip("/") for path in group]) for group in ([f.path for f in wanted], links))
        copy = f"tar -C / -cf - {paths} $(cd / && ls -d {there} 2>/dev/null) | tar -C {quote(good)} -xf -"
        yield f"rm -rf {quote(good)} && mkdir {quote(good)} && {copy}"
