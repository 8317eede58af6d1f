"""Releases on a host: each installed side by side with those before it, one of them the current one."""

from collections.abc import Generator
from pathlib import Path
from shlex import quote

from pyinfra import host
from pyinfra.api import FactBase, FileUploadCommand, StringCommand, operation

from deploys.host.deploy import deploy
from deploys.plan.paths import HOME
from deploys.plan.release import Release, wheelhouse_tar

PIP = "pip install --quiet --no-cache-dir --disable-pip-version-check --root-user-action=ignore"


class Releases(FactBase[dict[str, set[str]]]):
    """`{"complete": ids, "current": {id}, "previous": {id}}` of the host; absent keys are empty."""

    def command(self, home: str = HOME) -> str:
        return (
            f"for marker in {home}/releases/*/complete; do "
            'if [ -e "$marker" ]; then echo "complete $(basename "$(dirname "$marker")")"; fi; done; '
            "for link in current previous; do "
            f'if [ -L {home}/$link ]; then echo "$link $(basename "$(readlink {home}/$link)")"; fi; done; '
            f'for entry in {home}/releases/*/; do if [ -d "$entry" ]; then echo "all $(basename "$entry")"; fi; done'
        )

    @staticmethod
    def default() -> dict[str, set[str]]:
        return {"complete": set(), "current": set(), "previous": set(), "all": set()}

    def process(self, output: list[str]) -> dict[str, set[str]]:
        found = self.default()
        for line in output:
            kind, identity = line.split(maxsplit=1)
            found[kind].add(identity)
        return found


@operation()
def installed(release: Release, wheelhouse: Path | None) -> Generator[StringCommand | FileUploadCommand]:
    """The release's virtual environment is whole; the marker is written last, so half of one is made again."""
    if release.id in host.get_fact(Releases)["complete"]:
        return
    path, wheel = release.path, f"{release.path}/{release.wheel.name}"
    source = ""
    yield StringCommand(f"rm -rf {path} && mkdir -p {path}")
    yield FileUploadCommand(str(release.wheel), wheel)
    yield FileUploadCommand(str(release.lock), f"{path}/portal.lock")
    if wheelhouse:
        source = f"--no-index --find-links {path}/wheelhouse"
        yield FileUploadCommand(str(wheelhouse_tar(wheelhouse)), f"{path}/wheelhouse.tar")
        yield StringCommand(f"mkdir {path}/wheelhouse && tar -xf {path}/wheelhouse.tar -C {path}/wheelhouse")
    yield StringCommand(f"python3 -m venv {path}/venv")
    yield StringCommand(f"{path}/venv/bin/{PIP} {source} --no-deps --require-hashes -r {path}/portal.lock")
    yield StringCommand(f"{path}/venv/bin/{PIP} --no-index --no-deps {quote(wheel)}")
    yield StringCommand(f"rm -rf {path}/wheelhouse {path}/wheelhouse.tar && sync -f {path} && touch {path}/complete")


@operation()
def switched(release: Release, home: str = HOME) -> Generator[str]:
    """`current` is this release and `previous` the one before; each link changes in one rename."""
    found = host.get_fact(Releases, home=home)
    (running,) = found["current"] or {""}
    if running == release.id:
        return
    links = {"previous": running, "current": release.id} if running in found["all"] else {"current": release.id}
    for name, identity in links.items():
        yield f"ln -sfn releases/{identity} {home}/{name}.new && mv -T {home}/{name}.new {home}/{name}"


def earlier(found: dict[str, set[str]], release: Release) -> set[str]:
    """The release to go back to from this one: the same before the switch and after."""
    return found["current"] & found["all"] - {release.id} or found["previous"]


@operation()
def pruned(release: Release) -> Generator[str]:
    """Of the releases only this one and the one before it stay."""
    found = host.get_fact(Releases)
    for identity in sorted(found["all"] - {release.id} - earlier(found, release)):
        yield f"rm -rf {HOME}/releases/{quote(identity)}"


@deploy("Release")
def install(release: Release, wheelhouse: Path | None) -> None:
    installed(name="Install the release into its own virtual environment", release=release, wheelhouse=wheelhouse)
    switched(name="Make the release the current one", release=release)


@deploy("Release")
def prune(release: Release) -> None:
    pruned(name="Remove releases older than the previous one", release=release)
