"""What the alert of a certificate goes by: what nginx presents, not what is in a file."""

import os
import re
import signal
import socket
from pathlib import Path

import pytest
from cryptography.x509 import load_pem_x509_certificate

from portal.jobs import certificate
from portal.metrics import Metrics
from tests.deploys.local_store import until
from tests.support.nginx import NGINX, certificate_in, https_before
from tests.support.portal import free_port, make_store


def end_of(path: Path) -> float:
    return load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc.timestamp()


@pytest.mark.skipif(NGINX is None, reason="nginx is not installed")
def test_the_end_is_that_of_what_nginx_presents(tmp_path: Path) -> None:
    place, file = tmp_path / "nginx", tmp_path / "nginx/certificate.pem"
    with https_before("http://127.0.0.1:1", place) as url:
        port, first = int(url.rpartition(":")[2]), end_of(file)
        certificate_in(place, "store.test", days=2)
        assert certificate.ends(port, None) == first < end_of(file)
        os.kill(int((place / "pid").read_text()), signal.SIGHUP)
        until(lambda: certificate.ends(port, None) == end_of(file))


@pytest.mark.skipif(NGINX is None, reason="nginx is not installed")
def test_the_certificate_of_another_site_of_the_host_is_not_that_of_the_store(tmp_path: Path) -> None:
    place, own = tmp_path / "nginx", tmp_path / "own"
    with https_before("http://127.0.0.1:1", place) as url:
        port, pid = int(url.rpartition(":")[2]), int((place / "pid").read_text())
        own.mkdir()
        file, key = certificate_in(own, "own.test", days=2)
        server = f'server {{ listen 127.0.0.1:{port} ssl; server_name own.test; ssl_certificate "{file}";'
        site = place / "nginx.conf"
        site.write_text(f'{site.read_text().rstrip()[:-1]} {server} ssl_certificate_key "{key}"; }} }}')
        os.kill(pid, signal.SIGHUP)
        until(lambda: certificate.ends(port, "own.test") == end_of(file))
        assert certificate.ends(port, None) == end_of(place / "certificate.pem") < end_of(file)
        store = make_store(tmp_path / "store", tls_port=port, public_url="https://own.test")
        [end] = re.findall(rb"(?m)^mosis_certificate_expires_timestamp_seconds (.*)$", Metrics(store).exposition())
        assert float(end) == end_of(file)
        store.db.close()


def test_where_nothing_presents_one_there_is_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certificate, "PATIENCE_SECONDS", 0.1)
    assert certificate.ends(free_port(), None) == 0
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert certificate.ends(silent.getsockname()[1], None) == 0
