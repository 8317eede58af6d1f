"""The account and the shared folder of a store on a Synology NAS, by DSM's own commands."""

from collections.abc import Generator
from dataclasses import dataclass
from shlex import quote

from pyinfra import host
from pyinfra.api import FactBase, operation

from deploys.host.deploy import deploy
from deploys.plan.model import Plan, Stack
from deploys.plan.paths import ENVIRONMENT
from deploys.remote.check import shared_folder, writes


class Account(FactBase[bool]):
    """Whether DSM knows the user."""

    default = bool

    def command(self, user: str) -> str:
        return f"{ENVIRONMENT}if synouser --get {quote(user)} >/dev/null 2>&1; then echo yes; fi"

    def process(self, output: list[str]) -> bool:
        return "yes" in output


@dataclass(frozen=True)
class SharedFolder:
    """A share as `synoshare --get` shows it."""

    path: str
    writers: tuple[str, ...]


class Share(FactBase[SharedFolder | None]):
    """The share, None if it does not exist."""

    def command(self, share: str) -> str:
        return f"{ENVIRONMENT}synoshare --get {quote(share)} 2>/dev/null || true"

    def process(self, output: list[str]) -> SharedFolder | None:
        found = shared_folder(output)
        return SharedFolder(found["path"], tuple(found["writers"])) if found else None


class Writable(FactBase[bool]):
    """Whether the ACL of a directory lets a user read and write; a chmod deletes the ACL."""

    default = bool

    def command(self, path: str, user: str) -> str:
        return f"{ENVIRONMENT}synoacltool -get-perm {quote(path)} {quote(user)} 2>/dev/null || true"

    def process(self, output: list[str]) -> bool:
        return writes(output)


@operation()
def account_present(user: str) -> Generator[str]:
    """DSM has the user, as an expired account with a random password: containers run as it, nobody logs in."""
    if not host.get_fact(Account, user=user):
        password = "$(head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \\n')"
        yield f"{ENVIRONMENT}synouser --add {quote(user)} \"{password}\" 'Mosis store' 1 '' 0"


@operation()
def share_present(share: str, path: str, user: str) -> Generator[str]:
    """The share exists and its ACL lets the user write; modes are left alone."""
    found = host.get_fact(Share, share=share)
    if found is None:
        yield f"{ENVIRONMENT}synoshare --add {quote(share)} 'Mosis store' {quote(path)} '' {quote(user)} '' 1 0"
    elif user not in found.writers or not host.get_fact(Writable, path=path, user=user):
        yield f"{ENVIRONMENT}synoshare --setuser {quote(share)} RW + {quote(user)}"


@deploy("Synology")
def prepared(share: str, plan: Plan, stack: Stack) -> None:
    """The account and the shared folder."""
    account_present(name="DSM user mosis", user=stack.user)
    share_present(name="Shared folder", share=share, path=str(plan.data.root), user=stack.user)
