"""The rules that the buckets of a store have to have; `mosis lifecycle` and the deploy bring them about."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from portal.mirror import cors, lifecycle
from portal.mirror.client import Bucket
from portal.mirror.cors import CORS
from portal.mirror.lifecycle import LIFECYCLE, PRIVATE_DAYS, PUBLIC_DAYS
from portal.mirror.merging import Changes, Kind, Rule
from portal.mirror.providers import engine_of, provider_of
from portal.settings import S3, Settings

Found = Mapping[str, Sequence[Rule]]
"""The rules that buckets have, by `Declared.label`."""


@dataclass(frozen=True)
class Declared:
    """Our rules of one kind in one bucket."""

    engine: S3
    kind: Kind
    own: Sequence[Rule]

    @property
    def label(self) -> str:
        return f"{self.engine.bucket} {self.kind.name}"


def declared(settings: Settings) -> list[Declared]:
    """All of them. Raises SettingsError."""
    engine = engine_of(settings)
    provider, private = provider_of(engine), engine.private
    rules = [Declared(engine, LIFECYCLE, lifecycle.wanted(provider, PUBLIC_DAYS))]
    if private:
        rules.append(Declared(private, LIFECYCLE, lifecycle.wanted(provider, PRIVATE_DAYS)))
        rules.append(Declared(private, CORS, cors.wanted(settings.public_url)))
    return rules


def found(settings: Settings) -> dict[str, list[Rule]]:
    """What the buckets have. Raises MirrorError, SettingsError."""
    return {one.label: one.kind.current(Bucket(one.engine)) for one in declared(settings)}


def pending(settings: Settings, there: Found) -> dict[str, Changes]:
    """What `apply` changes, by label. Raises SettingsError."""
    return {one.label: one.kind.changes(there.get(one.label, ()), one.own) for one in declared(settings)}


def apply(settings: Settings, there: Found) -> None:
    """Write the rules that are not as declared. Raises MirrorError, SettingsError."""
    todo = pending(settings, there)
    for one in declared(settings):
        if todo[one.label]:
            one.kind.apply(Bucket(one.engine), one.own)


def lines(settings: Settings, there: Found) -> list[str]:
    """A line per rule: what happens to it."""
    return [f"{label}: {line}" for label, todo in pending(settings, there).items() for line in todo.lines()]


def warnings(settings: Settings, there: Found) -> list[str]:
    """A sentence per rule of others that expires published files."""
    label = declared(settings)[0].label
    return [f"{label}: {sentence}" for sentence in lifecycle.warnings(there.get(label, ()))]
