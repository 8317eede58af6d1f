"""The keys of the signed catalogue, made once; the root key is for the operator to move away."""

from collections.abc import Generator
from shlex import quote

from pyinfra import host, logger
from pyinfra.api import FactBase, operation

from deploys.host.deploy import deploy
from deploys.plan.model import Plan

INIT = "catalogue init --on-this-host"


class KeysToMake(FactBase[bool]):
    """Whether the host has no keys of a catalogue, and its database knows of none that it has had."""

    def command(self, mosis: str, directory: str) -> str:
        asked = f"{quote(mosis)} {INIT} --dry-run >/dev/null 2>&1"  # 1: refused; others: there is no such command yet
        return f"[ -e {quote(directory)}/1.root.json ] || {{ {asked}; [ $? = 1 ] || echo yes; }}"

    def process(self, output: list[str]) -> bool:
        return bool(output)


@operation()
def keys_made(mosis: str, directory: str) -> Generator[str]:
    """A store key, a root key beside it, and the first catalogue. Lost keys are for the operator to replace."""
    if host.get_fact(KeysToMake, mosis=mosis, directory=directory):
        yield f"{quote(mosis)} {INIT}"
        yield f"{quote(mosis)} catalogue"


@deploy("Catalogue")
def keys(plan: Plan) -> None:
    """Needs the portal to run as declared: before that, the database may be too old for the command."""
    directory = str(plan.settings.catalogue_key_directory)
    if host.get_fact(KeysToMake, mosis=plan.mosis, directory=directory):
        logger.info("    move %s/root.pem to two places off this host: only it can replace the other keys", directory)
    keys_made(name="Keys of the catalogue", mosis=plan.mosis, directory=directory)
