"""What the alert of a certificate goes by: what nginx presents, not what is in a file."""

import os
import signal
import socket
from pathlib import Path

import pytest
from cryptography.x509 import load_pem_x509_certificate

from portal.jobs import certificate
from tests.deploys.local_store import until
from tests.support.nginx import NGINX, certificate_in, https_before
from tests.support.portal import free_port


def end_of(path: Path) -> float:
    return load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc.timestamp()


@pytest.mark.skipif(NGINX is None, reason="nginx is not installed")
def test_the_end_is_that_of_what_nginx_presents(tmp_path: Path) -> None:
    place, file = tmp_path / "nginx", tmp_path / "nginx/certificate.pem"
    with https_before("http://127.0.0.1:1", place) as url:
        port, first = int(url.rpartition(":")[2]), end_of(file)
        certificate_in(place, "store.test", days=2)
        assert certificate.ends(port) == first < end_of(file)
        os.kill(int((place / "pid").read_text()), signal.SIGHUP)
        until(lambda: certificate.ends(port) == end_of(file))


def test_where_nothing_presents_one_there_is_no_end() -> None:
    assert certificate.ends(free_port()) == 0
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert certificate.ends(silent.getsockname()[1]) == 0
