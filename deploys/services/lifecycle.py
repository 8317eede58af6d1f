"""Lifecycle rules of the bucket: compared with ours, and only written when ours differ. Rules of others are kept."""

import json
from collections.abc import Generator
from shlex import quote

from pyinfra import host, logger
from pyinfra.api import FactBase, operation

from deploys.host.deploy import deploy
from deploys.plan.model import Plan
from portal.mirror.lifecycle import Rule, pending
from portal.settings import S3


class BucketRules(FactBase[list[Rule] | None]):
    """The bucket's rules as `mosis lifecycle show` prints them, None when they are unavailable."""

    def command(self, mosis: str) -> str:
        return f"{quote(mosis)} lifecycle show 2>/dev/null || true"

    def process(self, output: list[str]) -> list[Rule] | None:
        try:
            rules: list[Rule] = json.loads("\n".join(output))
        except ValueError:
            return None
        return rules


@operation()
def rules_set(mosis: str, engine: S3) -> Generator[str]:
    """The bucket has our rules."""
    rules = host.get_fact(BucketRules, mosis=mosis)
    if rules is None or pending(engine, rules):
        yield f"{quote(mosis)} lifecycle apply"


@deploy("Bucket lifecycle")
def bucket(plan: Plan) -> None:
    """Our rules; the plan, and so a dry run, names every rule that changes and every one that is kept."""
    if plan.bucket is None:
        return
    rules = host.get_fact(BucketRules, mosis=plan.mosis)
    if rules is not None:
        todo = pending(plan.bucket, rules)
        for line in (*(todo.lines() if todo else ()), *todo.warnings()):
            logger.info("    bucket %s: %s", plan.bucket.bucket, line)
    rules_set(name="Bucket has the declared lifecycle rules", mosis=plan.mosis, engine=plan.bucket)
