"""The lines of the benchmark: what is measured of ours, what of the reference, and what is to be reached."""

import operator
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from bench import catalogue, fixtures, jobs, load, mirror, stack
from bench.stack import EATMYDATA, Ours, Server

ICON = f"/assets/{fixtures.APP}/icon-64.png"
INFO = f"/api/store/apps/{fixtures.APP}"
PACKAGE = f"/downloads/{fixtures.DEVELOPER}/{fixtures.APP}/1/package.mosis"
SMALL = "/healthz"
UPLOAD = f"/api/apps/{fixtures.upload_app(0)}/versions"
PROGRAMS = ("go", "nginx", "wrk")
OPERATORS = {"≥": operator.ge, "≤": operator.le, "<": operator.lt}


class Bench:
    """Everything that lines measure, started when the first line needs it."""

    def __init__(self, directory: Path, stack_: ExitStack, *, seconds: float, requests: int) -> None:
        """`seconds` is how long a load tool runs, `requests` how many first bytes a median is of."""
        self.seconds, self.requests = seconds, requests
        self._directory, self._stack = directory, stack_

    @cached_property
    def packages(self) -> Path:
        directory = self._directory / "packages"
        fixtures.make_packages(directory)
        return directory

    @cached_property
    def ours(self) -> Ours:
        return self._stack.enter_context(stack.ours(self._directory / "ours", self.packages))

    @cached_property
    def unflushed(self) -> Ours:
        return self._stack.enter_context(stack.ours(self._directory / "unflushed", self.packages, durable=False))

    @cached_property
    def small(self) -> Ours:
        return self._stack.enter_context(stack.ours(self._directory / "small", self.packages, catalogue=1_000))

    @cached_property
    def large(self) -> Ours:
        return self._stack.enter_context(stack.ours(self._directory / "large", self.packages, catalogue=10_000))

    @cached_property
    def jobs(self) -> jobs.Jobs:
        return jobs.Jobs(self._directory)

    @cached_property
    def catalogue(self) -> catalogue.Catalogue:
        return catalogue.Catalogue(self._directory)

    @cached_property
    def mirror(self) -> mirror.Mirror:
        return mirror.Mirror(self._directory, self._stack)

    @cached_property
    def granian(self) -> Ours:
        return self._portal("granian")

    @cached_property
    def gthread(self) -> Ours:
        return self._portal("gthread")

    @cached_property
    def gevent(self) -> Ours:
        return self._portal("gevent")

    def _portal(self, server: str) -> Ours:
        return self._stack.enter_context(stack.portal(self._directory / server, self.packages, server))

    @cached_property
    def reference(self) -> Server:
        program = stack.build_reference(self._directory)
        return self._stack.enter_context(stack.reference(program, self._directory / "go", self.ours.store))

    @cached_property
    def static(self) -> Server:
        return self._stack.enter_context(stack.static(self._directory / "static", self.ours.store))


Measure = Callable[[Bench], float]


@dataclass(frozen=True)
class Line:
    """A measurement of ours and of the reference. `goal` is about the ratio, or about `ours` where it says so."""

    name: str
    unit: str
    ours: Measure
    reference: Measure
    goal: str
    about: str = "ratio"
    needs: tuple[str, ...] = PROGRAMS

    def reached(self, value: float) -> bool:
        compare, _, bound = self.goal.partition(" ")
        return OPERATORS[compare](value, float(bound))


def _rate(path: str, connections: int = 64) -> Callable[[Callable[[Bench], Server]], Measure]:
    return lambda server: lambda b: load.requests_per_second(server(b).url(path), b.seconds, connections)


def _download(server: Callable[[Bench], Server], connections: int) -> Measure:
    return lambda b: load.download_rate(server(b).url(PACKAGE), b.seconds, connections)


def _multipart(server: Callable[[Bench], Server], number: int = 4) -> Measure:
    return lambda b: load.upload_rate(server(b), load.multipart(server(b), number))


def _raw(server: Callable[[Bench], Ours], number: int = 4) -> Measure:
    return lambda b: load.upload_rate(server(b), load.raw(server(b), number))


def _memory(server: Callable[[Bench], Server], number: int) -> Measure:
    return lambda b: load.peak_memory(server(b), load.multipart(server(b), number))


