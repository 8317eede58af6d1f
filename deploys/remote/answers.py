"""`python deploys/remote/answers.py HOST PORT SECONDS`: waits until an HTTP server there answers /healthz with 200."""

from __future__ import annotations

import http.client
import sys
import time

TIMEOUT = 5.0  # seconds, for one answer
POLL = 0.1


def fault(host: str, port: int) -> str | None:
    """Why it is not healthy, None if it is."""
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT)
    try:
        connection.request("GET", "/healthz")
        status = connection.getresponse().status
    except (http.client.HTTPException, OSError) as error:
        return str(error)
    finally:
        connection.close()
    return None if status == 200 else f"status {status}"


def main(host: str, port: str, seconds: str) -> str | None:
    """The command; returns what is wrong after that time, else None."""
    deadline = time.monotonic() + float(seconds)
    while True:
        found = fault(host, int(port))
        if not found:
            return None
        if time.monotonic() > deadline:
            return f"Nothing answers at http://{host}:{port}: {found}."
        time.sleep(POLL)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
