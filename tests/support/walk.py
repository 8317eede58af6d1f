"""One change of a store, made many times and interrupted in many ways."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from portal.store.errors import Refused
from tests.support import injection
from tests.support.changes import CHANGES, State, World, between, others, start, state
from tests.support.injection import Point


class Walk:
    """The change `name` of a copy of `world` in `directory`; its calls are logged in `logs`."""

    def __init__(self, world: World, name: str, directory: Path, logs: Path) -> None:
        self._world, self._name, self._store, self._logs = world, name, directory / "store", logs
        self.old = state(world.copy(self._store))
        copy = world.copy(self._store)
        self.points = injection.points(lambda: self._prepared(copy), logs)
        self.new = self._settled(copy)
        assert self.new != self.old
        self.incomplete = [self.old, *between(name, self.old)]

    def copy(self) -> World:
        return self._world.copy(self._store)

    def run(self, world: World, inject: str | None = None) -> int:
        """Make the change in a process of its own; its exit status."""
        return injection.run(lambda: self._prepared(world), self._logs / "log", inject)

    def require_whole(self, world: World, *, acknowledged: bool) -> None:
        """New or incomplete, without anything else, and the change can be made or made again."""
        found = self._settled(world)
        assert found == self.new or (found in self.incomplete and not acknowledged), found
        try:
            store = world.open()
            with closing(store.db):
                CHANGES[self._name](store, world)
        except Refused:
            assert found == self.new
        if found != self.new:
            assert self._settled(world) == self.new

    def _prepared(self, world: World) -> Callable[[], object]:
        """The change of a store that is open, as a worker of a portal has it."""
        store = world.open()
        store.db.read().execute("SELECT * FROM apps").fetchall()
        return lambda: CHANGES[self._name](store, world)

    def _settled(self, world: World) -> State:
        start(world)
        assert not (left := others(world)), left
        return state(world)


@contextmanager
def at(point: Point) -> Iterator[None]:
    """Say at which point an assertion failed."""
    try:
        yield
    except BaseException as error:
        error.add_note(f"at {point}")
        raise
