"""What CONTRIBUTING says an addition costs is counted from the tree: the files that name an example of each kind."""

import re
from pathlib import Path
from typing import NamedTuple

import pytest

REPOSITORY = Path(__file__).parents[1]
PLACES = ("portal", "deploys", "templates", "files", "inventory")
MOST = {
    "a setting": 2,
    "a route": 3,
    "a metric with an alert": 3,
    "a job": 5,
    "a provider of S3": 1,
}


class Cost(NamedTuple):
    addition: str
    number: int
    words: list[str]
    files: list[str]


def costs() -> list[Cost]:
    text = (REPOSITORY / "CONTRIBUTING.md").read_text().partition("<!-- costs -->")[2].partition("\n\n")[0]
    _, _, *rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.strip().splitlines()]
    return [
        Cost(addition, int(number), re.findall("`([^`]+)`", words), re.findall("`([^`]+)`", files))
        for addition, number, words, files in rows
    ]


def naming(words: list[str]) -> list[str]:
    """The files that have one of these words, be it a part of a name between underscores or hyphens or not."""
    pattern = re.compile(rf"(?<![A-Za-z0-9])(?:{'|'.join(words)})(?![A-Za-z0-9])")
    return sorted(
        str(path.relative_to(REPOSITORY))
        for place in PLACES
        for path in (REPOSITORY / place).rglob("*")
        if path.is_file() and path.suffix != ".pyc" and pattern.search(path.read_text())
    )


@pytest.mark.parametrize("cost", costs(), ids=lambda cost: cost.addition)
def test_the_files_of_an_addition_are_the_only_ones_that_name_it(cost: Cost) -> None:
    assert naming(cost.words) == cost.files
    assert cost.number == len(cost.files) <= MOST[cost.addition]


def test_every_kind_of_addition_has_an_example() -> None:
    assert [cost.addition for cost in costs()] == list(MOST)
