"""Secrets on the host: compared by digest, written through standard input, so that nothing prints or lists them."""

from collections.abc import Generator, Iterable
from hashlib import sha256
from shlex import quote

from pyinfra import host
from pyinfra.api import FactBase, StringCommand, operation

from deploys.host.deploy import deploy
from deploys.plan.model import Secret

MODE = "600"


class SecretFile(FactBase[tuple[str, ...]]):
    """(mode, owner, SHA-256) of a file, empty when there is none."""

    default = tuple

    def command(self, path: str) -> str:
        return f"if [ -f {quote(path)} ]; then stat -c '%a %U:%G' {quote(path)}; sha256sum <{quote(path)}; fi"

    def process(self, output: list[str]) -> tuple[str, ...]:
        mode, owner = output[0].split()
        return mode, owner, output[1].split()[0]


@operation()
def secret(wanted: Secret, owner: str) -> Generator[StringCommand]:
    """The file has exactly this content, mode 600 from its first moment, and appears in one rename."""
    mode, holder, digest = host.get_fact(SecretFile, path=wanted.path) or ("", "", "")
    if (mode, digest) == (MODE, sha256(wanted.content.encode()).hexdigest()) and f"{holder}:".startswith(owner):
        return
    fresh, path = quote(f"{wanted.path}.new"), quote(wanted.path)
    chown = f"chown {quote(owner)} {fresh} && " if owner else ""
    yield StringCommand(f"umask 077 && cat >{fresh} && {chown}mv {fresh} {path}", _stdin=wanted.content)


@deploy("Secrets")
def install(wanted: Iterable[Secret], owner: str) -> None:
    for entry in host.loop(list(wanted)):
        secret(name=f"Secret {entry.path}", wanted=entry, owner=owner)
