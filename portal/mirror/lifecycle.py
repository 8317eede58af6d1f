"""Lifecycle rules of the bucket: the backstop of the portal's own retention, which stays authoritative.

S3 replaces all rules of a bucket at once, so applying merges: rules whose ID begins with `mosis-` are ours, every other
one belongs to somebody else and is written back as the engine returned it. Object tags are not used, because Cloudflare
R2 has none: drafts live below a prefix of their own. No rule of ours reaches beyond the prefixes in `DAYS`.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from portal.mirror.client import Bucket, MirrorError
from portal.mirror.providers import Provider, provider_of
from portal.settings import S3
from portal.store import retention

Rule = dict[str, Any]
"""A rule as in S3's `PutBucketLifecycleConfiguration`, by boto3's names."""

OURS = "mosis-"
DRAFT_DAYS = next(rule.seconds for rule in retention.RULES if rule.status == "draft") // retention.DAY
DAYS = {"temp": 1, "drafts": DRAFT_DAYS}
"""Prefix without its slash to the age at which its objects expire, days."""
PUBLISHED = ("packages/", "assets/", "catalogue/")

DEFAULTS: tuple[object, ...] = (None, "", False, [], {})  # what engines add to an answer where the request said nothing


@dataclass(frozen=True)
class Changes:
    """IDs of the rules that applying adds, changes, removes and leaves; `foreign` are others' rules, always kept.

    True where there is something to do. `dangerous` are those foreign rules that expire published files.
    """

    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    unchanged: tuple[str, ...]
    foreign: tuple[str, ...]
    dangerous: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)

    def lines(self) -> list[str]:
        """A line per rule: what happens to it, and its ID."""
        verbs = {
            "add": self.added,
            "change": self.changed,
            "remove": self.removed,
            "keep": (*self.unchanged, *(f"{name} (not ours)" for name in self.foreign)),
        }
        return [f"{verb} {name}" for verb, names in verbs.items() for name in sorted(names)]

    def warnings(self) -> list[str]:
        """A sentence per foreign rule that expires published files."""
        sentence = "Rule {!r}, which is not ours, expires published files; delete it or narrow its prefix."
        return [sentence.format(name) for name in self.dangerous]


def current(bucket: Bucket) -> list[Rule]:
    """The rules of the bucket, none where it has no configuration. Raises MirrorError."""
    try:
        return list(bucket.call("get_bucket_lifecycle_configuration")["Rules"])
    except MirrorError as error:
        if error.code == "NoSuchLifecycleConfiguration":
            return []
        raise


def wanted(provider: Provider) -> list[Rule]:
    """Our rules in the provider's dialect."""
    return [_rule(provider, name, days) for name, days in DAYS.items()]


def changes(found: Iterable[Rule], own: Iterable[Rule]) -> Changes:
    """What makes `own` our rules in a bucket with the rules `found`."""
    rules = list(found)
    before = {rule["ID"]: canonical([rule]) for rule in rules if is_ours(rule)}
    after = {rule["ID"]: canonical([rule]) for rule in own}
    return Changes(
        added=tuple(name for name in after if name not in before),
        changed=tuple(name for name in after if name in before and after[name] != before[name]),
        removed=tuple(name for name in before if name not in after),
        unchanged=tuple(name for name in after if after[name] == before.get(name)),
        foreign=tuple(_name(rule) for rule in rules if not is_ours(rule)),
        dangerous=tuple(_name(rule) for rule in rules if not is_ours(rule) and expires_published(rule)),
    )


def pending(engine: S3, found: Iterable[Rule]) -> Changes:
    """What `apply` does to the bucket of `engine` while it has the rules `found`. Raises SettingsError."""
    return changes(found, wanted(provider_of(engine)))


def merged(found: Iterable[Rule], own: Iterable[Rule]) -> list[Rule]:
    """All rules of a bucket: the foreign ones of `found`, then `own`."""
    return [*(rule for rule in found if not is_ours(rule)), *own]


def apply(engine: S3, *, dry_run: bool = False) -> Changes:
    """Bring our rules up to date, read all rules back, and return what changed; with `dry_run` only return it.

    Raises MirrorError where the engine does not keep exactly these rules.
    """
    bucket = Bucket(engine)
    found, own = current(bucket), wanted(bucket.provider)
    todo = changes(found, own)
    if todo and not dry_run:
        target = merged(found, own)
        bucket.call("put_bucket_lifecycle_configuration", LifecycleConfiguration={"Rules": target})
        if canonical(current(bucket)) != canonical(target):
            raise bucket.failed("it accepted the lifecycle rules but keeps others; see `mosis lifecycle show`")
    return todo


def is_ours(rule: Rule) -> bool:
    return str(rule.get("ID", "")).startswith(OURS)


def expires_published(rule: Rule) -> bool:
    """Whether the rule may expire files that devices read."""
    expires = rule.get("Expiration", {}).keys() & {"Days", "Date"}
    conditions = _canonical_rule(rule)["Filter"]
    reached = any(
        area.startswith(conditions["Prefix"]) or conditions["Prefix"].startswith(area) for area in PUBLISHED
    )  # fmt: skip
    return bool(expires) and reached and rule.get("Status") == "Enabled"


def canonical(rules: Iterable[Rule]) -> list[str]:
    """A form in which equal configurations are equal, whatever their order, older spelling or added defaults."""
    return sorted(json.dumps(_canonical_rule(rule), sort_keys=True, default=str) for rule in rules)


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


def _name(rule: Rule) -> str:
    """Its ID; an engine may keep a rule without one."""
    return str(rule.get("ID") or f"without ID, {json.dumps(rule, sort_keys=True, default=str)}")


def _canonical_rule(rule: Rule) -> Rule:
    plain = _without_defaults(rule)
    prefix = plain.pop("Prefix", "")  # the spelling before Filter, which some engines still answer in
    conditions = plain.pop("Filter", {})
    conditions.update(conditions.pop("And", {}))
    return {**plain, "Filter": {"Prefix": prefix} | conditions}


def _without_defaults(value: Any) -> Any:
    if isinstance(value, Mapping):
        inner = {key: _without_defaults(entry) for key, entry in value.items()}
        return {key: entry for key, entry in inner.items() if entry not in DEFAULTS}
    return value
