"""Who may have how many threads of a worker wait for bodies."""

from contextlib import ExitStack

import pytest

from portal.http.senders import Senders
from portal.store.errors import Unavailable

THREADS = 8
PLACES = 6  # three quarters


def taken(senders: Senders, places: ExitStack, developer_id: str) -> int:
    """How many places a developer gets who takes all that he can."""
    for number in range(THREADS):
        try:
            places.enter_context(senders.place(developer_id))
        except Unavailable as refused:
            assert (refused.code, refused.retry_after) == ("UNAVAILABLE", 2)
            return number
    return THREADS


def test_each_developer_leaves_as_many_as_he_has() -> None:
    senders = Senders(THREADS)
    with ExitStack() as places:
        assert [taken(senders, places, name) for name in ("acme", "mallory", "bob", "eve")] == [3, 2, 1, 0]
    with ExitStack() as places:
        assert taken(senders, places, "eve") == PLACES // 2


def test_a_request_that_fails_gives_its_place_back() -> None:
    senders = Senders(1)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), senders.place("acme"):
            raise ZeroDivisionError


def test_nothing_is_kept_of_those_who_have_none() -> None:
    senders = Senders(THREADS)
    for number in range(100):
        with senders.place(f"developer-{number}"):
            pass
    assert not senders._held
