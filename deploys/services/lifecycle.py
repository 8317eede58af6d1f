"""Rules of the buckets: compared with ours, and only written when ours differ. Rules of others are kept."""

import json
from collections.abc import Generator
from shlex import quote

from pyinfra import host, logger
from pyinfra.api import FactBase, operation

from deploys.host.deploy import deploy
from deploys.plan.model import Plan
from portal.mirror.declared import Found, pending, warnings
from portal.settings import Settings


class BucketRules(FactBase[Found | None]):
    """The rules of the buckets as `mosis lifecycle show` prints them, None when they are unavailable."""

    def command(self, mosis: str) -> str:
        return f"{quote(mosis)} lifecycle show 2>/dev/null || true"

    def process(self, output: list[str]) -> Found | None:
        try:
            rules = json.loads("\n".join(output))
        except ValueError:
            return None
        return rules if isinstance(rules, dict) else None  # an older release prints a list


@operation()
def rules_set(mosis: str, settings: Settings) -> Generator[str]:
    """The buckets have our rules."""
    rules = host.get_fact(BucketRules, mosis=mosis)
    if rules is None or any(pending(settings, rules).values()):
        yield f"{quote(mosis)} lifecycle apply"


@deploy("Bucket lifecycle")
def bucket(plan: Plan) -> None:
    """Our rules; the plan, and so a dry run, names every rule that changes and every one that is kept."""
    if plan.bucket is None:
        return
    rules = host.get_fact(BucketRules, mosis=plan.mosis)
    if rules is not None:
        for label, todo in pending(plan.settings, rules).items():
            for line in todo.lines() if todo else ():
                logger.info("    bucket %s: %s", label, line)
        for warning in warnings(plan.settings, rules):
            logger.info("    bucket %s", warning)
    rules_set(name="Bucket has the declared lifecycle rules", mosis=plan.mosis, settings=plan.settings)
