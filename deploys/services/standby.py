"""A standby and the store that it follows: each host is configured with facts about the other.

The standby generates its key, which never leaves it. The store's host key is read over the operator's connection, so
that the standby needs no trust on first use.
"""

from collections.abc import Generator
from pathlib import Path
from shlex import join, quote

from pyinfra import host, inventory
from pyinfra.api import FactBase, Host, StringCommand, operation
from pyinfra.api.exceptions import ConnectError, DeployError
from pyinfra.facts.files import File as FileFact
from pyinfra.facts.systemd import SystemdEnabled, SystemdStatus
from pyinfra.operations import files as pyinfra_files

from deploys.host import files
from deploys.host.deploy import deploy
from deploys.plan.data import HostData, parse
from deploys.plan.model import Directory, Plan, root_file
from deploys.plan.paths import HOME, STANDBY_SSH_CONFIG
from deploys.plan.render import render
from deploys.services.base import NO_LOGIN
from deploys.services.litestream import UNIT as LITESTREAM
from deploys.services.portal import BRIDGE
from deploys.services.portal import UNIT as PORTAL

FEED = f"{HOME}/feed"
KNOWN_HOSTS = "/etc/mosis/standby/known_hosts"
NOTE = "data/standby.json"  # below the root of a host whose data is a copy
OF_STORES = (PORTAL, BRIDGE, LITESTREAM)


class PublicKeys(FactBase[tuple[str, ...]]):
    """`TYPE KEY` of every public key in the files that match a shell pattern."""

    default = tuple

    def command(self, pattern: str) -> str:
        return f"cat {pattern} 2>/dev/null; true"

    def process(self, output: list[str]) -> tuple[str, ...]:
        return tuple(" ".join(line.split()[:2]) for line in output)


class Admitted(FactBase[dict[str, str]]):
    """Name to `TYPE KEY` of the standbys in an authorized_keys file."""

    default = dict

    def command(self, path: str) -> str:
        return f"cat {quote(path)} 2>/dev/null; true"

    def process(self, output: list[str]) -> dict[str, str]:
        return {words[-1]: " ".join(words[-3:-1]) for words in map(str.split, output)}


def _data(other: Host) -> HostData:
    return parse(other.data.dict())


def _followers() -> list[Host]:
    return [other for other in inventory if _data(other).follows == host.name]


def _keys_of(other: Host, pattern: str) -> tuple[str, ...]:
    """Empty if the other host cannot be reached: what this host has then stays as it is."""
    try:
        return other.get_fact(PublicKeys, pattern=pattern)
    except ConnectError:
        return ()


def _host_keys(store: Host) -> tuple[str, ...]:
    return _keys_of(store, "/etc/ssh/ssh_host_*_key.pub")


def _key(root: Path) -> str:
    return f"{root}/secrets/standby-key"


def login_shell() -> str:
    """Only standbys log in as the store's user, and `command=` limits them to one command."""
    return "/bin/sh" if _followers() else NO_LOGIN


def check(plan: Plan) -> None:
    """Raises DeployError, one sentence, if the inventory has no store that this host could follow."""
    if not (name := plan.data.follows):
        return
    store = inventory.get_host(name, None)
    if store is None or store.name == host.name:
        raise DeployError(f"{host.name}: mosis_follows must name another host of this inventory, not {name}.")
    its = _data(store)
    if its.follows or its.runtime != "systemd":
        what = f"a standby of {its.follows}" if its.follows else f"a host of the runtime {its.runtime}"
        raise DeployError(f"{host.name}: a standby follows a store of the runtime systemd; {name} is {what}.")
    known = host.get_fact(FileFact, path=KNOWN_HOSTS)
    if not known and not _host_keys(store):
        raise DeployError(
            f"{host.name}: {name} cannot be reached, so its host key is not known yet; deploy {name} first."
        )


@operation()
def units_off(units: tuple[str, ...]) -> Generator[str]:
    """None of the units runs, now or after a boot."""
    enabled, active = (host.get_fact(fact, services=list(units)) for fact in (SystemdEnabled, SystemdStatus))
    if on := [unit for unit in units if enabled.get(unit) or active.get(unit)]:
        yield f"systemctl disable --quiet --now {join(on)}"


@operation()
def key_made(path: str) -> Generator[str]:
    """The standby has its own key."""
    if not host.get_fact(FileFact, path=path):
        yield f"runuser -u mosis -- ssh-keygen -q -t ed25519 -N '' -C {quote(host.name)} -f {quote(path)}"


@operation()
def admitted(path: str, followers: list[Host]) -> Generator[StringCommand]:
    """The authorized_keys file contains the keys of these standbys only, each limited to one command."""
    found = host.get_fact(Admitted, path=path)
    keys = {other.name: _keys_of(other, f"{_key(_data(other).root)}.pub") for other in followers}
    wanted = {name: key[0] if key else found.get(name) for name, key in keys.items()}
    if wanted != found:
        lines = [f'restrict,command="{FEED}" {key} {name}\n' for name, key in wanted.items() if key]
        fresh = quote(f"{path}.new")
        put = f"cat >{fresh} && chown root:mosis {fresh} && chmod 640 {fresh} && mv {fresh} {quote(path)}"
        yield StringCommand(put, _stdin="".join(lines))


@operation()
def copy_owned(mosis: str, note: str) -> Generator[str]:
    """The data that a standby copied becomes this host's own; the file `note` marks a copy."""
    if host.get_fact(FileFact, path=note):
        yield f"{quote(mosis)} promote"


@deploy("Standby")
def following(plan: Plan) -> None:
    """This host follows the store that `mosis_follows` names; no portal and no Litestream run on it."""
    store, key = inventory.get_host(str(plan.data.follows)), _key(plan.settings.root)
    units_off(name="No portal, no Litestream", units=OF_STORES)
    key_made(name="Key of the standby", path=key)
    config = render(
        "standby/ssh_config.j2",
        store=store.name,
        address=store.data.get("ssh_hostname") or store.name,
        port=store.data.get("ssh_port") or 22,
        key=key,
        known_hosts=KNOWN_HOSTS,
    )
    lines = "".join(f"{store.name} {public}\n" for public in _host_keys(store))
    pinned = (root_file(KNOWN_HOSTS, lines),) if lines else ()
    service = plan.services["standby"]
    files.written((*pinned, root_file(STANDBY_SSH_CONFIG, config), *service.files, plan.command))


@deploy("Standby")
def admitting(plan: Plan) -> None:
    """Only the standbys that follow this store may copy it."""
    followers, directory = _followers(), f"{plan.settings.root}/.ssh"
    path = f"{directory}/authorized_keys"
    if followers:
        feed = render("standby/feed.j2", root=plan.settings.root)
        files.written((root_file(FEED, feed, "755"),))
        files.directories((Directory(directory, "750", "root:mosis"),))
        admitted(name="Standbys that may copy the store", path=path, followers=followers)
    else:
        pyinfra_files.file(name="No standby may copy the store", path=path, present=False)


@deploy("Standby")
def promoted(plan: Plan) -> None:
    note = f"{plan.settings.root}/{NOTE}"
    copy_owned(name="A copy is this host's own data", mosis=plan.mosis, note=note)
