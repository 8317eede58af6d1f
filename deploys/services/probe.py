"""What the bucket honours, tried from the host itself and printed in one table.

It is tried again when settings or access key change, when a release tries something new, and in every deploy until the
bucket has what the mirror needs. It fails no deploy: the store works without a mirror.
"""

from collections.abc import Generator
from pathlib import PurePosixPath
from shlex import quote

from pyinfra import host, logger
from pyinfra.api import FactBase, FunctionCommand, operation

from deploys.host.deploy import deploy
from deploys.host.processes import Succeeds
from deploys.plan.model import Plan
from deploys.plan.render import digest
from portal.mirror import private_probe
from portal.mirror.probe import CHECKS
from portal.settings import S3


class Lines(FactBase[list[str]]):
    """The lines of a file."""

    default = list

    def command(self, path: str) -> str:
        return f"cat {quote(path)} 2>/dev/null; true"

    def process(self, output: list[str]) -> list[str]:
        return output


@operation()
def honoured(mosis: str, report: str, seal: str) -> Generator[str | FunctionCommand]:
    """The file `report` has the table of what the bucket honours, and ends with `seal` if nothing needed is lacking."""
    if host.get_fact(Succeeds, command=f"grep -qFx {quote(seal)} {quote(report)}"):
        return
    tried = f"{{ {quote(mosis)} mirror --probe && echo {quote(seal)}; }}"
    yield f"umask 022; {tried} >{quote(report)}.new 2>&1; mv {quote(report)}.new {quote(report)}"
    yield FunctionCommand(_show, (report, seal), {})


def _show(report: str, seal: str) -> None:
    lines = host.get_fact(Lines, path=report)
    for line in lines:
        if line != seal:
            say = logger.info if line.startswith("ok ") else logger.warning
            say("    %s bucket: %s", host.name, line)
    if seal not in lines:
        text = "the mirror does not work until this is mended; the next deploy tries again"
        logger.warning("    %s bucket: %s", host.name, text)


def seal_of(engine: S3, credentials: str) -> str:
    """Stands for what was tried: settings, access key, checks. The secret cannot be read from it."""
    names = [check.name for check in (*CHECKS, *(private_probe.CHECKS if engine.private else ()))]
    return f"tried {digest(engine.model_dump_json(), credentials, *names)}"


@deploy("Bucket")
def bucket(plan: Plan) -> None:
    """The table of what the bucket honours; the last one is beside the settings."""
    if plan.bucket is None:
        return
    secrets = {secret.path: secret.content for secret in plan.secrets}
    keys = [secrets.get(str(engine.credentials), "") for engine in (plan.bucket, plan.bucket.signing)]
    seal = seal_of(plan.bucket, "".join(keys))
    report = str(PurePosixPath(plan.config).with_name("bucket.txt"))
    honoured(name="What the bucket honours", mosis=plan.mosis, report=report, seal=seal)
