"""docs/asvs.md has every requirement of its chapters once, and what it calls met has evidence that exists."""

import re
from pathlib import Path
from typing import NamedTuple

import pytest

REPOSITORY = Path(__file__).parents[1]
PAGE = REPOSITORY / "docs/asvs.md"
EVIDENCE = re.compile(r"`((?:[\w-]+/)*[\w-]+\.\w+(?:\.j2)?)(?:::(\w+))?`")
LINK = re.compile(r"\]\(([\w-]+\.md)(?:#[\w-]+)?\)")
STATES = ("met", "refused", "n/a")

SECTIONS = {
    "1.1": "22", "1.2": "111112222", "1.3": "11222222222", "1.4": "222", "1.5": "12",
    "2.1": "122", "2.2": "112", "2.3": "1222", "2.4": "2",
    "3.2": "11", "3.3": "1222", "3.4": "112222", "3.5": "11122", "3.7": "22",
    "4.1": "122", "4.2": "2", "4.3": "22", "4.4": "1222",
    "5.1": "2", "5.2": "112", "5.3": "11", "5.4": "222",
    "6.1": "1-2", "6.3": "1122", "6.4": "1122", "6.8": "2222",
    "7.1": "222", "7.2": "1111", "7.3": "22", "7.4": "11222", "7.5": "22", "7.6": "22",
    "8.1": "12", "8.2": "112", "8.3": "1", "8.4": "2",
    "9.1": "111", "9.2": "1222",
    "11.1": "22", "11.2": "222", "11.3": "112", "11.4": "1222", "11.5": "2", "11.6": "2",
    "12.1": "122", "12.2": "11", "12.3": "2222",
    "13.1": "2", "13.2": "22222", "13.3": "22", "13.4": "12222",
    "14.1": "22", "14.2": "1222", "14.3": "122",
    "15.1": "122", "15.2": "122", "15.3": "1222222",
    "16.1": "2", "16.2": "22222", "16.3": "2222", "16.4": "222", "16.5": "222",
}  # fmt: skip
"""By section of ASVS 5.0.0, the levels of its requirements 1, 2, …; those of level 3 come last and are not here, nor is
that of words in passwords (-)."""
REQUIREMENTS = [
    (f"{section}.{number}", level)
    for section, levels in SECTIONS.items()
    for number, level in enumerate(levels, start=1)
    if level != "-"
]


class Row(NamedTuple):
    number: str
    level: str
    requirement: str
    state: str
    how: str


ROWS = [
    Row(*(cell.strip() for cell in line.strip("|").split("|")))
    for line in PAGE.read_text().splitlines()
    if re.match(r"\| \d", line)
]


def test_every_requirement_is_there_once() -> None:
    assert [(row.number, row.level) for row in ROWS if row.level in "12"] == REQUIREMENTS
    assert len({row.number for row in ROWS}) == len(ROWS)


def test_the_page_on_security_has_a_reason_for_what_is_refused() -> None:
    text = (REPOSITORY / "docs/security.md").read_text()
    section = text[text.index("## OWASP ASVS") :].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if "|" in line][2:]
    named = [number for requirement, *_ in rows for number in re.findall(r"\d+\.\d+\.\d+", requirement)]
    assert sorted(named) == sorted(row.number for row in ROWS if row.state == "refused" and row.level in "12")
    assert [requirement for requirement, *reasons in rows if min(len(reason.split()) for reason in reasons) < 6] == []


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.number)
def test_what_is_met_has_evidence_and_what_is_not_a_reason(row: Row) -> None:
    assert row.state in STATES
    found = EVIDENCE.findall(row.how)
    if row.state == "met":
        assert found or LINK.search(row.how), "name the test or the file"
    else:
        assert len(EVIDENCE.sub("", row.how).split()) >= 3, "say why"
    for path, test in found:
        assert (REPOSITORY / path).is_file(), path
        assert not test or re.search(rf"^def {test}\(", (REPOSITORY / path).read_text(), re.MULTILINE), test
