"""nginx as a CDN in front of a bucket, with the configuration that docs/cdn.md prints."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from portal.mirror.client import Bucket
from portal.settings import S3
from tests.support.nginx import USER, running, temporary

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

    def configured(port: int) -> str:
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
        return MAIN.format(user=USER, place=place, temporary=temporary(place), site=site)

    with running(configured, place) as url:
        yield url
