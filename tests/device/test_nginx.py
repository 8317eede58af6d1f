"""nginx with plain files is all that a copy of the store needs, and its entity tags are enough to resume."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mosis_device.device import Device, Options
from tests.device.conftest import Phone
from tests.device.shelf import Shelf
from tests.device.test_download import BIG
from tests.packages.samples import APP_ID
from tests.support.nginx import NGINX, USER, running, temporary

pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")
CONFIG = """daemon off;
{user}
pid {place}/nginx.pid;
error_log stderr;
events {{}}
http {{
    log_format answers '$status $uri $sent_http_content_encoding';
    access_log {place}/answers answers;
    types {{ application/json json; }}
    gzip on;
    gzip_types application/json;
    {temporary}
    server {{ listen 127.0.0.1:{port}; root {root}; }}
}}
"""


@contextmanager
def static_nginx(root: Path, place: Path) -> Iterator[str]:
    """The URL at which nginx serves the files below `root`."""

    def configured(port: int) -> str:
        return CONFIG.format(user=USER, place=place, temporary=temporary(place), port=port, root=root)

    with running(configured, place) as url:
        yield url


def test_an_interrupted_download_is_continued(shelf: Shelf, phone: Phone, tmp_path: Path) -> None:
    def interrupt(done: int, size: int) -> None:
        raise KeyboardInterrupt

    shelf.publish(1, files=BIG)
    with static_nginx(shelf.place, tmp_path / "nginx") as url:
        with pytest.raises(KeyboardInterrupt):
            Device(phone.directory, [url], Options()).install([APP_ID], interrupt)
        part = phone.directory / "apps" / APP_ID / "package.part"
        assert 0 < part.stat().st_size < shelf.package_path(1).stat().st_size
        assert phone.files(phone.install(url)) == BIG
    answers = (tmp_path / "nginx/answers").read_text()
    assert answers.count("206 /packages/") == 1
    assert "200 /catalogue/metadata/timestamp.json gzip" in answers
    assert "404 /catalogue/metadata/2.root.json" in answers
