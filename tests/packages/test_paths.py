"""Names that a file system would make one of are found, whatever their order and depth."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.packages import paths

parts = st.text("aAbBéÉßsS", min_size=1, max_size=2)
names = st.builds(
    lambda components, slash: "/".join(components) + slash,
    st.lists(parts, min_size=1, max_size=3),
    st.sampled_from(["", "/"]),
)


@given(st.lists(names, max_size=6))
def test_no_collision_means_a_tree(listed: list[str]) -> None:
    """Against the definition: every node has one spelling, one kind, and is listed once."""
    spellings: dict[str, set[tuple[str, bool]]] = {}
    for name in listed:
        node, directory = name.removesuffix("/"), name.endswith("/")
        while node:
            folded = unicodedata.normalize("NFC", unicodedata.normalize("NFD", node).casefold())
            spellings.setdefault(folded, set()).add((node, directory))
            node, directory = node.rpartition("/")[0], True
    is_tree = all(len(kinds) == 1 for kinds in spellings.values()) and len(set(listed)) == len(listed)
    assert is_tree == (not list(paths.collisions(listed)))


@pytest.mark.parametrize(
    "path", ["a", "a.b/c-d_e", ".hidden", "a b", "..a", "a..b", "bücher/日本", "console", "com", "@scope/x", "~"]
)
def test_fine(path: str) -> None:
    assert list(paths.faults(path)) == []


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (("a/B", "a/b"), '"a/b" and "a/B" differ only in case.'),
        (("Straße", "STRASSE"), '"STRASSE" and "Straße" differ only in case.'),
        (("é", "e\u0301"), '"e\u0301" and "é" differ only in Unicode normalization.'),
        (("ශ්\u200dරී", "ශ්රී"), r'"ශ්රී" and "ශ්\u200dරී" differ only in zero-width joiners.'),
        (("É", "e\u0301"), '"e\u0301" and "É" differ only in case, Unicode normalization or zero-width joiners.'),
    ],
)
def test_in_what_names_differ_is_said(names: tuple[str, str], reason: str) -> None:
    assert list(paths.collisions(names)) == [reason]


def test_each_component_is_folded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A prefix at each depth would cost 16 times as much for the deepest names."""
    listed = [f"{number}/" + "é/" * 30 + "x" for number in range(10)]
    folded: list[str] = []
    monkeypatch.setattr(paths.characters, "fold", lambda name: folded.append(name) or name)
    assert not list(paths.collisions(listed))
    assert sum(map(len, folded)) <= sum(map(len, listed))
