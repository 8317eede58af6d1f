"""Images are converted one at a time, and one developer does not keep another from it."""

import threading
import time
from contextlib import ExitStack, suppress

import pytest

from portal.http.turns import ALL_MAX, EACH_MAX, Turns
from portal.store.errors import Unavailable
from tests.support.patience import PATIENCE


def in_line(turns: Turns, name: str, done: list[str]) -> threading.Thread:
    """A request that waits for its turn, behind those that wait already."""
    before = waiting(turns)

    def request() -> None:
        with turns.of(name):
            done.append(name)

    thread = threading.Thread(target=request, daemon=True)
    thread.start()
    deadline = time.monotonic() + PATIENCE
    while waiting(turns) == before:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    return thread


def waiting(turns: Turns) -> int:
    with turns._guard:  # other threads come and go
        return sum(len(lock._waiting) for lock in (turns.lock, *turns._of_developers.values()))


def test_a_developer_waits_for_one_request_of_another_however_many_there_are() -> None:
    turns, done = Turns(), list[str]()
    with turns.lock:
        threads = [in_line(turns, name, done) for name in (*["acme"] * EACH_MAX, "umbra")]
    for thread in threads:
        thread.join(PATIENCE)
    assert done == ["acme", "umbra", *["acme"] * (EACH_MAX - 1)]
    assert not turns._of_developers
    assert not turns.lock.locked()


def test_a_developer_has_few_places_and_leaves_others_theirs() -> None:
    turns = Turns()
    with ExitStack() as places:
        for _ in range(EACH_MAX - 1):
            places.enter_context(turns._places.place("acme"))
        with turns.of("acme"):
            pass
        places.enter_context(turns._places.place("acme"))
        with pytest.raises(Unavailable, match="try again in a moment"), turns.of("acme"):
            pass
        with turns.of("umbra"):
            pass


def test_a_few_developers_leave_places_to_another() -> None:
    turns = Turns()
    with ExitStack() as places:
        for number in range(ALL_MAX // EACH_MAX):
            with suppress(Unavailable):
                for _ in range(EACH_MAX):
                    places.enter_context(turns._places.place(f"developer-{number}"))
        with turns.of("umbra"):
            pass


def test_all_developers_together_leave_threads_for_other_requests() -> None:
    turns = Turns()
    with ExitStack() as places:
        for number in range(ALL_MAX):
            places.enter_context(turns._places.place(f"developer-{number}"))
        with pytest.raises(Unavailable), turns.of("umbra"):
            pass


def test_a_turn_ends_with_an_error_too() -> None:
    turns = Turns()
    with pytest.raises(ZeroDivisionError), turns.of("acme"):
        raise ZeroDivisionError
    assert not turns.lock.locked()
    assert not turns._of_developers
