"""The certificate of a store: what is refused before a deploy changes anything, and when an authority is asked."""

import ast
import ipaddress
import json
import os
import signal
import ssl
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from deploys.plan import plan
from deploys.plan.data import Tls
from deploys.plan.release import Release
from deploys.plan.tls import wanted_of
from deploys.remote import certificate, check
from deploys.services.certificate import request
from tests.deploys.local_store import until
from tests.support.nginx import NGINX, https_before
from tests.support.patience import PATIENCE

NAME = "store.test"
DAY = timedelta(days=1)
CLIENT_AUTH = ExtendedKeyUsageOID.CLIENT_AUTH
RSA_WITH = bytes.fromhex("2a864886f70d0101")  # and a byte for the hash, in DER


class Pair:
    """A certificate, valid from `begins` to `ends` of now, and its key, as files; self-signed, or `by` an authority."""

    def __init__(
        self,
        place: Path,
        names: Sequence[str] = (NAME,),
        *,
        begins: timedelta = -DAY,
        ends: timedelta = 2 * DAY,
        usage: x509.ObjectIdentifier | None = None,
        password: KeySerializationEncryption | None = None,
        subject: str = NAME,
        curve: ec.EllipticCurve | None = None,
        more: x509.ExtensionType | None = None,
        by: "Pair | None" = None,
    ) -> None:
        place.mkdir(exist_ok=True)
        self.certificate, self.key = place / "certificate.pem", place / "key.pem"
        key, now = ec.generate_private_key(curve or ec.SECP256R1()), datetime.now(UTC)
        self.private = key
        self.whose = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
        issuer = by or self
        builder = x509.CertificateBuilder(issuer.whose, self.whose, key.public_key(), x509.random_serial_number())
        builder = builder.not_valid_before(now + begins).not_valid_after(now + ends)
        builder = builder.add_extension(x509.BasicConstraints(ca=by is None, path_length=None), critical=True)
        if names:
            known = [x509.IPAddress(ipaddress.ip_address(n)) if n[0].isdigit() else x509.DNSName(n) for n in names]
            builder = builder.add_extension(x509.SubjectAlternativeName(known), critical=False)
        if more:
            builder = builder.add_extension(more, critical=False)
        if usage:
            builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        self.certificate.write_bytes(builder.sign(issuer.private, SHA256()).public_bytes(Encoding.PEM))
        encryption = password or NoEncryption()
        self.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))

    def fault(self, *names: str, days: int | None = 0, port: int | None = None) -> str:
        files = {"certificate": str(self.certificate), "key": str(self.key)}
        return certificate.found({**files, "names": names, "days": days, "port": port})["fault"]


