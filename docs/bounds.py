"""What every bound is called, where it is set and what is answered: the rows of docs/limits.md."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from portal.http.problems import KINDS
from portal.settings import Settings
from portal.store.quotas import QUOTAS
from portal.store.rate_limit import RATES

NGINX = "templates/nginx/mosis.conf.j2"
SILENT = {
    "csp-reports": "204, without a line in the log",
    "all-csp-reports": "204, without a line in the log",
    "refusals": "refused all the same, without a row in the log",
    "all-refusals": "refused all the same, without a row in the log",
    "refusals-left-out": "the row is not repeated",
}
BYTES = (("GiB", 1024**3), ("MiB", 1024**2), ("KiB", 1024))
SECONDS = (("days", 86400), ("hours", 3600))


@dataclass(frozen=True)
class Bound:
    """`where` is `module:NAME[.key]`, a setting, host data, or a directive of nginx; `answer` a code or text."""

    what: str
    where: str
    answer: str
    unit: str = ""


CONNECTIONS = (
    Bound("concurrent requests per client (an IPv4 address or an IPv6 /64)", "host:requests_per_client", "UNAVAILABLE"),
    Bound("requests per client and second; bursts of ten times as many", "host:requests_per_second", "RATE_LIMITED"),
    Bound("concurrent uploads per client, and other bodies in chunks", "host:senders_per_client", "UNAVAILABLE"),
    Bound("percentage of a worker's threads that may wait for bodies; one developer may hold as many as are still free",
          "portal.http.senders:PERCENT", "UNAVAILABLE"),
    Bound("time to receive the header of a request", "nginx:client_header_timeout", "408"),
    Bound("pause while a body is received", "nginx:client_body_timeout", "408"),
    Bound("pause while a response is sent", "nginx:send_timeout", "the connection ends"),
    Bound("idle time of a connection between requests", "nginx:keepalive_timeout", "the connection ends"),
    Bound("connections per worker of nginx", "deploys.plan.nginx:CONNECTIONS", "idle connections are closed"),
    Bound("time in which the rest of a rejected body is discarded", "nginx:lingering_time", "the connection ends"),
    Bound("pause while the rest of a rejected body is discarded", "nginx:lingering_timeout", "the connection ends"),
    Bound("response buffered on nginx's disk", "nginx:proxy_max_temp_file_size", "never buffered there", "bytes"),
    Bound("time for the portal to answer", "nginx:proxy_read_timeout", "UNAVAILABLE"),
    Bound("body of a request that uploads no file", "deploys.plan.nginx:SMALL_BODY_MAX", "FILE_TOO_LARGE", "bytes"),
    Bound("without nginx: time in which a connection moves 4 KiB", "setting:stall_seconds", "the connection ends", "s"),
    Bound("rejected bodies being read to their end, per worker", "portal.http.draining:AT_ONCE_MAX", "the"
          " connection ends"),
)  # fmt: skip
REQUESTS = (
    Bound("JSON body, form without a file", "portal.http.forms:JSON_MAX", "FILE_TOO_LARGE", "bytes"),
    Bound("parts of a form", "portal.http.forms:PARTS_MAX", "FILE_TOO_LARGE"),
    Bound("text field of a form with a file", "portal.http.forms:FIELD_MAX", "INVALID_FILE", "bytes"),
    Bound("search", "portal.http.routes.store:QUERY_MAX", "INVALID_REQUEST", "characters"),
    Bound(
        "words of a search; in scripts without spaces, characters",
        "portal.store.search:WORDS_MAX",
        "the rest is ignored",
    ),
    Bound("apps per update check", "portal.http.schemas:INSTALLED_MAX", "VALIDATION_ERROR"),
    Bound("rows per page of a list, which is the default too", "portal.http.paging:MOST", "INVALID_REQUEST"),
    Bound("versions per page, which is the default too", "portal.http.paging:MOST_VERSIONS", "INVALID_REQUEST"),
    Bound(
        "concurrent comparisons of packages, per worker; one may have as many as are still free",
        "portal.http.routing:COMPARISONS_MAX",
        "UNAVAILABLE",
    ),
    Bound(
        "images of one developer being converted or waiting, per worker", "portal.http.turns:EACH_MAX", "UNAVAILABLE"
    ),
    Bound(
        "images of all developers being converted or waiting, per worker", "portal.http.turns:ALL_MAX", "UNAVAILABLE"
    ),
    Bound("packages being validated, per worker", "portal.store.store:CHECKS_MAX", "the others wait"),
    Bound("wait for other writers of the database", "portal.store.database:TURN_SECONDS", "UNAVAILABLE", "s"),
)
FILES = (
    Bound("package", "setting:package_max_bytes", "FILE_TOO_LARGE", "bytes"),
    Bound("unpacked package", "setting:unpacked_max_bytes", "VALIDATION_ERROR", "bytes"),
    Bound("files and directories of a package", "setting:entries_max", "VALIDATION_ERROR"),
    Bound(
        "compression ratio of what unpacks to more than 1 MiB per file or 16 MiB in all",
        "setting:ratio_max",
        "VALIDATION_ERROR",
    ),
    Bound("icon", "setting:icon_max_bytes", "FILE_TOO_LARGE", "bytes"),
    Bound("screenshot", "setting:screenshot_max_bytes", "FILE_TOO_LARGE", "bytes"),
    Bound("pixels of an image", "setting:image_max_pixels", "INVALID_IMAGE"),
    Bound("scans of an image", "portal.images.structure:MOST.scans", "INVALID_IMAGE"),
    Bound("segments of an image", "portal.images.structure:MOST.segments", "INVALID_IMAGE"),
    Bound("chunks of an image", "portal.images.structure:MOST.chunks", "INVALID_IMAGE"),
    Bound("processor time to decode an image", "portal.images.limits:CPU_SECONDS", "INVALID_IMAGE", "s"),
    Bound("time to decode an image", "portal.images.limits:WALL_SECONDS", "UNAVAILABLE", "s"),
    Bound("screenshots per app", "portal.store.assets:SCREENSHOTS_MAX", "TOO_MANY_SCREENSHOTS"),
    Bound("the store's files and its database", "setting:storage_budget_bytes", "STORAGE_FULL", "bytes"),
    Bound(
        "disk space kept free; on a small disk a sixteenth of it",
        "portal.store.budget:FREE_BYTES",
        "STORAGE_FULL",
        "bytes",
    ),
    Bound("validity of a signed URL", "setting:upload_url_seconds", "URL_EXPIRED", "s"),
)
PEOPLE = (
    Bound("valid tokens bound to one app, per developer", "portal.store.tokens:OWN_MAX", "QUOTA_EXCEEDED"),
    Bound("sessions per token", "portal.store.sessions:MOST", "the oldest end"),
    Bound("duration of a session", "portal.store.sessions:SECONDS", "UNAUTHENTICATED", "s"),
    Bound("duration of a session without requests", "portal.store.sessions:IDLE_SECONDS", "UNAUTHENTICATED", "s"),
    Bound("passkeys per developer", "portal.store.passkeys:MOST", "QUOTA_EXCEEDED"),
    Bound("preview links per version", "portal.store.previews:MOST", "QUOTA_EXCEEDED"),
    Bound("trusted repositories per app", "portal.store.publishers:MOST", "QUOTA_EXCEEDED"),
    Bound("waiting deliveries per webhook", "portal.store.webhooks:WAITING_MAX", "the oldest are dropped"),
    Bound("age of a delivery", "portal.store.webhooks:KEPT_SECONDS", "it is dropped", "s"),
    Bound("tries of a delivery", "portal.store.webhooks:TRIES_MAX", "it is dropped"),
    Bound("time for a webhook to answer", "portal.jobs.notify:ANSWER_SECONDS", "it is tried again", "s"),
)


def rows(bounds: tuple[Bound, ...], repository: Path) -> Iterator[tuple[str, str, str, str]]:
    """What, at most, where, answer."""
    for bound in bounds:
        value, where = _found(bound, repository)
        yield bound.what, value, where, answer(bound.answer)


def quotas() -> Iterator[tuple[str, str, str, str]]:
    for quota in QUOTAS:
        default = _shown(Settings.model_fields[quota.setting].default, "bytes" if "bytes" in quota.name else "")
        yield quota.what, default, f"`{quota.setting}`, `{quota.name}` of a developer", answer("QUOTA_EXCEEDED")


def rates() -> Iterator[tuple[str, str, str, str]]:
    for name, rate in RATES.items():
        setting = rate.count if isinstance(rate.count, str) else None
        number = Settings.model_fields[setting].default if setting else rate.count
        where = f"`{setting}`" if setting else "`portal/store/rate_limit.py`"
        period = {60: "a minute", 3600: "an hour"}[rate.seconds]
        yield rate.what, f"{number:,} {period}", where, SILENT.get(name) or answer("RATE_LIMITED")


def answer(text: str) -> str:
    """A code with its status; other text as it is."""
    return f"{KINDS[text].status} `{text}`" if text in KINDS else text


def _found(bound: Bound, repository: Path) -> tuple[str, str]:
    kind, _, name = bound.where.partition(":")
    if kind == "nginx":
        value = re.findall(rf"^    {name} (\w+);", (repository / NGINX).read_text(), re.MULTILINE)[-1]
        return f"{value[:-1]} s" if value.endswith("s") else value, f"`{NGINX}`"
    if kind == "setting":
        return _shown(Settings.model_fields[name].default, bound.unit), f"`{name}`"
    if kind == "host":
        model: Any = import_module("deploys.plan.data").HostData
        return _shown(model.model_fields[name].default, bound.unit), f"`mosis_{name}`"
    name, _, key = name.partition(".")
    value = getattr(import_module(kind), name)
    return _shown(value[key] if key else value, bound.unit), f"`{kind.replace('.', '/')}.py`"


def _shown(value: float, unit: str) -> str:
    units = {"bytes": BYTES, "s": SECONDS}.get(unit, ())
    name, size = next(((name, size) for name, size in units if value >= size and value % size == 0), (unit, 1))
    number = int(value) // size
    return f"{number:,} {name.removesuffix('s') if number == 1 and size > 1 else name}".rstrip()