def _first_byte_among_slow_readers(server: Callable[[Bench], Server]) -> Measure:
    def measure(b: Bench) -> float:
        with load.slow("slow-readers", server(b), PACKAGE, "500", "20000"):
            return load.first_byte(server(b), PACKAGE, b.requests)

    return measure


def _info_among_slow_uploads(server: Callable[[Bench], Server], *, cached: bool = True) -> Measure:
    def measure(b: Bench) -> float:
        token = server(b).token if isinstance(server(b), Ours) else "-"
        headers = [] if cached else [server(b).authorization]
        with load.slow("slow-uploads", server(b), UPLOAD, "100", "50000", token):
            return load.median_latency(server(b).url(INFO), b.seconds, *headers)

    return measure


def _started(*words: str) -> Measure:
    """`mosis` with these words, up to its work; without words a bare Python."""
    return lambda b: load.processor_seconds(*words)


def _latency(server: Callable[[Bench], Ours], path: str) -> Measure:
    """Past nginx's cache."""

    def measure(b: Bench) -> float:
        return load.median_latency(server(b).url(path), b.seconds, server(b).authorization)

    return measure


def _job(name: str, number: int, what: str = "seconds") -> Measure:
    """A job in a store of so many versions, a quarter of which are due."""
    return lambda b: float(getattr(b.jobs.cost(name, number), what))


def _job_lines() -> Iterator[Line]:
    small, middle, large = jobs.SIZES
    for name in jobs.COMMANDS:
        for ours, reference in ((middle, small), (large, middle)):
            goal = f"≤ {1.2 * ours / reference:g}"
            yield Line(f"{name}-{ours}", "s", _job(name, ours), _job(name, reference), goal, needs=())
        memory = (_job(name, number, "megabytes") for number in (large, small))
        yield Line(f"{name}-memory", "MB", *memory, "≤ 1.2", needs=())
    cleanups = (_job("cleanup", number) for number in (large, small))
    yield Line("cleanup-seconds", "s", *cleanups, "< 10", "ours", needs=())
    wait = _job("cleanup", large, "wait")
    yield Line("cleanup-wait", "ms", wait, lambda b: b.jobs.idle_wait(), "< 100", "ours", needs=())


_ours, _unflushed, _small, _large = map(operator.attrgetter, ("ours", "unflushed", "small", "large"))
_reference, _static = map(operator.attrgetter, ("reference", "static"))
_granian, _gthread, _gevent = map(operator.attrgetter, ("granian", "gthread", "gevent"))


def _disk(b: Bench) -> float:
    return load.disk_rate(b.ours, 4)


