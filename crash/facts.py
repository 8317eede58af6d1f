"""What the store has acknowledged of one app, and what the request without an answer may have changed.

A fact is a name with a value, None where there is nothing:
`version 7` -> Placed, `current` -> version code, `icon-32.png` -> SHA-256; `changed icon-32.png` -> SHA-256 of an image
that waits for a review, or DELETED; `rejected` -> why a reviewer rejected those.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

CHANGED, REJECTED = "changed ", "rejected"
DELETED = ""


class Placed(NamedTuple):
    """A version as the store shows it."""

    status: str
    sha256: str


Value = Placed | str | int | None
Facts = dict[str, Value]


@dataclass
class Upload:
    """A signed upload: `acknowledged` bytes are the store's, `completing` says that its completion had no answer."""

    upload_id: str
    url: str
    code: int
    data: bytes
    tus: bool
    acknowledged: int = 0
    completing: bool = False

    @property
    def whole(self) -> bool:
        return self.acknowledged == len(self.data)


@dataclass
class App:
    """One client's app: it sends one request at a time, so at most one is without an answer."""

    app_id: str
    facts: Facts = field(default_factory=dict)
    maybe: Facts = field(default_factory=dict)
    uploads: dict[str, Upload] = field(default_factory=dict)
    due: set[str] = field(default_factory=set)  # versions that cleanup may delete
    again: tuple[int, bytes, str] | None = None  # a form without an answer: code, package, Idempotency-Key
    changed: set[str] = field(default_factory=set)  # since the last check
    acknowledged: Counter[str] = field(default_factory=Counter)
    last_code: int = 0

    @contextmanager
    def changing(self, kind: str, changes: Mapping[str, Value]) -> Iterator[None]:
        """The block sends a request and raises unless it is acknowledged."""
        self.maybe = dict(changes)
        self.changed |= changes.keys()
        yield
        self.facts |= self.maybe
        self.maybe = {}
        self.acknowledged[kind] += 1

    def codes(self, status: str) -> list[int]:
        """Version codes with this status, ascending."""
        placed = ((name, value) for name, value in self.facts.items() if isinstance(value, Placed))
        return sorted(int(name.partition(" ")[2]) for name, value in placed if value.status == status)

    def placed(self, code: int) -> Placed:
        value = self.facts[f"version {code}"]
        assert isinstance(value, Placed)
        return value

    @property
    def was_public(self) -> bool:
        return bool(self.codes("published") or self.codes("yanked"))

    @property
    def waiting(self) -> dict[str, str]:
        """The images that wait for a review, by name."""
        found = {name.removeprefix(CHANGED): value for name, value in self.facts.items() if name.startswith(CHANGED)}
        return {name: value for name, value in found.items() if isinstance(value, str)}

    @property
    def images(self) -> dict[str, str]:
        """The images as their owner has changed them, by name."""
        public = {name: value for name, value in self.facts.items() if name.endswith(".png") and " " not in name}
        every = public | self.waiting
        return {name: value for name, value in sorted(every.items()) if isinstance(value, str) and value != DELETED}

    def with_images(self, put: Mapping[str, str | None]) -> Facts:
        """What changes when the owner puts images, or deletes those that are None."""
        if not self.was_public:
            return dict(put)
        changes: Facts = {REJECTED: None}
        for name, value in put.items():
            changes[CHANGED + name] = None if value == self.facts.get(name) else value or DELETED
        return changes

    def without_waiting(self, *, published: bool) -> Facts:
        """What changes when the images that wait are published, or discarded."""
        changes: Facts = {CHANGED + name: None for name in self.waiting}
        public: Facts = {name: value or None for name, value in self.waiting.items()} if published else {}
        return changes | public | {REJECTED: None}

    def settle(self, seen: Facts, *, cleaned: bool) -> Iterator[tuple[str, str]]:
        """Compare with what is there now and adopt it; yields kind and detail of each fault.

        `cleaned`: a cleanup succeeded since the last time.
        """
        names = self.facts.keys() | self.maybe.keys() | seen.keys()
        moved = set()
        for name in sorted(names):
            old, found = self.facts.get(name), seen.get(name)
            new = self.maybe.get(name, old)
            expired = name in self.due and found is None
            if found not in (old, new) and not expired:
                kind = "lost" if found is None else "neither old nor new"
                yield kind, f"{self.app_id} {name}: {found}, acknowledged {old}, unanswered {new}"
            elif old != new:
                moved.add(found == new)
            if name in self.due and cleaned and found is not None:
                yield "left behind", f"{self.app_id} {name}: due, and there after a cleanup"
        if len(moved) > 1:
            yield "half done", f"{self.app_id}: of {self.maybe} only a part is there"
        self.due = {name for name in self.due if seen.get(name) is not None}
        self.facts = {name: value for name, value in seen.items() if value is not None}
        self.maybe = {}
