"""The committed corpus passes through the fuzz target without the fuzzer, and still covers both outcomes."""

from pathlib import Path

import pytest

from portal.packages import package
from portal.packages.errors import PackageRejected

from . import target

CORPUS = sorted((Path(__file__).parent / "corpus").iterdir())


@pytest.mark.parametrize("seed", CORPUS, ids=lambda path: path.name)
def test_seed(seed: Path) -> None:
    target.one_input(seed.read_bytes())


def test_corpus_has_both_outcomes() -> None:
    archives = [seed for seed in CORPUS if seed.read_bytes().startswith(b"PK")]
    assert {accepted(seed) for seed in archives} == {True, False}
    assert len(CORPUS) > len(archives)


def accepted(seed: Path) -> bool:
    try:
        package.read(seed)
    except PackageRejected:
        return False
    return True
