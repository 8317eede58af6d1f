"""A deploy of two operations, with which the harness tests itself."""

from io import StringIO

import pyinfra
from pyinfra.api import deploy
from pyinfra.operations import apt, files


@deploy("Harness")
def harness() -> None:
    files.put(
        name="A file in /etc",
        src=StringIO("written by the self-test\n"),
        dest="/etc/mosis-harness",
        mode="640",
    )
    apt.packages(name="Cron from the package cache", packages=["cron"], update=True, cache_time=3600)


if pyinfra.is_cli:
    harness()
