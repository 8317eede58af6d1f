"""nginx with the site that a deploy writes, in front of a portal that runs."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from deploys.plan.data import HostData
from deploys.plan.nginx import render_nginx
from portal.settings import Settings
from tests.support.portal import Portal, free_port

NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
START_SECONDS = 30


USER = "user root;" if os.geteuid() == 0 else ""
"""The directories of a test are its user's alone."""


def temporary(place: Path) -> str:
    """Directives that have nginx write below `place` what it writes beside its logs."""
    areas = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    return "".join(f"{area}_temp_path {place}/{area};" for area in areas)


@contextmanager
def running(configured: Callable[[int], str], place: Path, inside: Sequence[str] = ()) -> Iterator[str]:
    """The URL at which nginx answers with the configuration for a port, which is written to `place` with its log.

    `inside` is the command that runs a program in another namespace.
    """
    place.mkdir(parents=True, exist_ok=True)
    for _ in range(5):  # another test may be given the same port
        port = free_port()
        (place / "nginx.conf").write_text(configured(port))
        with (place / "nginx.log").open("ab") as log:
            process = subprocess.Popen([*inside, str(NGINX), "-c", place / "nginx.conf"], stdout=log, stderr=log)
        try:
            if listens(process, port):
                yield f"http://127.0.0.1:{port}"
                return
        finally:
            process.terminate()
            process.wait(START_SECONDS)
    raise RuntimeError((place / "nginx.log").read_text())


@contextmanager
def nginx_before(portal: Portal, **data: object) -> Iterator[str]:
    """The URL at which nginx answers for the portal; its access log is in the store's root. `data` is host data."""
    run = portal.store.layout.root / "run"
    with running(lambda port: configuration(portal.store.settings, port, run, **data), run) as url:
        yield url


def configuration(
    settings: Settings, port: int, run: Path, variables: Mapping[str, object] | None = None, **data: object
) -> str:
    """What a deploy would have nginx read in front of the portal with these settings; `run` is nginx's own place.

    `variables` are those of the template that other runtimes have.
    """
    root = settings.root
    host = HostData.model_validate({"runtime": "local", "root": root, "port": port, **data})
    usual = {"cache": root / "run/cache", "log": root / "access.log", "addresses": ("127.0.0.1",)}
    superuser = os.geteuid() == 0
    return render_nginx(
        "nginx/nginx.conf.j2", host, settings, run=run, superuser=superuser, **usual | dict(variables or {})
    )


def listens(process: subprocess.Popen[bytes], port: int) -> bool:
    """Wait until nginx accepts connections at the port; whether it does."""
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return process.poll() is None
        time.sleep(0.02)
    return False


@contextmanager
def https_before(url: str, directory: Path) -> Iterator[str]:
    """The https URL of a reverse proxy, as people put one before a store at home, with a certificate of its own."""
    directory.mkdir()
    certificate, key = certificate_in(directory, "store.test")

    def site(port: int) -> str:
        return HTTPS.format(directory=directory, port=port, certificate=certificate, key=key, url=url)

    with running(site, directory) as plain:
        yield plain.replace("http://127.0.0.1", "https://store.test")


HTTPS = """\
daemon off;
pid "{directory}/pid";
error_log stderr;
events {{ }}
http {{
    access_log off;
    client_body_temp_path "{directory}/body";
    proxy_temp_path "{directory}/proxy";
    fastcgi_temp_path "{directory}/fastcgi";
    uwsgi_temp_path "{directory}/uwsgi";
    scgi_temp_path "{directory}/scgi";
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate "{certificate}";
        ssl_certificate_key "{key}";
        client_max_body_size 0;
        location / {{
            proxy_pass {url};
            proxy_http_version 1.1;
            proxy_request_buffering off;
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto https;
        }}
    }}
}}
"""


def certificate_in(directory: Path, name: str, *, days: int = 1) -> tuple[Path, Path]:
    """A self-signed certificate of a name or an IPv4 address, and its key."""
    certificate, key = directory / "certificate.pem", directory / "key.pem"
    kind = "IP" if name.replace(".", "").isdigit() else "DNS"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-keyout", key, "-out", certificate, "-days", str(days), "-subj", f"/CN={name}",
         "-addext", f"subjectAltName={kind}:{name}"],
        check=True, capture_output=True,
    )  # fmt: skip
    return certificate, key


def pem_in(directory: Path, name: str) -> Path:
    """A file with a self-signed certificate of a name and its key."""
    certificate, key = certificate_in(directory, name)
    both = directory / "both.pem"
    both.write_text(key.read_text() + certificate.read_text())
    return both
