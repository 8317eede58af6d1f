"""The life of a version: `uploading → draft → in_review → published | rejected`, `failed`, `yanked`."""

from dataclasses import dataclass
from typing import Literal

Status = Literal["uploading", "draft", "in_review", "published", "rejected", "failed", "yanked"]
Action = Literal["submit", "publish", "reject", "yank"]
STATUSES: tuple[Status, ...] = Status.__args__


@dataclass(frozen=True)
class Transition:
    """From where an action leads where, and who may take it."""

    source: Status
    target: Status
    by: frozenset[Literal["owner", "reviewer"]]


TRANSITIONS: dict[Action, Transition] = {
    "submit": Transition("draft", "in_review", frozenset({"owner"})),
    "publish": Transition("in_review", "published", frozenset({"reviewer"})),
    "reject": Transition("in_review", "rejected", frozenset({"reviewer"})),
    "yank": Transition("published", "yanked", frozenset({"owner", "reviewer"})),
}
