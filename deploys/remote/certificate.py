"""Runs on the host as root: `python3 certificate.py JSON` prints what clients think of a certificate. No packages.

The JSON is a `Wanted`, the answer a `Found`. Python 3.8, and no program of OpenSSL: Debian installs none by itself.
"""

from __future__ import annotations

import json
import socket
import ssl
import stat
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Dict

Wanted = Dict[str, Any]
"""`certificate`, `key`: paths; `names`: host names that it is for; `days`: that it has to last from now, None for one
that may have ended; `port`: of nginx on this host, which has to present it, or None."""
Found = Dict[str, str]
"""`fault`: what is wrong, empty if nothing is; `ends`: when the certificate ends, if it can be read."""

PATIENCE_SECONDS = 5
DAY = 86400
# Of OpenSSL; Python has a name for the first one since 3.10. What is in the file is trusted, whoever issued it, and
# the time is compared here, where the answer can say when it ends.
PARTIAL_CHAIN, NO_CHECK_TIME = 0x80000, 0x200000


class Unusable(Exception):
    """The certificate is of no use to the store; the message says why."""


def found(wanted: Wanted) -> Found:
    """The answer."""
    ends = ""
    try:
        server = server_of(wanted["certificate"], wanted["key"])
        shown, certificate = handshake(server, wanted["certificate"], None)
        ends = str(shown["notAfter"])
        for name in wanted["names"]:
            handshake(server, wanted["certificate"], name)
        if wanted["days"] is not None:
            require_valid(shown, wanted["days"])
        if wanted["port"] is not None and presented(wanted["port"], wanted["names"]) != certificate:
            raise Unusable("is not the certificate that nginx presents: run `nginx -t && systemctl reload nginx`")
    except Unusable as error:
        return {"fault": str(error), "ends": ends}
    return {"fault": "", "ends": ends}


def server_of(certificate: str, key: str) -> ssl.SSLContext:
    """A server with these files, as nginx reads them. Raises Unusable."""
    try:
        for path in (certificate, key):
            if not stat.S_ISREG(Path(path).stat().st_mode):  # nothing may ever come from a pipe
                raise Unusable(f"cannot be used: {path} is not a regular file")
            Path(path).read_bytes()
    except OSError as error:
        raise Unusable(f"cannot be used: {error.filename}: {error.strerror}") from None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        client_of(certificate)
    except ssl.SSLError:
        raise Unusable("contains no certificate in PEM") from None
    try:
        context.load_cert_chain(certificate, key, password=lambda: "")  # nobody can type one
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise Unusable(
                f"does not match the key {key}; the store's own certificate has to be the first in the file"
            ) from None
        if error.reason and "TOO_SMALL" in error.reason:
            raise Unusable(f"has a key that is too small ({error.reason})") from None
        if error.reason and "TOO_WEAK" in error.reason:
            raise Unusable(f"is signed with a hash that clients reject ({error.reason})") from None
        raise Unusable(f"cannot be used: {key} contains no unencrypted private key in PEM") from None
    return context


def client_of(certificate: str) -> ssl.SSLContext:
    """A client that trusts whatever is in the file. Raises SSLError."""
    context = ssl.create_default_context(cafile=certificate)
    # Nothing else: by itself Python 3.13 refuses what many an authority of one's own leaves out, as no browser does.
    context.verify_flags = ssl.VerifyFlags(PARTIAL_CHAIN | NO_CHECK_TIME)
    context.hostname_checks_common_name = False  # as browsers do
    context.check_hostname = False
    return context


def handshake(server: ssl.SSLContext, certificate: str, name: str | None) -> tuple[dict[str, Any], bytes]:
    """What a client gets that asks for the name, decoded and in DER. Raises Unusable if the client would refuse it."""
    client = client_of(certificate)
    client.check_hostname = name is not None
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        client.wrap_bio(to_client, to_server, server_hostname=name),
        server.wrap_bio(to_server, to_client, server_side=True),
    )
    try:
        for _ in range(4):
            for end in ends:
                with suppress(ssl.SSLWantReadError):
                    end.do_handshake()
    except ssl.SSLCertVerificationError as error:
        if name is None:
            raise Unusable(f"is rejected by clients: {error.verify_message}") from None
        raise Unusable(f"does not cover {name}, or only in its Common Name, which clients ignore") from None
    except ssl.SSLError as error:  # a kind of key that no suite of today takes
        raise Unusable(f"is rejected by clients: {error.reason}") from None
    try:
        return ends[0].getpeercert() or {}, ends[0].getpeercert(binary_form=True) or b""
    except ValueError as error:
        raise Unusable(f"has a name that is not ASCII: {error}") from None


def require_valid(shown: dict[str, Any], days: int) -> None:
    """Raises Unusable for a certificate that is not valid now, or ends within so many days."""
    now, clock = time.time(), time.strftime("%b %d %H:%M %Y UTC", time.gmtime())
    if ssl.cert_time_to_seconds(shown["notBefore"]) > now:
        raise Unusable(
            f"is not valid before {shown['notBefore']}, and this host's clock says {clock}: correct the clock, or wait"
        )
    if ssl.cert_time_to_seconds(shown["notAfter"]) <= now:
        raise Unusable(
            f"expired {shown['notAfter']}, by this host's clock, which says {clock}: renew it, or correct the clock"
        )
    if ssl.cert_time_to_seconds(shown["notAfter"]) <= now + days * DAY:
        raise Unusable(f"expires {shown['notAfter']}: renew it, then run `systemctl reload nginx`")


def presented(port: int, names: list[str]) -> bytes | None:
    """The certificate that a server of this host presents, in DER. Raises Unusable where none does."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    name = names[0] if names else None
    try:
        with socket.create_connection(("127.0.0.1", port), PATIENCE_SECONDS) as plain, context.wrap_socket(
            plain, server_hostname=name
        ) as secured:
            return secured.getpeercert(binary_form=True)
    except (OSError, ValueError) as error:
        raise Unusable(f"is not presented by nginx at port {port}: {error}") from None


if __name__ == "__main__":
    print(json.dumps(found(json.loads(sys.argv[1]))))
