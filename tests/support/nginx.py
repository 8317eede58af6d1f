"""nginx as the deploys set it up, in front of a portal that runs."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

from deploys.render import render
from tests.support.portal import Portal, free_port

NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
START_SECONDS = 20


@contextmanager
def nginx_before(portal: Portal) -> Iterator[str]:
    """The URL at which nginx answers for the portal."""
    root, port = portal.store.layout.root, free_port()
    for name in ("run", "etc"):
        (root / name).mkdir(exist_ok=True)
    variables = {
        "root": root, "settings": portal.store.settings, "data": {"port": port, "server_names": ("_",)},
        "superuser": os.geteuid() == 0, "addresses": ("127.0.0.1",),
        "cache": root / "run" / "cache", "log": root / "access.log",
    }  # fmt: skip
    (root / "etc" / "nginx.conf").write_text(render("nginx/nginx.conf.j2", **variables))
    (root / "etc" / "nginx-site.conf").write_text(render("nginx/mosis.conf.j2", **variables))
    with (root / "nginx.log").open("ab") as log:
        process = subprocess.Popen([NGINX, "-c", root / "etc" / "nginx.conf"], stdout=log, stderr=log)
    try:
        _wait(process, port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(START_SECONDS)


def _wait(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise RuntimeError("nginx did not start; see nginx.log in the store's root")
