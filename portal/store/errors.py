"""What the store refuses, in words a developer understands; HTTP and the command line give it their own form."""

import sqlite3

from portal.faults import Fault


class Refused(Exception):
    """The request cannot be done. `code` is stable and upper-case, `detail` one sentence, `errors` every reason."""

    def __init__(self, code: str, detail: str, errors: list[str] | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.errors = errors


class RateLimited(Refused):
    """Too many of something; `retry_after` is in seconds."""

    def __init__(self, detail: str, retry_after: int) -> None:
        super().__init__("RATE_LIMITED", detail)
        self.retry_after = retry_after


class DatabaseUnusable(Fault):
    """The database is missing, older or newer than this program; the message names cause and remedy."""


class DatabaseBusy(sqlite3.OperationalError):
    """Whoever writes now did not end in time: nothing is broken, and nothing was written."""
