"""Bills are what the design estimated, and rows are dated."""

import re

import pytest

from portal.mirror.prices import MILLION, PRICES, Use, bill

DESIGN = Use(stored=100, class_a=MILLION, class_b=MILLION, downloaded=1000)  # its estimates: 10,000 apps
ESTIMATES = {
    "Cloudflare R2": 6,
    "AWS S3 and CloudFront": 92,
    "Backblaze B2 behind Cloudflare": 1,
    "an engine of your own on a server": 20,
}


@pytest.mark.parametrize("price", PRICES, ids=lambda price: price.title)
def test_a_bill_is_what_the_design_estimated(price: object) -> None:
    assert bill(price, DESIGN, with_free=False).total == pytest.approx(ESTIMATES[price.title], abs=1)


@pytest.mark.parametrize("price", PRICES, ids=lambda price: price.title)
def test_what_is_free_costs_nothing_and_more_costs_more(price: object) -> None:
    assert bill(price, price.free).total == price.fixed
    assert bill(price, DESIGN).total <= bill(price, DESIGN, with_free=False).total


@pytest.mark.parametrize("price", PRICES, ids=lambda price: price.title)
def test_a_row_has_its_date_and_source(price: object) -> None:
    assert re.fullmatch(r"20\d\d-[01]\d", price.as_of) and price.source
