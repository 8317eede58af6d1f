"""What is wrong with the fields of a form, in sentences for the people who filled it in."""

from portal.store.errors import Refused

LABELS = {
    "action": "What to do",
    "app_id": "App ID",
    "code": "Versions",
    "days": "Expires after",
    "description": "Description",
    "homepage": "Home page",
    "name": "Name",
    "reason": "Reason",
    "statement": "Registration",
}
"""The fields of our forms by their name in the API, as the pages label them."""
PHRASES = (("String should ", "Must "), ("Input should ", "Must "), ("Field required", "Must be filled in"))
"""How the validator begins a sentence, and how a page does."""


def form_faults(refused: Refused | None) -> dict[str, str]:
    """The sentence at each field; none if the refusal is about something else than the fields of a form."""
    found = dict(error.partition(": ")[::2] for error in (refused and refused.errors) or ())
    if not found.keys() <= LABELS.keys():
        return {}
    return {name: _sentence(LABELS[name], reason) for name, reason in found.items()}


def _sentence(label: str, reason: str) -> str:
    for theirs, ours in PHRASES:
        if reason.startswith(theirs):
            reason = ours + reason.removeprefix(theirs)
    return f"{label}: {reason[0].lower()}{reason[1:]}" if reason.startswith("Must ") else reason
