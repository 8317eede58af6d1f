"""Rules of a bucket that S3 replaces all at once: ours are brought up to date, those of others are written back.

A rule is ours if its ID begins with `mosis-`, or if it has none, because the engine keeps none, and says what one of
ours says. Every other one belongs to somebody else and stays as the engine returned it.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from portal.mirror.client import Bucket, MirrorError

Rule = dict[str, Any]
"""A rule by boto3's names."""

OURS = "mosis-"
DEFAULTS: tuple[object, ...] = (None, "", False, [], {})  # what engines add to an answer where the request said nothing


@dataclass(frozen=True)
class Kind:
    """A kind of rules, and by boto3's names what reads, writes and deletes them; `absent` is the code of none.

    `plain` brings equal rules to one form, whatever their spelling.
    """

    name: str
    operation: str
    parameter: str
    rules: str
    delete: str
    absent: str
    plain: Callable[[Rule], Rule]

    def canonical(self, rules: Iterable[Rule]) -> list[str]:
        """A form in which equal configurations are equal, whatever their order, older spelling or added defaults."""
        return sorted(self._text(rule) for rule in rules)

    def is_ours(self, rule: Rule, own: Iterable[Rule]) -> bool:
        return self._id(rule, own).startswith(OURS)

    def current(self, bucket: Bucket) -> list[Rule]:
        """The rules of the bucket, none where it has no configuration. Raises MirrorError."""
        try:
            return list(bucket.call(f"get_{self.operation}")[self.rules])
        except MirrorError as error:
            if error.code == self.absent:
                return []
            raise

    def changes(self, found: Iterable[Rule], own: Iterable[Rule]) -> "Changes":
        """What makes `own` our rules in a bucket with the rules `found`."""
        rules, own = list(found), list(own)
        before = {self._id(rule, own): self._text(rule) for rule in rules if self.is_ours(rule, own)}
        after = {rule["ID"]: self._text(rule) for rule in own}
        return Changes(
            added=tuple(name for name in after if name not in before),
            changed=tuple(name for name in after if name in before and after[name] != before[name]),
            removed=tuple(name for name in before if name not in after),
            unchanged=tuple(name for name in after if after[name] == before.get(name)),
            foreign=tuple(_name(rule) for rule in rules if not self.is_ours(rule, own)),
        )

    def merged(self, found: Iterable[Rule], own: Iterable[Rule]) -> list[Rule]:
        """All rules of a bucket: the foreign ones of `found`, then `own`."""
        own = list(own)
        return [*(rule for rule in found if not self.is_ours(rule, own)), *own]

    def apply(self, bucket: Bucket, own: Iterable[Rule]) -> None:
        """Make `own` our rules. Raises MirrorError where the engine does not keep exactly these and those of others."""
        target = self.merged(self.current(bucket), own)
        if target:
            bucket.call(f"put_{self.operation}", **{self.parameter: {self.rules: target}})
        else:
            bucket.call(self.delete)
        if self.canonical(self.current(bucket)) != self.canonical(target):
            raise bucket.failed(f"it accepted the {self.name} rules but keeps others; see `mosis lifecycle show`")

    def _id(self, rule: Rule, own: Iterable[Rule]) -> str:
        if rule.get("ID"):
            return str(rule["ID"])
        return next((one["ID"] for one in own if self._text(one) == self._text(rule)), "")

    def _text(self, rule: Rule) -> str:
        return json.dumps(self.plain(without_defaults(rule)), sort_keys=True, default=str)


@dataclass(frozen=True)
class Changes:
    """IDs of the rules that applying adds, changes, removes and leaves; `foreign` are others' rules, always kept.

    True where there is something to do.
    """

    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    unchanged: tuple[str, ...]
    foreign: tuple[str, ...]

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


def _name(rule: Rule) -> str:
    """Its ID; an engine may keep a rule without one."""
    return str(rule.get("ID") or f"without ID, {json.dumps(rule, sort_keys=True, default=str)}")


def without_defaults(value: Any) -> Any:
    """A rule without what engines add to it."""
    if isinstance(value, Mapping):
        inner = {key: without_defaults(entry) for key, entry in value.items()}
        return {key: entry for key, entry in inner.items() if entry not in DEFAULTS}
    return value
