"""This machine, without root: what `make deploy` uses. ROOT and PORT of the environment override."""

from os import environ
from pathlib import Path
from shutil import which

_root = Path(environ.get("ROOT") or "var/mosis").absolute()

store = [
    (
        "@local",
        {
            "mosis_runtime": "local",
            "mosis_root": str(_root),
            "mosis_port": environ.get("PORT") or "8080",
            "mosis_nginx": which("nginx", path=f"{environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"),
        },
    )
]