def test_it_is_the_python_of_the_host() -> None:
    tree = ast.parse(Path(certificate.__file__).read_text(), feature_version=(3, 8))
    names = [name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names]
    names += [str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert set(names) <= sys.stdlib_module_names


def test_a_certificate_that_clients_accept(tmp_path: Path) -> None:
    pair = Pair(tmp_path, (NAME, "*.wild.test", "192.0.2.1"))
    assert pair.fault(NAME, "a.wild.test", "192.0.2.1") == ""
    other = Pair(tmp_path / "other")
    pair.certificate.write_bytes(pair.certificate.read_bytes() + other.certificate.read_bytes())  # a chain
    assert pair.fault(NAME) == ""
    pair.certificate.write_bytes(pair.key.read_bytes() + pair.certificate.read_bytes())
    pair.key = pair.certificate
    assert pair.fault(NAME) == ""


def test_what_only_a_newer_python_refuses_is_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A certificate without identifiers of its keys, by the default context of Python 3.13."""
    default_context = ssl.create_default_context

    def strict(*, cafile: str) -> ssl.SSLContext:
        context = default_context(cafile=cafile)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    authority = Pair(tmp_path / "authority", subject="authority")
    pair = Pair(tmp_path / "store", by=authority)
    pair.certificate.write_bytes(pair.certificate.read_bytes() + authority.certificate.read_bytes())
    monkeypatch.setattr(ssl, "create_default_context", strict)
    assert pair.fault(NAME) == ""


def test_what_clients_would_refuse_is_named(tmp_path: Path) -> None:
    pair, other = Pair(tmp_path / "one"), Pair(tmp_path / "two")
    assert "does not cover other.test" in pair.fault(NAME, "other.test")
    assert "does not cover store.test, or only in its Common Name" in Pair(tmp_path / "cn", ()).fault(NAME)
    assert "is rejected by clients: unsuitable" in Pair(tmp_path / "eku", usage=CLIENT_AUTH).fault(NAME)
    assert "is rejected by clients" in Pair(tmp_path / "odd", curve=ec.SECP256K1()).fault(NAME)
    pair.key = other.key
    assert f"does not match the key {other.key}" in pair.fault(NAME)
    pair.key = pair.certificate
    assert "contains no unencrypted private key" in pair.fault(NAME)
    locked = Pair(tmp_path / "locked", password=BestAvailableEncryption(b"secret"))
    assert "contains no unencrypted private key" in locked.fault(NAME)


def test_a_weak_signature_and_an_odd_name_are_named(tmp_path: Path) -> None:
    """nginx does not start with the first; its key is good."""
    pair = Pair(tmp_path, by=Pair(tmp_path / "authority", subject="authority"))
    with_sha1(pair)
    assert "is signed with a hash that clients reject" in pair.fault(NAME)
    uri = x509.UniformResourceIdentifier("http://latin.test")
    other = Pair(tmp_path / "other", (), more=x509.SubjectAlternativeName([uri]))
    altered(other, b"latin", b"lat\xedn")
    assert "has a name that is not ASCII" in other.fault()


def with_sha1(pair: Pair) -> None:
    """Declare a signature of RSA with SHA-1; nobody verifies it before its kind is refused."""
    key = rsa.generate_private_key(65537, 2048)
    old = x509.load_pem_x509_certificate(pair.certificate.read_bytes())
    builder = x509.CertificateBuilder(old.issuer, old.subject, pair.private.public_key(), old.serial_number)
    builder = builder.not_valid_before(old.not_valid_before_utc).not_valid_after(old.not_valid_after_utc)
    pair.certificate.write_bytes(builder.sign(key, SHA256()).public_bytes(Encoding.PEM))
    altered(pair, RSA_WITH + b"\x0b", RSA_WITH + b"\x05")


def altered(pair: Pair, old: bytes, new: bytes) -> None:
    der = ssl.PEM_cert_to_DER_cert(pair.certificate.read_text())
    assert old in der
    pair.certificate.write_text(ssl.DER_cert_to_PEM_cert(der.replace(old, new)))


def test_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    pair.certificate.write_bytes(pair.key.read_bytes())
    assert "contains no certificate in PEM" in pair.fault()
    pair.certificate.write_text("")
    assert "contains no certificate in PEM" in pair.fault()
    pair.certificate.unlink()
    assert pair.fault() == f"cannot be used: {pair.certificate}: No such file or directory"
    os.mkfifo(pair.certificate)  # nothing is ever written to it
    assert pair.fault() == f"cannot be used: {pair.certificate} is not a regular file"


def test_a_certificate_has_a_time(tmp_path: Path) -> None:
    ended = Pair(tmp_path / "ended", begins=-2 * DAY, ends=-DAY)
    assert ended.fault(NAME).startswith("expired ") and ended.fault(NAME, days=None) == ""
    assert "is not valid before" in Pair(tmp_path / "early", begins=DAY).fault(NAME)
    soon = Pair(tmp_path / "soon")
    assert soon.fault(NAME, days=0) == "" and "expires " in soon.fault(NAME, days=14)


def test_the_source_alone_answers_on_a_host(tmp_path: Path, release: Release) -> None:
    """As a fact of pyinfra asks it, for the names that a plan has and that stand for themselves."""
    pair = Pair(tmp_path)
    tls = Tls(certificate=pair.certificate, key=pair.key)
    names = (NAME, "_", "*.example.org", ".example.org")
    data = plan({"mosis_runtime": "systemd", "mosis_tls": tls.model_dump(), "mosis_server_names": names}, release).data
    wanted = wanted_of(data, tls, days=0, port=None)
    words = [sys.executable, "-c", Path(certificate.__file__).read_text(), json.dumps(wanted)]
    found = json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
    assert wanted["names"] == [NAME]
    assert found["fault"] == "" and found["ends"].endswith("GMT")


@pytest.mark.skipif(NGINX is None, reason="nginx is not installed")
def test_status_compares_the_file_with_what_nginx_presents(tmp_path: Path) -> None:
    def lines(days: int = 0) -> list[tuple[bool, str]]:
        files = {"certificate": str(place / "certificate.pem"), "key": str(place / "key.pem")}
        wanted = {**files, "names": [NAME], "days": days, "port": port}
        return [
            (line["ok"], line["text"].removeprefix(f"{place}/certificate.pem "))
            for line in check.certificate({"script": certificate.__file__, "wanted": wanted})
        ]

    place = tmp_path / "nginx"
    with https_before("http://127.0.0.1:1", place) as url:
        port = int(url.rpartition(":")[2])
        [(fine, text)] = lines()
        assert fine and text.startswith("expires ")
        [(fine, text)] = lines(days=14)
        assert not fine and "renew it, then run `systemctl reload nginx`" in text
        Pair(place)  # renewed, and nginx knows nothing of it
        [(fine, text)] = lines()
        assert not fine and "is not the certificate that nginx presents: run `nginx -t" in text
        os.kill(int((place / "pid").read_text()), signal.SIGHUP)
        until(lambda: lines()[0][0])
    [(fine, text)] = lines()
    assert not fine and f"is not presented by nginx at port {port}" in text


def test_a_check_that_fails_is_a_fault(tmp_path: Path) -> None:
    wanted = {"script": str(tmp_path / "none.py"), "wanted": {"certificate": "/etc/ssl/store.pem"}}
    [line] = check.certificate(wanted)
    assert (line["ok"], "cannot be checked" in line["text"]) == (False, True)


class Host:
    """The shell of a host with certbot, below a directory; the authority counts how often it is asked."""

    def __init__(self, place: Path, release: Release) -> None:
        self.place, self.lineage = place, place / "etc/letsencrypt/live/mosis"
        self.pem, self.asked = place / "etc/mosis/tls/certificate.pem", place / "asked"
        for directory in ("bin", "etc/letsencrypt", "etc/mosis/tls", "opt/mosis"):
            (place / directory).mkdir(parents=True)
        acme = {"mosis_server_names": (NAME,), "mosis_tls": {"acme": "a@example.org"}}
        [hook] = plan({"mosis_runtime": "systemd", **acme}, release).services["certificate"].files
        self._program(place / "opt/mosis/certificate", self._below(hook.content))
        self._program(place / "bin/nginx", "true")
        self._program(place / "bin/systemctl", "true")
        self._program(
            place / "bin/certbot",
            f"echo >>{self.asked}; mkdir -p {self.lineage}; cd {self.lineage}\n"
            f"echo key >privkey.pem; wc -l <{self.asked} >fullchain.pem\n"
            f"RENEWED_LINEAGE={self.lineage} {place}/opt/mosis/certificate",
        )

    def deploy(self, *names: str) -> bool:
        """Whether something had to be done for nginx to have a certificate of the names."""
        holds, command = map(self._below, request(Tls(acme="a@example.org"), names))
        if self._sh(holds) == 0:
            return False
        assert self._sh(command) == 0 == self._sh(holds)
        return True

    @property
    def asks(self) -> int:
        return len(self.asked.read_text().splitlines())

    def _below(self, text: str) -> str:
        return text.replace("/etc/", f"{self.place}/etc/").replace("/opt/", f"{self.place}/opt/")

    def _program(self, path: Path, script: str) -> None:
        path.write_text(script if script.startswith("#!") else f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def _sh(self, command: str) -> int:
        variables = os.environ | {"PATH": f"{self.place}/bin:{os.environ['PATH']}"}
        return subprocess.run(["sh", "-c", command], env=variables, check=False, timeout=PATIENCE).returncode


def test_an_authority_is_asked_once_for_the_same_names(tmp_path: Path, release: Release) -> None:
    host = Host(tmp_path, release)
    assert (host.deploy(NAME), host.deploy(NAME), host.asks) == (True, False, 1)
    assert host.pem.read_text() == "key\n1\n" and host.pem.stat().st_mode & 0o777 == 0o600
    assert (host.deploy(NAME, "www.store.test"), host.asks) == (True, 2)


def test_a_certificate_that_nginx_has_lost_is_put_back_without_asking(tmp_path: Path, release: Release) -> None:
    host = Host(tmp_path, release)
    host.deploy(NAME)
    for loss in (host.pem.unlink, lambda: host.pem.write_text("placeholder\n")):
        loss()
        assert (host.deploy(NAME), host.deploy(NAME), host.asks) == (True, False, 1)
        assert host.pem.read_text() == "key\n1\n"


def test_a_certificate_that_certbot_has_lost_too_is_asked_for(tmp_path: Path, release: Release) -> None:
    host = Host(tmp_path, release)
    host.deploy(NAME)
    (host.lineage / "privkey.pem").unlink()
    host.pem.write_text("placeholder\n")
    assert (host.deploy(NAME), host.asks, host.pem.read_text()) == (True, 2, "key\n2\n")
