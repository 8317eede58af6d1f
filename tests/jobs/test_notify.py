"""Webhooks: signed, sent in order, tried again, and never to an address that only this host can reach."""

import base64
import hashlib
import hmac
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from portal.jobs import notify
from portal.store import apps, assets, audit, proposals, reviews, versions, webhooks
from portal.store.errors import Refused
from portal.store.store import Store
from tests.developer.test_client import serving
from tests.packages.samples import APP_ID
from tests.support.nginx import pem_in
from tests.support.portal import add_developer, make_store
from tests.support.publishing import OWNER, add_app, change, publish


@dataclass
class Receiver:
    """A webhook on this machine that answers with the next of `statuses`, then 200."""

    url: str = ""
    statuses: list[int] = field(default_factory=list)
    received: list[tuple[dict[str, str], str]] = field(default_factory=list)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    state = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            state.received.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(state.statuses.pop(0) if state.statuses else 200)
            self.send_header("Location", state.url)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}/hook?a=b"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield state
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def waiting(tmp_path: Path) -> Iterator[Store]:
    """A store that sends to private addresses too, with two versions in review."""
    store = make_store(tmp_path / "store", webhooks="any")
    add_developer(store, "acme")
    add_app(store, APP_ID)
    with pytest.MonkeyPatch.context() as draft:
        draft.setattr("tests.support.publishing.change", lambda *_: None)
        for code in (1, 2):
            publish(store, APP_ID, code)
    for code in (1, 2):
        change(store, APP_ID, code, "submit")
    yield store
    store.db.close()


def subscribed(store: Store, url: str) -> webhooks.Webhook:
    with store.db.write() as tx:
        return webhooks.put(tx, store.settings, OWNER, url)


def decide(store: Store, code: int, action: str, reason: str = "") -> None:
    with store.db.write() as tx:
        app = apps.get(tx, APP_ID)
        reviews.step(tx, store, audit.OPERATOR, app, code, action, reason=reason, sha256=None)


def left(store: Store) -> list[webhooks.Delivery]:
    return webhooks.waiting(store.db.read(), "acme")


def later(store: Store) -> None:
    """Let every wait be over."""
    with store.db.write() as tx:
        tx.execute("UPDATE deliveries SET next_at = 0")


def test_the_end_of_each_review_arrives_in_order_and_signed(waiting: Store, receiver: Receiver) -> None:
    webhook = subscribed(waiting, receiver.url)
    decide(waiting, 1, "reject", "The icon is missing.")
    decide(waiting, 2, "publish")
    notify.notify(waiting)
    assert left(waiting) == []
    bodies = [json.loads(body) for _, body in receiver.received]
    assert [body["type"] for body in bodies] == ["version.reject", "version.publish"]
    assert bodies[0]["data"] == {
        "app_id": APP_ID, "version_code": 1, "version": "1.0.0", "status": "rejected", "reason": "The icon is missing.",
    }  # fmt: skip
    for headers, body in receiver.received:
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.{body}".encode()
        key = base64.b64decode(webhook.secret.removeprefix("whsec_"))
        digest = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        assert headers["webhook-signature"] == f"v1,{digest}"
    assert len({headers["webhook-id"] for headers, _ in receiver.received}) == 2


def test_the_end_of_a_review_of_images_arrives_too(waiting: Store) -> None:
    decide(waiting, 1, "publish")
    add_developer(waiting, "second", None, "reviewer")
    subscribed(waiting, "https://example.org/")
    reviewer = audit.Actor("second", "reviewer", None, "test")
    app = apps.get(waiting.db.read(), APP_ID)

    assets.put_icon(waiting, OWNER, app, {32: b"changed"})
    digest = proposals.digest(proposals.applied(waiting.db.read(), APP_ID))
    with waiting.db.write() as tx:
        proposals.reject(tx, reviewer, app, digest, "It is blurred.")
    with waiting.db.write() as tx:
        proposals.publish(tx, waiting, reviewer, app, digest, "Fine.")
    bodies = [json.loads(delivery.body) for delivery in left(waiting)]
    assert [(body["type"], body["data"]) for body in bodies] == [
        ("images.reject", {"app_id": APP_ID, "status": "rejected", "reason": "It is blurred."}),
        ("images.publish", {"app_id": APP_ID, "status": "published", "reason": "Fine."}),
    ]


def test_without_a_webhook_nothing_waits(waiting: Store) -> None:
    decide(waiting, 1, "publish")
    assert left(waiting) == []


