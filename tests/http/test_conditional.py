import pytest

from portal.http.conditional import Outcome, evaluate, http_date, parse_date, range_applies

ETAG = '"a,b"'
MODIFIED = 784_111_777
DATE = "Sun, 06 Nov 1994 08:49:37 GMT"  # the example of RFC 9110 section 5.6.7
EARLIER, LATER = http_date(MODIFIED - 1), http_date(MODIFIED + 1)


@pytest.mark.parametrize(
    "value", [DATE, f" {DATE} ", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"], ids=repr
)
def test_the_three_forms_of_a_date(value):
    assert parse_date(value) == MODIFIED


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "0",
        "yesterday",
        "1994-11-06T08:49:37Z",
        "Sun, 06 Nov 1994 08:49:37 +0100",
        "Sun, 31 Feb 1994 08:49:37 GMT",
    ],
    ids=repr,
)
def test_what_is_not_a_date_is_ignored(value):
    assert parse_date(value) is None


def test_http_date():
    assert http_date(MODIFIED) == DATE


@pytest.mark.parametrize(
    ("fields", "outcome"),
    [
        ({}, Outcome.PROCEED),
        ({"if-match": ETAG}, Outcome.PROCEED),
        ({"if-match": f'"c", {ETAG}'}, Outcome.PROCEED),
        ({"if-match": f'"c",,{ETAG},'}, Outcome.PROCEED),
        ({"if-match": " * "}, Outcome.PROCEED),
        ({"if-match": f"W/{ETAG}"}, Outcome.FAILED),
        ({"if-match": '"a", "b"'}, Outcome.FAILED),
        ({"if-match": "a,b"}, Outcome.FAILED),
        ({"if-match": f"{ETAG} junk"}, Outcome.FAILED),
        ({"if-match": ""}, Outcome.FAILED),
        ({"if-match": ETAG, "if-unmodified-since": EARLIER}, Outcome.PROCEED),
        ({"if-match": '"c"', "if-unmodified-since": LATER}, Outcome.FAILED),
        ({"if-unmodified-since": DATE}, Outcome.PROCEED),
        ({"if-unmodified-since": EARLIER}, Outcome.FAILED),
        ({"if-unmodified-since": "junk"}, Outcome.PROCEED),
        ({"if-unmodified-since": EARLIER, "if-none-match": ETAG}, Outcome.FAILED),
        ({"if-none-match": ETAG}, Outcome.NOT_MODIFIED),
        ({"if-none-match": f"W/{ETAG}"}, Outcome.NOT_MODIFIED),
        ({"if-none-match": "*"}, Outcome.NOT_MODIFIED),
        ({"if-none-match": '"c"'}, Outcome.PROCEED),
        ({"if-none-match": "a,b"}, Outcome.PROCEED),
        ({"if-none-match": '"c"', "if-modified-since": LATER}, Outcome.PROCEED),
        ({"if-none-match": ETAG, "if-modified-since": EARLIER}, Outcome.NOT_MODIFIED),
        ({"if-modified-since": DATE}, Outcome.NOT_MODIFIED),
        ({"if-modified-since": LATER}, Outcome.NOT_MODIFIED),
        ({"if-modified-since": EARLIER}, Outcome.PROCEED),
        ({"if-modified-since": "junk"}, Outcome.PROCEED),
        ({"if-match": ETAG, "if-none-match": ETAG}, Outcome.NOT_MODIFIED),
    ],
    ids=str,
)
def test_order_of_preconditions(fields, outcome):
    assert evaluate(fields, ETAG, MODIFIED) is outcome


@pytest.mark.parametrize(
    ("if_range", "applies"),
    [
        (None, True),
        (ETAG, True),
        (DATE, True),
        ("Sunday, 06-Nov-94 08:49:37 GMT", True),
        (f"W/{ETAG}", False),
        ('"c"', False),
        (f'{ETAG}, "c"', False),
        ("*", False),
        ("", False),
        (EARLIER, False),
        (LATER, False),
    ],
)
def test_if_range_is_strong(if_range, applies):
    assert range_applies(if_range, ETAG, MODIFIED) is applies
