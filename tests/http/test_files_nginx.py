"""One table of requests against both carriers of a file: the portal alone, and nginx in front of it."""

import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from deploys.plan.nginx import FILE_ERRORS
from portal.http import people, security_headers
from portal.http.conditional import http_date
from tests.support.nginx import NGINX, USER
from tests.support.nginx import running as serving
from tests.support.patience import PATIENCE
from tests.support.portal import free_port

REPOSITORY = Path(__file__).parents[2]

APP = """
import json
from pathlib import Path

import bottle

from portal.http import security_headers
from portal.http.files import DamagedFileError, Representation, respond

ROOT = Path(__file__).parent
FILES = json.loads((ROOT / "files.json").read_text())
app = bottle.Bottle()
app.default_error_handler = lambda error: error.body


@app.get("/ready")
def ready():
    return str(ROOT)


@app.route("/<name>", method=["GET", "HEAD"])
def serve(name):
    seen_by_nginx = bottle.request.query.get("seen_by_nginx", name)
    accel = f"/_files/{seen_by_nginx}" if bottle.request.get_header("X-Behind-Nginx") else None
    try:
        return respond(bottle.request, Representation(path=ROOT / "store" / name, accel=accel, **FILES[name]))
    except FileNotFoundError:
        return bottle.HTTPResponse("not found", 404)
    except DamagedFileError:
        return bottle.HTTPResponse("damaged", 500)


secured = security_headers.secured(app)
"""

NGINX_CONF = """
daemon off;
{user}
pid {root}/nginx.pid;
error_log stderr;
events {{ }}
http {{
    access_log off;
    include {root}/readers.conf;
    client_body_temp_path {root}/nginx-body;
    proxy_temp_path {root}/nginx-proxy;
    fastcgi_temp_path {root}/nginx-fastcgi;
    uwsgi_temp_path {root}/nginx-uwsgi;
    scgi_temp_path {root}/nginx-scgi;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://127.0.0.1:{portal};
            proxy_set_header X-Behind-Nginx yes;
        }}
        include {root}/files.conf;
    }}
}}
"""

MODIFIED = 1_700_000_000
CONTENT = bytes(range(256)) * 2400  # 600 KiB: three reads of the portal's
SIZE = len(CONTENT)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
ETAG = f'"{SHA256}"'
OTHER = '"0123"'
DATE, EARLIER, LATER = http_date(MODIFIED), http_date(MODIFIED - 1), http_date(MODIFIED + 1)
FIELDS = {
    "accept-ranges": "bytes",
    "cache-control": "public, max-age=86400, immutable",
    "content-disposition": "attachment; filename=org.example.app-1.0.0.mosis",
    "content-type": "application/vnd.mosis",
    "etag": ETAG,
    "last-modified": DATE,
    "repr-digest": f"sha-256=:{b64encode(bytes.fromhex(SHA256)).decode()}:",
    "x-mosis-signature": "c2lnbmF0dXJl",
    "x-mosis-version": "1.0.0",
}


@dataclass(frozen=True)
class Answer:
    status: int
    fields: list[tuple[str, str]]
    body: bytes

    def get(self, name: str) -> str | None:
        """The one value of a field, None without it."""
        values = [value for field_name, value in self.fields if field_name == name]
        assert len(values) <= 1, f"{name} occurs {len(values)} times"
        return values[0] if values else None


def exchange(port: int, request: bytes) -> Answer:
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        connection.sendall(request)
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = received.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    pairs = [line.split(":", 1) for line in lines]
    return Answer(int(status.split()[1]), [(name.lower(), value.strip()) for name, value in pairs], body)


def ask(port: int, path: str, *lines: str, method: str = "GET") -> Answer:
    head = [f"{method} {path} HTTP/1.1", "Host: test", "Connection: close", *lines]
    return exchange(port, "\r\n".join([*head, "", ""]).encode("latin-1"))


