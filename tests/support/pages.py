"""What the tests run out of README.md and docs/."""

import re
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


def block(page: str, marker: str, language: str = "sh") -> str:
    """The code block of a page after the comment `marker`."""
    found = re.search(rf"<!-- {marker} -->\n```{language}\n(.*?)```", (REPOSITORY / page).read_text(), re.DOTALL)
    assert found, f"{page} has no block {marker}"
    return found[1]


def steps(page: str, marker: str) -> str:
    """The list of a page after the comment `marker`."""
    found = re.search(rf"<!-- {marker} -->\n(.*?)\n\n", (REPOSITORY / page).read_text(), re.DOTALL)
    assert found, f"{page} has no list {marker}"
    return found[1]


def section(page: str, heading: str) -> str:
    """The text below a heading of the second level."""
    return (REPOSITORY / page).read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
