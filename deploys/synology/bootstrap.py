"""The first login to a NAS: an SSH key, sudo without a password, and the steps that only a person can do in DSM."""

from collections.abc import Generator
from pathlib import Path
from shlex import quote

from pyinfra import host
from pyinfra.api import FactBase, StringCommand, operation
from pyinfra.api.exceptions import DeployError

from deploys.host.deploy import deploy

HOME_SERVICE = (
    "The user home service is off, and keys lie in homes: switch it on in Control Panel > User & Group > Advanced >"
    " User Home, then run this again."
)
CLICKS = """
What only you can do, in DSM:
  1. Package Center: install Container Manager (DSM 7.2 or newer, x86_64 or ARMv8).
  2. Control Panel > Terminal & SNMP: keep SSH on; you may switch it off between deploys.
  3. For the nightly copy: attach the USB drive, find its place (Control Panel > External Devices), and after the first
     deploy mark it, by SSH:  sudo mkdir -p /volumeUSB1/usbshare/mosis
                              sudo touch /volumeUSB1/usbshare/mosis/.mosis-backup
                              sudo chown -R mosis /volumeUSB1/usbshare/mosis   (on ext4; not on exFAT or NTFS)
  4. Control Panel > Login Portal > Advanced > Reverse Proxy: your host name and certificate, to http://localhost:PORT
     with the mosis_port of the inventory; or a Cloudflare Tunnel (mosis_cloudflared).
Then:  pyinfra INVENTORY deploy.py
"""


class Visitor(FactBase[dict[str, str]]):
    """The user who logs in: name, home (empty if missing), keys, and whether sudo works without a password."""

    default = dict

    def command(self) -> str:
        return "; ".join(
            (
                'echo "name=$(id -un)"',
                'echo "home=$(cd 2>/dev/null && [ "$PWD" != / ] && pwd)"',
                'echo "sudo=$(sudo -n /bin/sh -c true 2>/dev/null && echo yes)"',
                "sed 's/^/key=/' ~/.ssh/authorized_keys 2>/dev/null; true",
            )
        )

    def process(self, output: list[str]) -> dict[str, str]:
        fields = [line.split("=", 1) for line in output if "=" in line]
        keys = "\n".join(value for name, value in fields if name == "key")
        return {name: value for name, value in fields if name != "key"} | {"keys": keys}


def public_key(private: str | None) -> str:
    """The operator's public key beside `private`, else the usual one. Raises DeployError."""
    homes = [Path(f"{private}.pub").expanduser()] if private else sorted(Path.home().glob(".ssh/id_*.pub"))
    for path in homes:
        if path.is_file():
            return path.read_text().strip()
    raise DeployError("There is no public key to install on the NAS: create one with ssh-keygen -t ed25519.")


def rule(user: str) -> str:
    """A rule of sudoers(5). pyinfra runs everything as `sudo sh -c …`, so this is root, for this account only."""
    return f"{user} ALL=(root) NOPASSWD: /bin/sh, /usr/bin/sh\n"


def place(user: str) -> str:
    """Where the rule is."""
    return f"/etc/sudoers.d/mosis-{user}"


def line_added(line: str, path: str) -> str:
    """The command that adds a line to a file of others, whose last line may not be ended."""
    return f'{{ [ -z "$(tail -c 1 {path} 2>/dev/null)" ] || echo >>{path}; }} && echo {quote(line)} >>{path}'


@operation()
def key_accepted(key: str) -> Generator[str]:
    """The key may log in; sshd refuses keys in directories that others may write to."""
    if key not in host.get_fact(Visitor, _sudo=False)["keys"].splitlines():
        yield (
            "umask 077 && mkdir -p ~/.ssh && chmod go-w ~ && chmod 700 ~/.ssh && "
            f"{line_added(key, '~/.ssh/authorized_keys')} && chmod 600 ~/.ssh/authorized_keys"
        )


class Private(FactBase[bool]):
    """Whether a directory exists that belongs to the user and that nobody else may access."""

    default = bool

    def command(self, path: str) -> str:
        return f'if [ -O {quote(path)} ] && [ "$(stat -c %a {quote(path)})" = 700 ]; then echo yes; fi'

    def process(self, output: list[str]) -> bool:
        return "yes" in output


@operation()
def private_directory(path: str) -> Generator[str]:
    """The directory for pyinfra's scripts and uploads: DSM lets nothing run from /tmp."""
    if not host.get_fact(Private, path=path, _sudo=False):
        yield f"umask 077 && mkdir -p {quote(path)} && chmod 700 {quote(path)}"


@operation()
def sudo_granted(user: str) -> Generator[StringCommand]:
    """sudo asks this account for no password. The file appears atomically, with its mode."""
    if not host.get_fact(Visitor, _sudo=False)["sudo"]:
        yield StringCommand(
            f"umask 337 && printf %s {quote(rule(user))} >{place(user)}.new && mv {place(user)}.new {place(user)}"
        )


@operation()
def sudo_revoked(user: str) -> Generator[str]:
    """sudo asks this account for its password again."""
    if host.get_fact(Visitor, _sudo=False)["sudo"]:
        yield f"rm -f {quote(place(user))}"


@deploy("Bootstrap")
def leave() -> None:
    """Removes what nobody needs between deploys: a way to root without a password. Key and directory stay."""
    sudo_revoked(name="sudo with a password", user=host.get_fact(Visitor, _sudo=False)["name"], _sudo=True)


@deploy("Bootstrap")
def visit(temp_dir: str | None, ssh_key: str | None) -> None:
    """Raises DeployError, one sentence, if this account cannot be set up."""
    found = host.get_fact(Visitor, _sudo=False)
    if not found["home"]:
        raise DeployError(f"{host.name}: {HOME_SERVICE}")
    if not temp_dir:
        raise DeployError(f"{host.name}: set _temp_dir in the inventory, for example to {found['home']}/.mosis.")
    key_accepted(name="Key of the operator", key=public_key(ssh_key), _sudo=False)
    private_directory(name="Directory for uploads", path=temp_dir, _sudo=False)
    sudo_granted(name="sudo without a password", user=found["name"], _sudo=True)
