"""The committed texts pass through the fuzz target without the fuzzer, and each parser has one."""

from pathlib import Path

import pytest

from . import text_target

CORPUS = sorted((Path(__file__).parent / "text_corpus").iterdir())


@pytest.mark.parametrize("seed", CORPUS, ids=lambda path: path.name)
def test_seed(seed: Path) -> None:
    text_target.one_input(seed.read_bytes())


def test_each_parser_has_a_seed() -> None:
    assert {seed.read_bytes()[0] for seed in CORPUS} == set(range(len(text_target.TARGETS)))


def test_the_target_finds_what_two_readers_see_differently(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_target.strict_json, "parse", lambda data, max_bytes: {"a": 1})
    with pytest.raises(AssertionError):
        text_target.one_input(b'\0{"a":1,"a":2}')
