"""A certificate authority inside the network of a host: Let's Encrypt's own for tests of ACME, Pebble."""

import json
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.hosts.machine import Machine
from tests.hosts.shell import until
from tests.support.nginx import certificate_in

DIRECTORY = "https://localhost:14000/dir"
STEADY = ("PEBBLE_VA_NOSLEEP=1", "PEBBLE_WFE_NONCEREJECT=0")  # else it sleeps, and refuses one request in twenty
DNS = "127.0.0.1:8053"
TRUSTED = "usr/local/share/ca-certificates/pebble.crt"  # what ca-certificates of the host takes in when it is installed


@contextmanager
def pebble(machine: Machine, place: Path) -> Iterator[None]:
    """It answers at DIRECTORY, and finds every name at the host itself. `place` gets what it reads, and its log."""
    certificate, key = certificate_in(place, "localhost")
    (machine.root / TRUSTED).parent.mkdir(parents=True, exist_ok=True)
    (machine.root / TRUSTED).write_bytes(certificate.read_bytes())
    listen = {"listenAddress": "127.0.0.1:14000", "managementListenAddress": "127.0.0.1:15000"}
    files = {"certificate": str(certificate), "privateKey": str(key)}
    (place / "pebble.json").write_text(json.dumps({"pebble": {**listen, **files, "httpPort": 80, "tlsPort": 443}}))
    names = ("pebble-challtestsrv", "-dns01", DNS, "-defaultIPv4", "127.0.0.1", "-defaultIPv6", "")
    others = [word for kind in ("http01", "https01", "tlsalpn01", "management") for word in (f"-{kind}", "")]
    authority = ("pebble", "-config", str(place / "pebble.json"), "-dnsserver", DNS)
    with ExitStack() as running:
        for command in ((*names, *others), authority):
            running.enter_context(_inside(machine, command, place / f"{command[0]}.log"))
        until("an authority", lambda: machine.try_ssh("ss -Hltn 'sport = :14000'").stdout)
        yield


@contextmanager
def _inside(machine: Machine, command: tuple[str, ...], log: Path) -> Iterator[None]:
    with log.open("wb") as output:
        inside = ["ip", "netns", "exec", machine.name, "env", *STEADY, *command]
        process = subprocess.Popen(inside, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        yield
    finally:
        process.terminate()
        process.wait(timeout=10)


def issued(machine: Machine, place: Path) -> ssl.SSLContext:
    """A client's trust in whoever issued the certificate that nginx of the host has been given."""
    chain = machine.ssh("sudo cat /etc/mosis/tls/certificate.pem")
    _, issuer = (f"{part}-----END CERTIFICATE-----\n" for part in chain.split("-----END CERTIFICATE-----")[:2])
    (place / "issuer.pem").write_text(issuer.lstrip())
    context = ssl.create_default_context(cafile=str(place / "issuer.pem"))
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context
