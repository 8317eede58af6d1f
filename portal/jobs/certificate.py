"""When the certificate ends that nginx presents to clients of this store."""

import socket
import ssl

PATIENCE_SECONDS = 2


def ends(port: int, name: str | None) -> float:
    """The end of the certificate of a host name, or of none in particular, at this port of the host, in seconds since
    1970; 0 if nothing presents one.

    It is asked of nginx, not read from the file: only root may read it, and nginx may not have read the newest one.
    """
    from cryptography.x509 import load_der_x509_certificate  # takes long to import, and few commands need it

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # any issuer: they all end
    try:
        with (
            socket.create_connection(("127.0.0.1", port), PATIENCE_SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=name) as secured,
        ):
            presented = secured.getpeercert(binary_form=True) or b""
        return load_der_x509_certificate(presented).not_valid_after_utc.timestamp()
    except (OSError, ValueError):
        return 0