PAGE = f"/apps/{fixtures.catalogue_app(7)}"
LIST, SEARCH = "/api/store/apps?cursor=org.acme.app000500", "/api/store/apps?q=chess+gar"
LINES = (
    Line("icons", "requests/s", _rate(ICON)(_ours), _rate(ICON)(_reference), "≥ 2.0"),
    Line("info", "requests/s", _rate(INFO)(_ours), _rate(INFO)(_reference), "≥ 1.0"),
    Line("download-1", "MB/s", _download(_ours, 1), _download(_reference, 1), "≥ 1.0"),
    Line("download-16", "MB/s", _download(_ours, 16), _download(_reference, 16), "≥ 1.0"),
    Line("download-1-static", "MB/s", _download(_ours, 1), _download(_static, 1), "≥ 0.8"),
    Line("download-16-static", "MB/s", _download(_ours, 16), _download(_static, 16), "≥ 0.8"),
    Line("multipart", "MB/s", _multipart(_ours), _multipart(_reference), "≥ 1.0"),
    Line("multipart-dd", "MB/s", _multipart(_ours), _disk, "≥ 0.7"),
    Line("raw", "MB/s", _raw(_ours), _multipart(_reference), "≥ 1.2"),
    Line("raw-dd", "MB/s", _raw(_ours), _disk, "≥ 0.8"),
    Line("multipart-nosync", "MB/s", _multipart(_unflushed), _multipart(_reference), "≥ 1.2",
         needs=(*PROGRAMS, EATMYDATA)),
    Line("raw-nosync", "MB/s", _raw(_unflushed), _multipart(_reference), "≥ 2.0", needs=(*PROGRAMS, EATMYDATA)),
    # What durability costs: the same stack in which every flush does nothing.
    Line("durable-form", "MB/s", _multipart(_ours), _multipart(_unflushed), "≥ 0.8", needs=(*PROGRAMS, EATMYDATA)),
    Line("durable-signed", "MB/s", _raw(_ours), _raw(_unflushed), "≥ 0.8", needs=(*PROGRAMS, EATMYDATA)),
    Line("memory-16", "MB", _memory(_ours, 16), _memory(_reference, 16), "≤ 0.333"),
    Line("memory-16-4", "MB", _memory(_ours, 16), _memory(_ours, 4), "≤ 1.2"),
    Line("first-byte", "ms", _first_byte_among_slow_readers(_ours), _first_byte_among_slow_readers(_reference),
         "< 10", "ours"),
    Line("info-uploads", "ms", _info_among_slow_uploads(_ours), _info_among_slow_uploads(_reference), "< 20", "ours"),
    Line("info-uploads-uncached", "ms", _info_among_slow_uploads(_ours, cached=False),
         _info_among_slow_uploads(_reference), "< 20", "ours"),
    Line("list", "ms", _latency(_large, LIST), _latency(_small, LIST), "< 20", "ours"),
    Line("search", "ms", _latency(_large, SEARCH), _latency(_small, SEARCH), "< 20", "ours"),
    # The pages of people: the first one, a search, an app, the status; rendered for each request, past nginx's cache.
    Line("page-home", "ms", _latency(_large, "/"), _latency(_small, "/"), "< 20", "ours"),
    Line("page-search", "ms", _latency(_large, "/?q=chess+gar"), _latency(_small, "/?q=chess+gar"), "< 20", "ours"),
    Line("page-app", "ms", _latency(_large, PAGE), _latency(_small, PAGE), "< 20", "ours"),
    Line("page-status", "ms", _latency(_large, "/status"), _latency(_small, "/status"), "< 20", "ours"),
    # Of all processes of the stack, for 500 apps of 10,000 that all have an update, against 500 questions for one app.
    Line("updates", "ms", lambda b: load.update_check(b.large, 500), lambda b: load.info_checks(b.large, 500), "≤ 0.1"),
    # Processor time of the whole command after one publish, among 10,000 apps against 100.
    Line("catalogue-publish", "s", lambda b: b.catalogue.publish(catalogue.LARGE),
         lambda b: b.catalogue.publish(catalogue.SMALL), "< 1", "ours", needs=()),
    # Compressed, of a device with 30 apps of 10,000, of which 100 are updated a day, against its first check.
    Line("catalogue-day", "kB", lambda b: b.catalogue.day(), lambda b: b.catalogue.first(), "≤ 8", "ours", needs=()),
    # 100 packages of 5 MB and their manifests to a SeaweedFS, with the start of the command, against `rclone copy`.
    Line("mirror-copy", "MB/s", lambda b: b.mirror.copied(), lambda b: b.mirror.copied_by_rclone(), "≥ 0.7", needs=()),
    # Over 10,000 versions against 100, and what a tool without a record would ask for.
    Line("mirror-empty", "s", lambda b: b.mirror.empty(), lambda b: b.mirror.empty_of_few(), "≤ 2", "ours", needs=()),
    Line("mirror-empty-requests", "requests", lambda b: b.mirror.requests(), lambda b: b.mirror.requests_of_a_list(),
         "≤ 1", "ours", needs=()),
    # Of the whole process, against a Python that does nothing.
    Line("start-help", "s", _started("--help"), _started(), "≤ 0.3", "ours", needs=()),
    Line("start-status", "s", _started("status"), _started(), "≤ 0.3", "ours", needs=()),
    # Why granian: the portal alone on it, against the same portal on others.
    Line("gthread-json", "requests/s", _rate(SMALL)(_granian), _rate(SMALL)(_gthread), "≥ 1.0"),
    Line("gthread-raw", "MB/s", _raw(_granian), _raw(_gthread), "≥ 1.0"),
    Line("gevent-json", "requests/s", _rate(SMALL)(_granian), _rate(SMALL)(_gevent), "≥ 1.0"),
    *_job_lines(),
)  # fmt: skip


@contextmanager
def bench(directory: Path, *, seconds: float, requests: int) -> Iterator[Bench]:
    """Everything is stopped at the end."""
    with ExitStack() as exits:
        yield Bench(directory, exits, seconds=seconds, requests=requests)
