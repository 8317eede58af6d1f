"""Threads that wait for bodies: a developer whose uploads are slow leaves others theirs."""

from portal.http.places import Places

PERCENT = 75  # of a worker's threads may wait for bodies: the kernel may give one worker all of them
TURN_SECONDS = 2  # until it is worth another try


class Senders(Places):
    """Those of one worker; a place is held while a body is read."""

    def __init__(self, threads: int) -> None:
        busy = "Too many uploads are under way: try again in a moment."
        super().__init__(max(1, threads * PERCENT // 100), busy, TURN_SECONDS)
