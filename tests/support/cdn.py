"""nginx as a CDN in front of a bucket, with the configuration that docs/cdn.md prints."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from portal.mirror.client import Bucket
from portal.settings import S3
from tests.support.nginx import NGINX, START_SECONDS, listens
from tests.support.portal import free_port

PAGE = Path(__file__).parents[2] / "docs/cdn.md"
MAIN = """daemon off;
{user}
pid {place}/nginx.pid;
error_log stderr;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    {temporary}
{site}
}}
"""


def block(language: str) -> str:
    """The one block of the page in this language."""
    [found] = re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return str(found)


def make_public(engine: S3) -> None:
    """Anybody may read the bucket, by the policy that the page prints."""
    policy = block("json").replace(":::mosis/", f":::{engine.bucket}/")
    Bucket(engine).call("put_bucket_policy", Policy=json.dumps(json.loads(policy)))


@contextmanager
def cdn_before(engine: S3, place: Path, *, extra: str = "") -> Iterator[str]:
    """The URL at which nginx answers for the public bucket; `extra` are further lines of its server."""
    place.mkdir(parents=True, exist_ok=True)
    for _ in range(5):  # another test may be given the same port
        port = free_port()
        changes = {
            "listen 80;": f"listen 127.0.0.1:{port};\n{extra}",
            "/var/cache/nginx/cdn": f"{place}/cache",
            "/mosis$uri": f"/{engine.bucket}$uri",
            "http://127.0.0.1:8333": f"http://127.0.0.1:{engine.endpoint.port}",
        }
        site = block("nginx")
        for printed, here in changes.items():
            assert printed in site
            site = site.replace(printed, here)
        temporary = "".join(
            f"{area}_temp_path {place}/{area};" for area in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        user = "user root;" if os.geteuid() == 0 else ""
        (place / "nginx.conf").write_text(MAIN.format(user=user, place=place, temporary=temporary, site=site))
        with (place / "nginx.log").open("ab") as log:
            process = subprocess.Popen([NGINX, "-c", place / "nginx.conf"], stdout=log, stderr=log)
        try:
            if listens(process, port):
                yield f"http://127.0.0.1:{port}"
                return
        finally:
            process.terminate()
            process.wait(START_SECONDS)
    raise RuntimeError((place / "nginx.log").read_text())