@contextmanager
def running(command: list[str], port: int, identity: str) -> Iterator[bool]:
    """The process while it answers /ready with its identity; False if another process has taken the port."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=REPOSITORY)
    try:
        yield is_ready(process, port, identity)
    finally:
        process.terminate()
        process.wait(PATIENCE)


def is_ready(process: subprocess.Popen, port: int, identity: str) -> bool:
    deadline = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        try:
            return ask(port, "/ready").body.decode() == identity
        except (OSError, IndexError):
            time.sleep(0.02)
    return False


@contextmanager
def portal(root: Path) -> Iterator[int]:
    for _ in range(5):
        port = free_port()
        command = [
            sys.executable,
            "-m",
            "granian",
            "--interface",
            "wsgi",
            "--port",
            str(port),
            "--blocking-threads",
            "4",
        ]
        with running([*command, "--working-dir", str(root), "app:secured"], port, str(root)) as ready:
            if ready:
                yield port
                return
    pytest.fail("granian did not start on five ports")


@contextmanager
def nginx(root: Path, portal_port: int) -> Iterator[int]:
    templates = Environment(loader=FileSystemLoader(REPOSITORY / "templates"), undefined=StrictUndefined)
    files = templates.get_template("nginx/files.conf.j2").render(
        root=root / "store", file_errors=FILE_ERRORS, security=security_headers.DEFAULTS
    )
    problems = templates.get_template("nginx/problems.conf.j2").module
    (root / "files.conf").write_text(files + problems.locations(FILE_ERRORS))
    (root / "readers.conf").write_text(problems.readers(people.PROGRAM_PATHS))
    with serving(lambda port: NGINX_CONF.format(user=USER, root=root, port=port, portal=portal_port), root) as url:
        yield int(url.rpartition(":")[2])


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("files")
    contents = {"package": CONTENT, "empty": b"", "short": CONTENT, "gone": CONTENT}
    common = {
        "modified": MODIFIED,
        "cache_control": FIELDS["cache-control"],
        "content_type": FIELDS["content-type"],
        "filename": "org.example.app-1.0.0.mosis",
        "headers": {"X-Mosis-Version": "1.0.0", "X-Mosis-Signature": "c2lnbmF0dXJl"},
    }
    records = {
        name: {"size": len(content), "sha256": hashlib.sha256(content).hexdigest(), **common}
        for name, content in contents.items()
    }
    (root / "files.json").write_text(json.dumps(records))
    (root / "app.py").write_text(APP)
    (root / "store").mkdir()
    (root / "store" / "package").write_bytes(CONTENT)
    os.utime(root / "store" / "package", (MODIFIED - 1, MODIFIED - 1))  # nginx must use the portal's date, not this one
    (root / "store" / "empty").write_bytes(b"")
    (root / "store" / "short").write_bytes(CONTENT[:-1])
    return root


@pytest.fixture(scope="module")
def portal_port(root) -> Iterator[int]:
    with portal(root) as port:
        yield port


@pytest.fixture(scope="module")
def nginx_port(root, portal_port) -> Iterator[int]:
    if NGINX is None:
        pytest.skip("nginx is not installed")
    with nginx(root, portal_port) as port:
        yield port


@pytest.fixture(params=["portal", "nginx"])
def port(request) -> int:
    return request.getfixturevalue(f"{request.param}_port")


@dataclass(frozen=True)
class Case:
    """Request lines and what they must give; `span` is the bytes of a single range, None without a body."""

    name: str
    lines: tuple[str, ...] = ()
    status: int = 200
    span: tuple[int, int] | None = (0, SIZE)
    path: str = "/package"
    method: str = "GET"


def whole(name: str, *lines: str) -> Case:
    return Case(name, lines)


def part(name: str, start: int, stop: int, *lines: str) -> Case:
    return Case(name, lines, 206, (start, stop))


def unmodified(name: str, *lines: str) -> Case:
    return Case(name, lines, 304, None)


def failed(name: str, *lines: str) -> Case:
    return Case(name, lines, 412, None)


def unsatisfiable(name: str, *lines: str) -> Case:
    return Case(name, lines, 416, None)


def head(name: str, *lines: str, status: int = 200) -> Case:
    return Case(name, lines, status, None, method="HEAD")


CASES = [
    whole("plain"),
    part("first bytes", 0, 100, "Range: bytes=0-99"),
    part("one byte", 0, 1, "Range: bytes=0-0"),
    part("inner", 1000, 400_000, "Range: bytes=1000-399999"),
    part("open end", SIZE - 300_000, SIZE, f"Range: bytes={SIZE - 300_000}-"),
    part("everything", 0, SIZE, "Range: bytes=0-"),
    part("suffix", SIZE - 7, SIZE, "Range: bytes=-7"),
    part("suffix beyond the size", 0, SIZE, f"Range: bytes=-{SIZE + 1}"),
    part("end beyond the size", SIZE - 1, SIZE, f"Range: bytes={SIZE - 1}-{SIZE + 99}"),
    part("end at the largest number of 64 bits", 5, SIZE, f"Range: bytes=5-{2**63 - 1}"),
    part("leading zeros", 5, 8, f"Range: bytes={'0' * 30}5-0007"),
    part("unit in capitals", 0, 2, "Range: BYTES=0-1"),
    unsatisfiable("start at the size", f"Range: bytes={SIZE}-"),
    unsatisfiable("start beyond 64 bits", f"Range: bytes={'9' * 30}-"),
    unsatisfiable("empty suffix", "Range: bytes=-0"),
    whole("end beyond 64 bits", f"Range: bytes=5-{2**63}"),
    whole("suffix beyond 64 bits", f"Range: bytes=-{2**63}"),
    whole("several ranges", "Range: bytes=0-0,-1"),
    whole("several ranges that overlap", "Range: bytes=0-199,100-299"),
    whole("several ranges of which one is satisfiable", f"Range: bytes={SIZE}-,3-4"),
    whole("several ranges beyond the size", f"Range: bytes={SIZE}-,{SIZE + 5}-{SIZE + 6}"),
    whole("several ranges and the tag", "Range: bytes=0-0,-1", f"If-Range: {ETAG}"),
    whole("empty list items", "Range: bytes=,0-1,,"),
    whole("blanks in the list", "Range: bytes= 0-1 "),
    whole("unknown unit", "Range: pages=1-2"),
    whole("no unit", "Range: 0-99"),
    whole("no ranges", "Range: bytes="),
    whole("only commas", "Range: bytes=,"),
    whole("end before start", "Range: bytes=9-8"),
    whole("no digits", "Range: bytes=-"),
    whole("letters", "Range: bytes=a-b"),
    whole("sign", "Range: bytes=+0-1"),
    whole("blank inside", "Range: bytes=0 - 1"),
    part("If-Range: tag", 5, SIZE, "Range: bytes=5-", f"If-Range: {ETAG}"),
    whole("If-Range: other tag", "Range: bytes=5-", f"If-Range: {OTHER}"),
    whole("If-Range: weak tag", "Range: bytes=5-", f"If-Range: W/{ETAG}"),
    whole("If-Range: unquoted tag", "Range: bytes=5-", f"If-Range: {SHA256}"),
    whole("If-Range: list", "Range: bytes=5-", f"If-Range: {ETAG}, {OTHER}"),
    whole("If-Range: star", "Range: bytes=5-", "If-Range: *"),
    part("If-Range: date", 5, SIZE, "Range: bytes=5-", f"If-Range: {DATE}"),
    whole("If-Range: earlier date", "Range: bytes=5-", f"If-Range: {EARLIER}"),
    whole("If-Range: later date", "Range: bytes=5-", f"If-Range: {LATER}"),
    whole("If-Range: not a date", "Range: bytes=5-", "If-Range: yesterday"),
    whole("If-Range without Range", f"If-Range: {OTHER}"),
    whole("If-Range: other tag, unsatisfiable", f"Range: bytes={SIZE}-", f"If-Range: {OTHER}"),
    unsatisfiable("If-Range: tag, unsatisfiable", f"Range: bytes={SIZE}-", f"If-Range: {ETAG}"),
    whole("If-Match: tag", f"If-Match: {ETAG}"),
    whole("If-Match: list", f"If-Match: {OTHER}, {ETAG}"),
    whole("If-Match: star", "If-Match: *"),
    failed("If-Match: other", f"If-Match: {OTHER}"),
    failed("If-Match: weak", f"If-Match: W/{ETAG}"),
    failed("If-Match: not a list of tags", "If-Match: nonsense"),
    part("If-Match with Range", 5, SIZE, "Range: bytes=5-", f"If-Match: {ETAG}"),
    failed("If-Match before Range", "Range: bytes=5-", f"If-Match: {OTHER}"),
    failed("If-Match before an unsatisfiable Range", f"Range: bytes={SIZE}-", f"If-Match: {OTHER}"),
    failed("If-Match before If-None-Match", f"If-Match: {OTHER}", f"If-None-Match: {ETAG}"),
    unmodified("If-Match holds, then If-None-Match", f"If-Match: {ETAG}", f"If-None-Match: {ETAG}"),
    whole("If-Match hides If-Unmodified-Since", f"If-Match: {ETAG}", f"If-Unmodified-Since: {EARLIER}"),
    whole("If-Unmodified-Since: same", f"If-Unmodified-Since: {DATE}"),
    whole("If-Unmodified-Since: later", f"If-Unmodified-Since: {LATER}"),
    failed("If-Unmodified-Since: earlier", f"If-Unmodified-Since: {EARLIER}"),
    whole("If-Unmodified-Since: not a date", "If-Unmodified-Since: yesterday"),
    part("If-Unmodified-Since with Range", 5, SIZE, "Range: bytes=5-", f"If-Unmodified-Since: {DATE}"),
    failed("If-Unmodified-Since before If-None-Match", f"If-Unmodified-Since: {EARLIER}", f"If-None-Match: {ETAG}"),
    unmodified("If-None-Match: tag", f"If-None-Match: {ETAG}"),
    unmodified("If-None-Match: weak", f"If-None-Match: W/{ETAG}"),
    unmodified("If-None-Match: list", f'If-None-Match: "a,b", W/"c" , {ETAG}'),
    unmodified("If-None-Match: star", "If-None-Match: *"),
    whole("If-None-Match: other", f"If-None-Match: {OTHER}"),
    whole("If-None-Match: the tag that nginx would give", f'If-None-Match: "{MODIFIED - 1:x}-{SIZE:x}"'),
    whole("If-None-Match: unquoted", f"If-None-Match: {SHA256}"),
    whole("If-None-Match hides If-Modified-Since", f"If-None-Match: {OTHER}", f"If-Modified-Since: {DATE}"),
    unmodified(
        "If-None-Match: tag, If-Modified-Since: earlier", f"If-None-Match: {ETAG}", f"If-Modified-Since: {EARLIER}"
    ),
    unmodified("If-None-Match before Range", "Range: bytes=5-", f"If-None-Match: {ETAG}"),
    part("If-None-Match: other, Range", 5, SIZE, "Range: bytes=5-", f"If-None-Match: {OTHER}"),
    unmodified("If-Modified-Since: same", f"If-Modified-Since: {DATE}"),
    unmodified("If-Modified-Since: later", f"If-Modified-Since: {LATER}"),
    unmodified("If-Modified-Since: RFC 850", "If-Modified-Since: Tuesday, 14-Nov-23 22:13:20 GMT"),
    unmodified("If-Modified-Since: asctime", "If-Modified-Since: Tue Nov 14 22:13:20 2023"),
    whole("If-Modified-Since: earlier", f"If-Modified-Since: {EARLIER}"),
    whole("If-Modified-Since: not a date", "If-Modified-Since: yesterday"),
    unmodified("If-Modified-Since before Range", "Range: bytes=5-", f"If-Modified-Since: {DATE}"),
    part("If-Modified-Since: earlier, Range", 5, SIZE, "Range: bytes=5-", f"If-Modified-Since: {EARLIER}"),
    head("HEAD"),
    head("HEAD ignores Range", "Range: bytes=5-"),
    head("HEAD ignores an unsatisfiable Range", f"Range: bytes={SIZE}-"),
    head("HEAD If-None-Match", f"If-None-Match: {ETAG}", status=304),
    head("HEAD If-Modified-Since", f"If-Modified-Since: {DATE}", status=304),
    head("HEAD If-Match: other", f"If-Match: {OTHER}", status=412),
    Case("no file, no validators", (f"If-None-Match: {ETAG}",), 404, None, "/gone"),
    Case("a shorter file is refused", (), 500, None, "/short"),
    Case("a shorter file is refused a range within it", ("Range: bytes=0-1",), 500, None, "/short"),
]
PER_RESPONSE = ("date", "server", "connection", "x-request-id")
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def send(port: int, case: Case) -> Answer:
    return ask(port, case.path, *case.lines, method=case.method)


@each_case
def test_answer(port, case):
    answer = send(port, case)
    assert answer.status == case.status
    if case.status in (200, 206):
        start, stop = case.span or (0, SIZE)
        assert {name: answer.get(name) for name in FIELDS} == FIELDS
        assert answer.get("content-length") == str(stop - start)
        assert answer.get("content-range") == (f"bytes {start}-{stop - 1}/{SIZE}" if case.status == 206 else None)
        assert answer.body == (CONTENT[start:stop] if case.span else b"")
    if case.status == 304:
        assert answer.get("etag") == ETAG
        assert answer.get("cache-control") == FIELDS["cache-control"]
        assert answer.get("date")
        assert answer.get("content-type") is None
        assert answer.body == b""
    if case.status == 416:
        assert answer.get("content-range") == f"bytes */{SIZE}"
    if case.status in (404, 412, 416, 500):
        assert answer.get("etag") is None
        assert answer.get("cache-control") is None


@each_case
def test_both_paths_answer_the_same(portal_port, nginx_port, case):
    ours, theirs = (
        {(name, value) for name, value in send(port, case).fields if name not in PER_RESPONSE}
        for port in (portal_port, nginx_port)
    )
    assert ours == theirs


def test_an_empty_file_has_no_ranges(port):
    for lines in [(), ("Range: bytes=0-",), ("Range: bytes=-5",), ("Range: bytes=0-0",)]:
        answer = ask(port, "/empty", *lines)
        assert (answer.status, answer.get("content-length"), answer.body) == (200, "0", b"")


def test_repeated_lines_are_one_list(portal_port):
    """Only with the portal alone: nginx 1.22 answers 400 to a repeated precondition."""
    assert ask(portal_port, "/package", f"If-Match: {OTHER}", f"If-Match: {ETAG}").status == 200
    assert ask(portal_port, "/package", f"If-None-Match: {OTHER}", f"If-None-Match: {ETAG}").status == 304


@pytest.mark.parametrize(
    ("client", "command"),
    [
        ("curl", ["curl", "--silent", "--fail", "--continue-at", "-", "--output", "{target}", "{url}"]),
        ("aria2c", ["aria2c", "--quiet", "--continue", "--dir={target.parent}", "--out={target.name}", "{url}"]),
        ("wget", ["wget", "--quiet", "--continue", "--output-document={target}", "{url}"]),
    ],
)
def test_real_clients_resume(port, client, command, tmp_path):
    if shutil.which(client) is None:
        pytest.skip(f"{client} is not installed")
    target = tmp_path / "package"
    target.write_bytes(CONTENT[:123_456])
    url = f"http://127.0.0.1:{port}/package"
    subprocess.run([word.format(target=target, url=url) for word in command], check=True, timeout=PATIENCE)
    assert target.read_bytes() == CONTENT


def test_internal_locations_are_closed_to_the_outside(nginx_port):
    assert ask(nginx_port, "/_files/package").status == 404
    assert ask(nginx_port, "/_files/range/package").status == 404


@pytest.mark.parametrize("lines", [(), ("Range: bytes=5-",)], ids=["whole", "range"])
def test_a_file_that_nginx_cannot_open_is_not_cached(nginx_port, lines):
    """The portal's headers do not appear on nginx's own error, be it that the file is gone or has a wrong mode."""
    answer = ask(nginx_port, "/package?seen_by_nginx=gone", *lines)
    assert answer.status == 404
    assert json.loads(answer.body)["code"] == "FILE_NOT_FOUND"
    assert (answer.get("content-type"), answer.get("cache-control")) == ("application/problem+json", "no-store")
    assert not {name for name, _ in answer.fields} & (FIELDS.keys() - {"content-type", "cache-control"})
