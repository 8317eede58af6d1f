"""What a call of DSM's web API is made of, and the check that its parameters are exactly those it has."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

Types = Mapping[str, type]


class Unknown(Exception):
    """What is asked about does not exist."""


class Wrong(Exception):
    """A parameter that DSM would not take."""


@dataclass(frozen=True)
class Call:
    """`function` gets the parameters; `needed` and `optional` are their names and JSON types."""

    version: int
    function: Callable[[dict], object]
    needed: Types = field(default_factory=dict)
    optional: Types = field(default_factory=dict)

    def __call__(self, given: dict) -> object:
        check("parameters", given, self.needed, self.optional)
        return self.function(given)


def check(what: str, given: dict, needed: Types, optional: Types) -> None:
    """Raises Wrong unless `given` has the needed keys and no unknown ones, each of its very type."""
    if missing := needed.keys() - given:
        raise Wrong(f"{what} miss {', '.join(sorted(missing))}")
    kinds = {**needed, **optional}
    if unknown := given.keys() - kinds:
        raise Wrong(f"{what} have unknown {', '.join(sorted(unknown))}")
    for key, value in given.items():
        if type(value) is not kinds[key]:
            raise Wrong(f"{what}: {key} must be a JSON {kinds[key].__name__}, got {value!r}")
