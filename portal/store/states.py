"""The statuses of a version: `uploading → draft → in_review → published | rejected`, `failed`, `yanked`."""

from dataclasses import dataclass
from typing import Literal, get_args

Status = Literal["uploading", "draft", "in_review", "published", "rejected", "failed", "yanked"]
Action = Literal["submit", "withdraw", "publish", "reject", "yank", "unyank"]
STATUSES: tuple[Status, ...] = get_args(Status)


@dataclass(frozen=True)
class Transition:
    """The change of status by an action, and who may take it."""

    source: Status
    target: Status
    by: frozenset[Literal["owner", "reviewer"]]
    needs_reason: bool = False
    within_days: int | None = None  # since the status changed last


TRANSITIONS: dict[Action, Transition] = {
    "submit": Transition("draft", "in_review", frozenset({"owner"})),
    "withdraw": Transition("in_review", "draft", frozenset({"owner"})),
    "publish": Transition("in_review", "published", frozenset({"reviewer"})),
    "reject": Transition("in_review", "rejected", frozenset({"reviewer"}), needs_reason=True),
    "yank": Transition("published", "yanked", frozenset({"owner", "reviewer"}), needs_reason=True),
    "unyank": Transition("yanked", "published", frozenset({"owner", "reviewer"}), within_days=7),
}

SPOKEN: dict[Status, str] = {
    "uploading": "being uploaded",
    "draft": "a draft",
    "in_review": "in review",
    "published": "published",
    "rejected": "rejected",
    "failed": "failed",
    "yanked": "yanked",
}
DONE: dict[Action, str] = {
    "submit": "submitted",
    "withdraw": "withdrawn from review",
    "publish": "published",
    "reject": "rejected",
    "yank": "yanked",
    "unyank": "published again",
}
"""What a version is in a status, and after an action, in a sentence."""
