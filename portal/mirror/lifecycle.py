"""Lifecycle rules: the backstop of the portal's own retention, which stays authoritative.

Object tags are not used, because Cloudflare R2 has none: what expires lives below a prefix of its own. No rule of ours
reaches beyond the prefixes here.
"""

from collections.abc import Iterable, Mapping

from portal.mirror.merging import OURS, Kind, Rule, without_defaults
from portal.mirror.providers import Provider
from portal.store import retention

DRAFT_DAYS = next(rule.seconds for rule in retention.RULES if rule.status == "draft") // retention.DAY
PUBLIC_DAYS = {"temp": 1}
PRIVATE_DAYS = {"temp": 1, "drafts": DRAFT_DAYS}
"""Prefix without its slash to the age at which its objects expire, days, in the bucket that devices read and in the
private one. No draft is copied there: the rule is for what a later release or a person may put there."""
PUBLISHED = ("packages/", "assets/", "catalogue/")


def wanted(provider: Provider, days: Mapping[str, int]) -> list[Rule]:
    """Our rules in the provider's dialect."""
    return [_rule(provider, name, age) for name, age in days.items()]


def expires_published(rule: Rule) -> bool:
    """Whether the rule may expire files that devices read."""
    expires = rule.get("Expiration", {}).keys() & {"Days", "Date"}
    conditions = _plain(without_defaults(rule))["Filter"]
    reached = any(
        area.startswith(conditions["Prefix"]) or conditions["Prefix"].startswith(area) for area in PUBLISHED
    )  # fmt: skip
    return bool(expires) and reached and rule.get("Status") == "Enabled"


def warnings(found: Iterable[Rule]) -> list[str]:
    """A sentence per rule of others that expires published files."""
    sentence = "Rule {!r}, which is not ours, expires published files; delete it or narrow its prefix."
    dangerous = [str(rule.get("ID", "")) for rule in found if expires_published(rule)]
    return [sentence.format(name) for name in dangerous if not name.startswith(OURS)]


def _rule(provider: Provider, name: str, days: int) -> Rule:
    rule: Rule = {
        "ID": f"{OURS}{name}",
        "Status": "Enabled",
        "Filter": {"Prefix": f"{name}/"},
        "Expiration": {"Days": days},
    }
    if name == "temp":
        rule["AbortIncompleteMultipartUpload"] = {"DaysAfterInitiation": days}
    if provider.expiration_hides:
        rule["NoncurrentVersionExpiration"] = {"NoncurrentDays": 1}
    return rule


def _plain(rule: Rule) -> Rule:
    others = {name: value for name, value in rule.items() if name not in ("Prefix", "Filter")}
    conditions = dict(rule.get("Filter", {}))
    conditions |= conditions.pop("And", {})
    prefix = rule.get("Prefix", "")  # the spelling before Filter, which some engines still answer in
    return {**others, "Filter": {"Prefix": prefix} | conditions}


LIFECYCLE = Kind(
    name="lifecycle",
    operation="bucket_lifecycle_configuration",
    parameter="LifecycleConfiguration",
    rules="Rules",
    delete="delete_bucket_lifecycle",
    absent="NoSuchLifecycleConfiguration",
    plain=_plain,
)
