"""Lifecycle rules of the bucket: asked for, compared, and only set when they differ."""

import json
from collections.abc import Generator
from shlex import quote

from pyinfra import host
from pyinfra.api import FactBase, operation

from deploys.host import files
from deploys.host.deploy import deploy
from deploys.plan.model import File, Plan
from portal.mirror.lifecycle import canonical


class BucketRules(FactBase[list | None]):
    """The bucket's rules as `mosis lifecycle show` prints them, None when they cannot be asked for."""

    def command(self, mosis: str) -> str:
        return f"{quote(mosis)} lifecycle show 2>/dev/null || true"

    def process(self, output: list[str]) -> list | None:
        try:
            return json.loads("\n".join(output))
        except ValueError:
            return None


@operation()
def rules_set(mosis: str, wanted: File) -> Generator[str]:
    """The bucket has exactly the rules of the file."""
    rules = host.get_fact(BucketRules, mosis=mosis)
    if rules is None or canonical(rules) != canonical(json.loads(wanted.content)["Rules"]):
        yield f"{quote(mosis)} lifecycle apply {quote(wanted.path)}"


@deploy("Bucket lifecycle")
def bucket(plan: Plan) -> None:
    if plan.lifecycle:
        files.written([plan.lifecycle])
        rules_set(name="Bucket has the declared lifecycle rules", mosis=plan.mosis, wanted=plan.lifecycle)
