"""The committed images pass through the fuzz target without the fuzzer, and still cover both outcomes."""

from pathlib import Path

import pytest

from portal.images import convert
from portal.images.errors import ImageRejected

from . import image_target

CORPUS = sorted((Path(__file__).parent / "image_corpus").iterdir())


@pytest.mark.parametrize("seed", CORPUS, ids=lambda path: path.name)
def test_seed(seed: Path) -> None:
    image_target.one_input(seed.read_bytes())


def test_corpus_has_both_outcomes() -> None:
    assert {is_accepted(seed.read_bytes()) for seed in CORPUS} == {True, False}


def is_accepted(data: bytes) -> bool:
    try:
        convert.icon(image_target.repaired(data), max_pixels=image_target.MAX_PIXELS)
    except ImageRejected:
        return False
    return True


def test_checksums_are_repaired_but_for_those_of_zero() -> None:
    data = (Path(__file__).parent / "image_corpus" / "png-damaged-text").read_bytes()
    assert image_target.repaired(data) == data
    assert image_target.repaired(data[:-4] + b"none") == data
