"""A client of the application itself, without a server."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import httpx

from portal.app import create_app
from portal.store.store import Store


@contextmanager
def calling(
    store: Store, token: str | None = None, address: str = "192.0.2.1", headers: Mapping[str, str] | None = None
) -> Iterator[httpx.Client]:
    """A client at `address` that sends `headers`, with the token of somebody or as a stranger."""
    own = {"Authorization": f"Bearer {token}"} if token else {}
    transport = httpx.WSGITransport(create_app(store.settings), remote_addr=address)
    with httpx.Client(transport=transport, base_url="http://portal", headers={**(headers or {}), **own}) as client:
        yield client