def test_what_fails_is_tried_again_before_what_follows(waiting: Store, receiver: Receiver) -> None:
    subscribed(waiting, receiver.url)
    for code in (1, 2):
        decide(waiting, code, "reject", "So.")
    receiver.statuses = [500, 302]
    notify.notify(waiting)
    assert [(one.tries, one.fault) for one in left(waiting)] == [(1, "The webhook answered 500."), (0, None)]
    notify.notify(waiting)
    assert len(receiver.received) == 1, "its time has not come"
    later(waiting)
    notify.notify(waiting)
    assert [one.fault for one in left(waiting)] == ["The webhook answered 302.", None], "redirects are not followed"
    assert len(receiver.received) == 2
    later(waiting)
    notify.notify(waiting)
    assert left(waiting) == []
    assert len(receiver.received) == 4


def test_a_webhook_that_never_answers_is_given_up(waiting: Store, receiver: Receiver) -> None:
    subscribed(waiting, receiver.url)
    decide(waiting, 1, "publish")
    receiver.statuses = [503] * webhooks.TRIES_MAX
    waits = []
    for _ in range(webhooks.TRIES_MAX):
        later(waiting)
        notify.notify(waiting)
        waits += [one.next_at for one in left(waiting)]
    assert left(waiting) == []
    assert waits == sorted(waits)
    [given_up] = [row for row in audit.entries(waiting.db.read()) if row.action == "webhook.give-up"]
    assert given_up.subject == "acme"


def test_a_private_address_is_refused_unless_it_is_allowed(waiting: Store, receiver: Receiver) -> None:
    webhook = subscribed(waiting, receiver.url)
    decide(waiting, 1, "publish")
    [delivery] = left(waiting)
    with pytest.raises(notify.NotSentError, match="No public address") as refused:
        notify.send(webhook, delivery, private=False)
    assert "127.0.0.1, which is not public" in refused.value.detail
    assert receiver.received == []


