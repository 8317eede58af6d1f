"""nginx's own errors come from the portal's tables, on every host."""

import json
import re
from base64 import b64encode
from hashlib import sha256

import pytest

from deploys.plan import plan
from deploys.plan.nginx import ERRORS, FILE_ERRORS, STANDBY_ERRORS, Error
from deploys.plan.release import Release
from portal.http import problems
from portal.web import rendering

RUNTIMES: dict[str, dict[str, object]] = {
    "local": {"mosis_runtime": "local", "mosis_root": "/home/dev/mosis", "mosis_nginx": "/usr/sbin/nginx"},
    "systemd": {"mosis_runtime": "systemd"},
    "compose": {"mosis_runtime": "compose"},
    "https": {
        "mosis_runtime": "systemd",
        "mosis_server_names": ("store.example.org",),
        "mosis_tls": {"acme": "a@example.org"},
    },
    "standby": {"mosis_runtime": "systemd", "mosis_follows": "store"},
}


@pytest.mark.parametrize("error", [*ERRORS, *FILE_ERRORS, *STANDBY_ERRORS], ids=lambda error: error.code)
def test_an_error_can_stand_in_the_configuration(error: Error) -> None:
    """nginx reads a parameter of up to 4 kB, knows no escape for `$`, and a template may indent a line."""
    assert error.code in problems.KINDS
    for representation in error.representations:
        assert not set(representation.text.replace("$request_id", "")) & set("$\n")
        assert len(representation.parameter.encode()) < 4000


@pytest.mark.parametrize("data", RUNTIMES.values(), ids=RUNTIMES)
def test_every_host_answers_from_the_table(release: Release, data: dict[str, object]) -> None:
    """What nginx answers with a text of its own is an error of the table in both forms, and no status lacks one."""
    text = "\n".join(file.content for file in plan(data, release).services["nginx"].files)
    servers = [server for server in re.split(r"(?m)^ *server {\n", text)[1:] if "location" in server]
    assert servers
    for server in servers:
        answers_from_the_table(server)


def answers_from_the_table(text: str) -> None:
    answered = re.findall(r"location = (\S+) {([^}]*?)return ([45]\d\d) '(.*)';", text)
    assert answered
    for address, directives, status, body in answered:
        code = address.removeprefix("/_problems/").removesuffix("-page")
        shown, is_page = body.replace("\\'", "'"), address.endswith("-page")
        assert int(status) == problems.KINDS[code].status
        assert f'default_type "{rendering.HTML if is_page else problems.CONTENT_TYPE}"' in directives
        assert is_page or json.loads(shown) == problems.body(code, json.loads(shown)["detail"])
        assert not is_page or (problems.KINDS[code].title in shown and style_is_allowed(shown, directives))
    pages = {*re.findall(r"^ *error_page (.*);", text, re.MULTILINE)} - {"502 = $mosis_no_answer"}
    led_to = {page.rpartition(" ")[2].replace("/_refused/", "/_problems/") for page in pages}
    assert {address.removesuffix("-page") + "$mosis_page" for address, *_ in answered} == led_to
    assert len(answered) == 2 * len(led_to)
    answered_by = {int(status) for statuses in re.findall(r"error_page ([\d ]+)=", text) for status in statuses.split()}
    assert answered_by >= {status for error in ERRORS for status in error.statuses}


def style_is_allowed(page: str, directives: str) -> bool:
    [style] = re.findall("<style>(.*)</style>", page)
    return f"style-src 'sha256-{b64encode(sha256(style.encode()).digest()).decode()}'" in directives


LIMITS = (
    "client_max_body_size", "client_header_timeout", "client_body_timeout", "lingering_time", "lingering_timeout",
    "send_timeout", "keepalive_timeout", "reset_timedout_connection on", "limit_conn mosis_client",
    "limit_req zone=mosis_requests", "limit_req_status 429",
)  # fmt: skip


@pytest.mark.parametrize("data", [data for name, data in RUNTIMES.items() if name != "standby"])
def test_every_server_for_the_public_has_every_limit(release: Release, data: dict[str, object]) -> None:
    """Also the one that leads to https. A standby serves nobody, and logs nothing."""
    text = "\n".join(file.content for file in plan(data, release).services["nginx"].files)
    servers = [server for server in re.split(r"(?m)^ *server {\n", text)[1:] if "backlog=" in server]
    assert len(servers) == (2 if "mosis_tls" in data else 1)
    for server in servers:
        of_all_requests = re.split(r"(?m)^ *location ", server)[0]
        for limit in LIMITS:
            assert re.search(rf"(?m)^ +{limit}\b", of_all_requests), limit
        assert re.search(r"(?m)^ +access_log .* if=\$mosis_logged;$", of_all_requests)


def test_every_address_for_uploads_has_its_limits(release: Release) -> None:
    """Bytes and seconds: a signed upload continues elsewhere, so that it may be silent for less time than a form."""
    text = "\n".join(file.content for file in plan(RUNTIMES["systemd"], release).services["nginx"].files)
    uploads = re.findall(r"location ~ \^/(\S+)\$ {([^}]*proxy_request_buffering off[^}]*)", text)
    limits = {path: re.findall(r"(?m)^ +client_(?:max_body_size|body_timeout) (\w+);", body) for path, body in uploads}
    package, image = str(51 * 1024 * 1024), str(10_000_000 + 1024 * 1024)
    assert [*limits.values()] == [[package, "10s"], [package, "30s"], [image, "30s"]], limits
    for path, body in uploads:
        assert {"limit_conn mosis_client 256;", "limit_conn mosis_sender_client 16;"} <= {
            line.strip() for line in body.splitlines()
        }, path


NOT_OURS = (
    r"^\s*(auth_\w+|ssl_(?:client|verify|trusted)\w*|dav_\w+|image_filter\w*|autoindex|limit_conn_status"
    r"|mp4|flv|index) "
)


def test_no_module_is_used_whose_answers_have_no_form_here(release: Release) -> None:
    """The reasons of tests/http/test_nginx_errors.py for the statuses that nginx never answers."""
    for data in RUNTIMES.values():
        text = "\n".join(file.content for file in plan(data, release).services["nginx"].files)
        assert re.findall(NOT_OURS, text, re.MULTILINE) == []
