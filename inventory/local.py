"""This machine, without root: what `make deploy` uses. ROOT and PORT of the environment override.

Without PORT, a store that exists stays where it listens.
"""

from os import environ
from os.path import realpath
from pathlib import Path
from shutil import which

from deploys.make import place

_root = Path(realpath(environ.get("ROOT") or place.ROOT))

store = [
    (
        "@local",
        {
            "mosis_runtime": "local",
            "mosis_root": str(_root),
            "mosis_port": environ.get("PORT") or str(place.kept_port(_root) or place.PORT),
            "mosis_nginx": which("nginx", path=f"{environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"),
        },
    )
]
