"""pyinfra's `@deploy`, which groups operations under a name, with the type of the function that it decorates."""

from collections.abc import Callable
from typing import ParamSpec, cast

from pyinfra import api

P = ParamSpec("P")


def deploy(name: str) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """The decorator. pyinfra's own type demands the arguments of an operation, such as `_sudo`, first."""

    def decorate(function: Callable[P, None]) -> Callable[P, None]:
        return cast("Callable[P, None]", api.deploy(name)(function))

    return decorate