def test_a_fault_says_nothing_of_the_network_of_the_host(waiting: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer could else find out which hosts and ports there are inside."""

    def fault(setting: str, failure: Callable[[], object]) -> tuple[str | None, str]:
        store = Store(waiting.settings.model_copy(update={"webhooks": setting}), waiting.db, waiting.layout)
        later(store)
        lines: list[str] = []
        with monkeypatch.context() as network:
            network.setattr(notify.socket, "getaddrinfo", lambda *_args, **_options: failure())
            notify.notify(store, lines.append)
        return left(store)[0].fault, lines[0]

    def unknown() -> object:
        raise socket.gaierror(-2, "Name or service not known")

    def address(found: str, port: int = 443) -> Callable[[], object]:
        return lambda: [(2, 1, 6, "", (found, port))]

    subscribed(waiting, "http://nas.lan/")
    decide(waiting, 1, "publish")
    private, operator = fault("public", address("10.1.2.3"))
    assert "10.1.2.3" in operator
    assert private == fault("public", unknown)[0]
    assert "10." not in str(private)
    with socket.create_server(("127.0.0.1", 0)) as server:
        silent = server.getsockname()[1]
        subscribed(waiting, f"http://127.0.0.1:{silent}/")
    with monkeypatch.context() as clear:
        clear.setattr(notify, "ANSWER_SECONDS", 0.5)
        decide(waiting, 2, "publish")
        closed, operator = fault("any", address("127.0.0.1", silent))
    assert closed == fault("any", unknown)[0] == notify.UNREACHABLE
    assert "refused" in operator


def test_deliveries_to_a_dead_webhook_are_bounded_in_number_and_age(
    waiting: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "WAITING_MAX", 3)
    subscribed(waiting, "http://127.0.0.1:9/")
    with waiting.db.write() as tx:
        version = versions.get(tx, APP_ID, 1)
        for _ in range(5):
            webhooks.announce(tx, apps.get(tx, APP_ID), version, "reject")
    assert [delivery.number for delivery in left(waiting)] == [3, 4, 5], "the newest stay"
    with waiting.db.write() as tx:
        tx.execute("UPDATE deliveries SET created_at = created_at - ? WHERE number <= 4", (webhooks.KEPT_SECONDS,))
    notify.notify(waiting)
    assert [delivery.number for delivery in left(waiting)] == [5]
    dropped = [json.loads(row.detail) for row in audit.entries(waiting.db.read()) if row.action == "webhook.drop"]
    assert sum(each["deliveries"] for each in dropped) == 4


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "::1", "::",
     "fe80::1%eth0", "fd00::1", "::ffff:10.0.0.1", "2002:7f00:1::", "224.0.0.1", "ff02::1", "64:ff9b::7f00:1",
     "64:ff9b::c0a8:101", "64:ff9b:1::1", "::127.0.0.1", "::ffff:0:127.0.0.1", "fec0::1", "5f00::1", "3fff::1"],
)  # fmt: skip
def test_what_is_no_public_address(address: str) -> None:
    assert not notify._is_public(address)


@pytest.mark.parametrize(
    "address",
    ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946", "::ffff:93.184.216.34", "64:ff9b::5db8:d822"],
)
def test_what_is_a_public_address(address: str) -> None:
    assert notify._is_public(address)


@pytest.fixture
def endless(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a webhook whose answer begins with the parameter's first part, then repeats the second for ever."""
    begun, repeated = request.param
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection, suppress(OSError):
                connection.recv(65536)
                connection.sendall(begun)
                while True:
                    connection.sendall(repeated)
                    time.sleep(0.01)

        thread = threading.Thread(target=answer)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"
        thread.join()


@pytest.mark.parametrize(
    "endless",
    [(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), (b"HTTP/1.1 200 OK\r\nX: ", b"a"), (b"", b"H")],
    indirect=True,
    ids=["100 Continue", "a header", "the status line"],
)
def test_an_answer_that_does_not_end_holds_up_nobody(
    waiting: Store, endless: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notify, "ANSWER_SECONDS", 0.5)
    subscribed(waiting, endless)
    decide(waiting, 1, "publish")
    notify.notify(waiting)
    [delivery] = left(waiting)
    assert (delivery.tries, delivery.fault) == (1, "The webhook did not answer within 0.5 s.")


def test_the_connection_goes_to_the_address_that_was_checked(
    waiting: Store, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name server could give another one the second time."""
    port = int(receiver.url.partition("127.0.0.1:")[2].partition("/")[0])
    webhook = subscribed(waiting, f"http://hook.example:{port}/")
    decide(waiting, 1, "publish")
    answers = [[(2, 1, 6, "", ("127.0.0.1", port))]]
    monkeypatch.setattr(notify.socket, "create_connection", connected)
    monkeypatch.setattr(notify.socket, "getaddrinfo", lambda *_args, **_options: answers.pop(0))
    notify.send(webhook, left(waiting)[0], private=True)
    assert receiver.received[0][0]["host"] == f"hook.example:{port}"


@pytest.mark.parametrize(
    ("named", "trusted", "fault"),
    [("localhost", True, ""), ("localhost", False, "self-signed certificate"), ("evil.test", True, "mismatch")],
)
def test_a_certificate_is_of_the_name_and_of_an_authority_that_the_host_trusts(
    waiting: Store, tmp_path: Path, named: str, trusted: bool, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = pem_in(tmp_path, named)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with serving(lambda _: (200, {}, b""), certificate) as (url, seen):
        subscribed(waiting, url)
        decide(waiting, 1, "publish")
        notify.notify(waiting)
    assert (len(seen), len(left(waiting))) == ((0, 1) if fault else (1, 0))
    assert all(fault in str(delivery.fault) for delivery in left(waiting))


def connected(address: tuple[str, int], timeout: float) -> socket.socket:
    """As create_connection, which asks getaddrinfo even about an address."""
    made = socket.socket()
    made.settimeout(timeout)
    made.connect(address)
    return made


@pytest.mark.parametrize(
    ("setting", "url"),
    [("off", "https://example.org/"), ("public", "http://example.org/"), ("public", "ftp://example.org/"),
     ("any", "file:///etc/passwd"), ("any", "https://"), ("public", "https://user:secret@example.org/"),
     ("any", "https://["), ("any", "https://\u2100.example/"), ("any", "https://example.org:99999/"),
     ("any", "https://example.org/ a"), ("any", "https://example.org\r\nX: y/"), ("any", "https://\0/")],
)  # fmt: skip
def test_a_url_that_the_store_does_not_send_to(tmp_path: Path, setting: str, url: str) -> None:
    store = make_store(tmp_path / "store", webhooks=setting)
    add_developer(store, "acme", key=None)
    with pytest.raises(Refused) as refused, store.db.write() as tx:
        webhooks.put(tx, store.settings, OWNER, url)
    assert refused.value.code == "VALIDATION_ERROR"


@pytest.mark.parametrize("end", [webhooks.sent, lambda tx, delivery: webhooks.failed(tx, delivery, "Late.")])
def test_a_delivery_that_was_forgotten_while_it_was_sent_ends_no_other(
    waiting: Store, end: Callable[..., None]
) -> None:
    """SQLite uses its number again, perhaps for another developer."""
    subscribed(waiting, "http://192.0.2.1/slow")
    decide(waiting, 1, "reject", "It crashes.")
    [under_way] = webhooks.due(waiting.db.read())
    subscribed(waiting, "http://192.0.2.1/other")
    decide(waiting, 2, "reject", "So does this.")
    [other] = left(waiting)
    assert other.number == under_way.number
    with waiting.db.write() as tx:
        end(tx, under_way)
    assert left(waiting) == [other]
