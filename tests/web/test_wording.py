"""What the pages tell people to do can be done."""

import re
from pathlib import Path

import portal.web
from tests.test_docs import is_command

SOURCES = [path for path in Path(portal.web.__path__[0]).rglob("*") if path.suffix in (".py", ".html", ".js")]


def commands() -> list[list[str]]:
    """What stands after `mosis` where the pages and remedies name a command, word by word."""
    text = "".join(path.read_text() for path in SOURCES)
    text = re.sub(r'{{ \(?"(.*?)"?\)?\|command }}', lambda found: re.sub(r'" ~ [\w.]+(?: ~ ")?', "X", found[1]), text)
    named = re.findall(r"(?:<code[^>]*>|`)mosis ([a-z][^`<\n]*)", re.sub(r"{{.*?}}", "X", text))
    return [re.findall(r"--[\w-]+|[\w.-]+", line) for line in named]


def test_every_command_that_a_page_names_exists_and_is_whole() -> None:
    """`mosis key` alone only prints what it could do: an argument more shows that it is no group of commands."""
    assert len(commands()) > 5
    assert [words for words in commands() if not is_command([*words, "ARGUMENT"])] == []


def test_pages_use_the_standard_terms() -> None:
    """Valid, revoke, expire and fix; what a newcomer stumbled over."""
    strange = re.compile(r"\bMend\b|\bto mend\b|\bin force\b|\bEnds after\b|\bdecides next\b|>End<|get it now")
    assert {path.name: found for path in SOURCES if (found := strange.findall(path.read_text()))} == {}
