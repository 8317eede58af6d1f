"""nginx with the site that a deploy writes, in front of a portal that runs."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from deploys.plan.data import HostData
from deploys.plan.nginx import render_nginx
from tests.support.portal import Portal, free_port

NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
START_SECONDS = 30


@contextmanager
def nginx_before(portal: Portal, **data: object) -> Iterator[str]:
    """The URL at which nginx answers for the portal; its logs are in the store's root. `data` is host data."""
    root = portal.store.layout.root
    (root / "run").mkdir(exist_ok=True)
    for _ in range(5):  # another test may be given the same port
        port = free_port()
        host = HostData.model_validate({"runtime": "local", "root": root, "port": port, **data})
        config = root / "run/nginx.conf"
        config.write_text(
            render_nginx(
                "nginx/nginx.conf.j2", host, portal.store.settings, run=root / "run", cache=root / "run/cache",
                log=root / "access.log", superuser=os.geteuid() == 0, addresses=("127.0.0.1",),
            )
        )  # fmt: skip
        with (root / "nginx.log").open("ab") as log:
            process = subprocess.Popen([NGINX, "-c", config], stdout=log, stderr=log)
        try:
            if listens(process, port):
                yield f"http://127.0.0.1:{port}"
                return
        finally:
            process.terminate()
            process.wait(START_SECONDS)
    raise RuntimeError((root / "nginx.log").read_text())


def listens(process: subprocess.Popen[bytes], port: int) -> bool:
    """Wait until nginx accepts connections at the port; whether it does."""
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return process.poll() is None
        time.sleep(0.02)
    return False
