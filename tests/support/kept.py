"""GET as curl, browsers and proxies send it: on a kept connection, and again where the server has just closed that.

A server that reloads closes the connections that it keeps. A request that is on its way then gets no answer; the client
may send it again on a new connection if it is idempotent (RFC 9112, section 9.3.1).
"""

import httpx

ANSWERED = "http11.receive_response_headers.complete"
CONNECTED = "connection.connect_tcp.started"


def get(client: httpx.Client, path: str) -> tuple[httpx.Response, bool]:
    """The answer, and whether the request had to be sent again. Raises httpx.TransportError.

    It is only sent again where the connection was a kept one and no answer had begun.
    """
    events: set[str] = set()
    try:
        return client.get(path, extensions={"trace": lambda event, _: events.add(event)}), False
    except httpx.TransportError:
        if events & {ANSWERED, CONNECTED}:
            raise
    with httpx.Client(base_url=client.base_url, timeout=client.timeout) as fresh:
        return fresh.get(path), True
