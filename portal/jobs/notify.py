"""Send what waits for webhooks: signed as standardwebhooks.com has it, and tried again later where it fails.

A URL is somebody else's choice, so it must not reach what only this host can reach: with `webhooks = "public"` each
address that its host has must be a public one, and the connection goes to the address that was checked. Redirects are
not followed. Nor must it explore what only this host can see: its owner learns that a delivery failed, and only
the lines of this job say how.
"""

import base64
import hashlib
import hmac
import http.client
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

from portal import __version__
from portal.faults import Fault, sentence
from portal.jobs.alone import alone
from portal.store import job_runs, webhooks
from portal.store.clock import now
from portal.store.errors import Refused
from portal.store.store import Store
from portal.store.webhooks import Delivery, Webhook

JOB = "notify"
RUN_SECONDS = 50.0  # after which nothing more is begun, because cron starts the next run
ANSWER_SECONDS = 10.0  # for a whole delivery, however its receiver spreads the answer
FAULT_MAX = 200  # characters
UNICAST = ipaddress.IPv6Network("2000::/3")  # all that IANA has given out of IPv6; the rest is private or translated
DOCUMENTATION = (ipaddress.IPv6Network("2001:db8::/32"), ipaddress.IPv6Network("3fff::/20"))
UNREACHABLE = "The webhook cannot be reached, or does not answer as HTTP does."
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # what DNS64 answers for a host of IPv4 (RFC 6052)

Report = Callable[[str], object]


class NotSentError(Fault):
    """A delivery failed; the message says why, for the developer, and `detail` for the operator."""

    def __init__(self, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.detail = detail or message


def notify(store: Store, report: Report = lambda line: None) -> None:
    """Send what is due; `report` receives a line for each. Raises RunningError while it runs."""
    with alone(store, JOB), job_runs.recorded(store.db, JOB):
        end = time.monotonic() + RUN_SECONDS
        if webhooks.is_any_overdue(store.db.read()):
            with store.db.write() as tx:
                webhooks.prune(tx)
        while time.monotonic() < end and (due := webhooks.due(store.db.read())):
            for delivery in due:
                if time.monotonic() < end:
                    report(_deliver(store, delivery))


def _deliver(store: Store, delivery: Delivery) -> str:
    try:
        webhook = webhooks.get(store.db.read(), delivery.developer_id)
    except Refused:  # it was deleted meanwhile, and the delivery with it
        return f"{delivery.developer_id}: has no webhook any more"
    try:
        send(webhook, delivery, private=store.settings.webhooks == "any")
    except (NotSentError, OSError, http.client.HTTPException, ValueError) as error:
        with store.db.write() as tx:
            webhooks.failed(tx, delivery, shown(error)[:FAULT_MAX])
        cause = error.detail if isinstance(error, NotSentError) else sentence(error) or type(error).__name__
        return f"{delivery.developer_id}: not sent, try {delivery.tries + 1} of {webhooks.TRIES_MAX}: {cause}"
    with store.db.write() as tx:
        webhooks.sent(tx, delivery)
    return f"{delivery.developer_id}: sent"


def shown(error: Exception) -> str:
    """What the developer learns of a failure: whether a port is closed, silent or no HTTP's is the network's affair."""
    if isinstance(error, NotSentError):
        return str(error)
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"The certificate is not valid: {error.verify_message}."
    return UNREACHABLE


def send(webhook: Webhook, delivery: Delivery, *, private: bool) -> None:
    """POST a delivery, to a `private` address only if that is allowed.

    Raises NotSentError, OSError, HTTPException, ValueError.
    """
    parts = urlsplit(webhook.url)
    address = _address(str(parts.hostname), parts.port or (443 if parts.scheme == "https" else 80), private=private)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    with socket.create_connection(address, ANSWER_SECONDS) as raw, _ended_in_time(raw):
        connection = _connection(parts.scheme, str(parts.hostname), parts.port, raw)
        try:
            connection.request("POST", target, delivery.body.encode(), headers(webhook, delivery, now()))
            status = connection.getresponse().status
        finally:
            connection.close()
    if not 200 <= status < 300:
        raise NotSentError(f"The webhook answered {status}.")


def headers(webhook: Webhook, delivery: Delivery, at: int) -> dict[str, str]:
    """The headers of a delivery at the time `at`, in seconds since 1970."""
    identity = f"delivery-{delivery.created_at}-{delivery.number}"
    key = base64.b64decode(webhook.secret.removeprefix(webhooks.SECRET))
    digest = hmac.new(key, f"{identity}.{at}.{delivery.body}".encode(), hashlib.sha256).digest()
    return {
        "Content-Type": "application/json",
        "User-Agent": f"mosis/{__version__}",
        "Webhook-Id": identity,
        "Webhook-Timestamp": str(at),
        "Webhook-Signature": f"v1,{base64.b64encode(digest).decode()}",
    }


def _address(host: str, port: int, *, private: bool) -> tuple[str, int]:
    """An address of the host. Raises NotSentError if one is not public, although it must be; OSError.

    The developer cannot tell a host with a private address from one that does not exist.
    """
    refusal = f"No public address of {host} was found."
    try:
        found = [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    except socket.gaierror as error:
        if private:
            raise
        raise NotSentError(refusal, f"{host}: {error.strerror}.") from None
    for address in found:
        if not private and not _is_public(address):
            raise NotSentError(refusal, f"{host} has the address {address}, which is not public.")
    return found[0], port


def _is_public(address: str) -> bool:
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address):
        if (inner := _inner(parsed)) is not None:
            return inner.is_global and not inner.is_multicast
        return parsed in UNICAST and parsed.is_global and not any(parsed in network for network in DOCUMENTATION)
    return parsed.is_global and not parsed.is_multicast


def _inner(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address to which a gateway, or the kernel, would connect."""
    if address in NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)


@contextmanager
def _ended_in_time(connected: socket.socket) -> Iterator[None]:
    """Cut the connection after ANSWER_SECONDS: no timeout of a read ends an answer that never stops arriving.

    Raises NotSentError then.
    """
    cut, twin = threading.Event(), connected.dup()  # TLS takes over the descriptor of the other

    def end() -> None:
        cut.set()
        with suppress(OSError):
            twin.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(ANSWER_SECONDS, end)
    timer.start()
    try:
        yield
    except (OSError, http.client.HTTPException):
        if not cut.is_set():
            raise
    finally:
        timer.cancel()
        timer.join()
        twin.close()
    if cut.is_set():
        raise NotSentError(f"The webhook did not answer within {ANSWER_SECONDS:g} s.")


def _connection(scheme: str, host: str, port: int | None, raw: socket.socket) -> http.client.HTTPConnection:
    """The protocol on a connection to the address that was checked; it asks for and verifies the name."""
    if scheme == "http":
        connection = http.client.HTTPConnection(host, port, timeout=ANSWER_SECONDS)
        connection.sock = raw
        return connection
    secure = http.client.HTTPSConnection(host, port, timeout=ANSWER_SECONDS)
    secure.sock = ssl.create_default_context().wrap_socket(raw, server_hostname=host)
    return secure
