"""The arithmetic of docs/durability.md."""

import random

import pytest

from docs.model import DAYS, SETUPS, Copy, loss, nines


def test_one_copy_is_lost_as_often_as_it_fails() -> None:
    assert loss([Copy("a", 0.02, 7)]) == 0.02


def test_copies_that_fail_one_by_one_agree_with_a_simulation() -> None:
    """Both of two copies are away at once, in 200,000 simulated years with rates high enough to see it."""
    copies = [Copy("a", 0.5, 20), Copy("b", 0.3, 40)]
    rng, years, both = random.Random(1), 200_000, 0
    for copy, other in (copies, copies[::-1]):
        at = rng.expovariate(copy.per_year)
        while at < years:
            both += rng.random() < other.per_year * copy.days / DAYS  # the other fails while this one is away
            at += rng.expovariate(copy.per_year)
    assert both / years == pytest.approx(loss(copies), rel=0.05)


def test_another_copy_never_makes_it_worse() -> None:
    by_name = {setup.name: setup.to_failures() + setup.to_place() for setup in SETUPS}
    for kind in ("one disk", "mirrored disks"):
        alone, drive, bucket = (by_name[name] for name in by_name if name.startswith(kind))
        assert alone >= drive >= bucket > 0


def test_nines_are_cut_where_they_end() -> None:
    assert nines(0.0167) == "98.3 %"
    assert nines(1e-5) == "99.99900 %"
