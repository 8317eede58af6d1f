"""Errors of the store, in sentences for developers; HTTP and the command line add their own form."""

import sqlite3

from portal.faults import Fault


class Refused(Exception):
    """The request is refused. `code` is stable and upper-case, `detail` a sentence, `errors` lists every reason."""

    def __init__(self, code: str, detail: str, errors: list[str] | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.errors = errors


class Gone(Refused):
    """What everybody could see was withdrawn or deleted: a cache must not show it again, not even while the portal is
    down."""


class Later(Refused):
    """The same request may succeed in `retry_after` seconds."""

    def __init__(self, code: str, detail: str, retry_after: int) -> None:
        super().__init__(code, detail)
        self.retry_after = retry_after


class RateLimited(Later):
    """A rate limit is exceeded."""

    def __init__(self, detail: str, retry_after: int) -> None:
        super().__init__("RATE_LIMITED", detail, retry_after)


class Unavailable(Later):
    """Something that the request needs is away."""

    def __init__(self, detail: str, retry_after: int) -> None:
        super().__init__("UNAVAILABLE", detail, retry_after)


class DatabaseUnusable(Fault):
    """The database is missing, older or newer than this program; the message names cause and remedy."""


class DatabaseBusy(sqlite3.OperationalError):
    """Another writer held the database too long: nothing was written, and a retry may succeed."""
