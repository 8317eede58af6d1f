"""Fetch the public keys of the CI services that the settings name: the portal, which reads them, has no network."""

import time
from collections.abc import Callable

import urllib3

from portal import __version__
from portal.faults import Fault
from portal.jobs.alone import alone
from portal.settings import Issuer
from portal.store import files, id_tokens, job_runs
from portal.store.store import Store

JOB = "issuers"
SECONDS = 10.0  # to connect, and between two reads
ANSWER_SECONDS = 60.0  # for all of them: the services after this one have keys too

Report = Callable[[str], object]


class KeysMissing(Fault):
    """A service did not answer with keys; those that were fetched before stay in use."""


def fetch(store: Store, report: Report = lambda line: None) -> None:
    """Fetch the keys of each service; `report` receives a line for each whose keys are others than before.

    Raises KeysMissing at the end if some service failed, RunningError while it runs.
    """
    faults = []
    with alone(store, JOB), job_runs.recorded(store.db, JOB):
        for issuer in store.settings.issuers:
            if not issuer.jwks_url:
                continue
            try:
                if _refreshed(store, issuer):
                    report(f"fetched the keys of {issuer.issuer}")
            except (urllib3.exceptions.HTTPError, ValueError) as error:
                faults.append(f"{issuer.jwks_url} has no keys: {_reason(error)}.")
        if faults:
            raise KeysMissing(" ".join(faults))


def _refreshed(store: Store, issuer: Issuer) -> bool:
    """Whether the keys have changed. Raises HTTPError, ValueError."""
    path, content = id_tokens.key_file(store, issuer), _fetched(issuer.jwks_url)
    id_tokens.usable_keys(content)
    if path.exists() and path.read_bytes() == content:
        return False
    files.write_file(path, content)
    return True


def _fetched(url: str) -> bytes:
    """Raises HTTPError, ValueError."""
    timeout = urllib3.Timeout(connect=SECONDS, read=SECONDS)
    with urllib3.PoolManager(timeout=timeout, headers={"User-Agent": f"mosis/{__version__}"}) as http:
        answer = http.request("GET", url, retries=False, redirect=False, preload_content=False)
        try:
            if answer.status != 200:
                raise ValueError(f"it answered {answer.status}")
            return _read(answer)
        finally:
            answer.close()


def _read(answer: urllib3.BaseHTTPResponse) -> bytes:
    """The body, as far as anybody needs it. Raises HTTPError, ValueError."""
    content, end = b"", time.monotonic() + ANSWER_SECONDS
    while len(content) <= id_tokens.KEYS_MAX and (chunk := answer.read1(id_tokens.KEYS_MAX)):
        content += chunk
        if time.monotonic() > end:
            raise ValueError(f"it did not answer within {ANSWER_SECONDS:g} s")
    return content


def _reason(error: Exception) -> str:
    return str(error).rpartition("): ")[2].rstrip(".") or type(error).__name__
