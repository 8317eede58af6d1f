"""One measurement each: a load tool or a client in a process of its own, its figure."""

import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection

from bench import fixtures
from bench.processes import BenchError, memory, processor_time
from bench.stack import MOSIS, Ours, Server

CLIENTS = [sys.executable, "-m", "bench.clients"]
MB = 1_000_000
UNITS = {"B": 1, "KB": 1024, "MB": 1024**2, "GB": 1024**3}
SAMPLE_SECONDS = 0.02


def requests_per_second(url: str, seconds: float, connections: int = 64) -> float:
    return float(re.search(r"Requests/sec: +([\d.]+)", _wrk(url, seconds, connections))[1])


def download_rate(url: str, seconds: float, connections: int) -> float:
    """MB/s."""
    figure = re.search(r"Transfer/sec: +([\d.]+)([KMG]?B)", _wrk(url, seconds, connections))
    return float(figure[1]) * UNITS[figure[2]] / MB


def median_latency(url: str, seconds: float, *headers: str) -> float:
    """p50 in milliseconds, one request after another."""
    fields = [word for header in headers for word in ("-H", header)]
    figure = re.search(r"50% +([\d.]+)(us|ms|s)", _wrk(url, seconds, 1, "--latency", *fields))
    return float(figure[1]) * {"us": 0.001, "ms": 1, "s": 1000}[figure[2]]


def _wrk(url: str, seconds: float, connections: int, *options: str) -> str:
    threads = min(2, connections)
    size = [f"-t{threads}", f"-c{connections}", f"-d{seconds:g}s", "--timeout", "30s"]
    output = _run(["wrk", *size, *options, url])
    if faults := re.findall(r"(?:Non-2xx|Socket errors).*", output):
        raise BenchError(f"{url}: {faults[0]}.")
    return output


def first_byte(server: Server, path: str, requests: int) -> float:
    """p50 in milliseconds."""
    return statistics.median(json.loads(_run([*CLIENTS, "first-bytes", str(server.port), path, str(requests)]))) * 1000


@contextmanager
def slow(command: str, server: Server, *words: str) -> Iterator[None]:
    """Clients of `bench.clients` that are at it while the block runs."""
    clients = subprocess.Popen([*CLIENTS, command, str(server.port), *words], stdout=subprocess.PIPE, text=True)
    try:
        if clients.stdout.readline() != "ready\n":
            raise BenchError(f"The clients of {command} did not all get through.")
        yield
    finally:
        clients.kill()
        clients.wait()


BOUNDARY = "------------------------d74496d66958873e8e1f2a"  # as long as curl's


def multipart(server: Server, number: int) -> list[dict]:
    """Requests that upload `number` packages at once, as a form."""
    found = []
    for index in range(number):
        app_id = fixtures.upload_app(index)
        package = fixtures.package_in(server.root.parent / "packages", app_id)
        before = (
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="version_code"\r\n\r\n1\r\n'
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="package"; filename="{app_id}.mosis"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        )
        after = f"\r\n--{BOUNDARY}--\r\n"
        token = f"Authorization: Bearer {server.token}\r\n" if isinstance(server, Ours) else ""
        head = (
            f"POST /api/apps/{app_id}/versions HTTP/1.1\r\nHost: localhost\r\n{token}Connection: close\r\n"
            f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n"
            f"Content-Length: {len(before) + package.stat().st_size + len(after)}\r\n\r\n{before}"
        )
        found.append({"head": head, "file": str(package), "tail": after})
    return found


def raw(server: Ours, number: int) -> list[dict]:
    """The same packages to signed URLs, which are fetched here and not measured."""
    found = []
    for index in range(number):
        app_id = fixtures.upload_app(index)
        package = fixtures.package_in(server.root.parent / "packages", app_id)
        size = package.stat().st_size
        answer = json.loads(
            _run(["curl", "-sS", "-H", f"Authorization: Bearer {server.token}", "-H", "Content-Type: application/json",
                  "-d", json.dumps({"size": size}), server.url(f"/api/apps/{app_id}/uploads")])
        )  # fmt: skip
        if "url" not in answer:
            raise BenchError(f"No signed URL: {answer}.")
        head = (
            f"PUT {answer['url']} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            f"Content-Type: application/octet-stream\r\nContent-Length: {size}\r\n\r\n"
        )
        found.append({"head": head, "file": str(package), "tail": ""})
    return found


def upload_rate(server: Server, requests: list[dict]) -> float:
    """MB/s of all the requests together; what they left is removed."""
    seconds = float(_run([*CLIENTS, "uploads", str(server.port)], json.dumps(requests)))
    if isinstance(server, Ours):
        fixtures.forget_uploads(server.store)
    return len(requests) * fixtures.PACKAGE_BYTES / MB / seconds


def peak_memory(server: Server, requests: list[dict]) -> float:
    """MB of the server's processes at their largest while the requests are uploaded."""
    samples: list[int] = []
    over = threading.Event()

    def sample() -> None:
        while not over.is_set():
            samples.append(memory(server.pids))
            time.sleep(SAMPLE_SECONDS)

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        upload_rate(server, requests)
    finally:
        over.set()
        sampler.join()
    return max(samples) / MB


def update_check(server: Ours, apps: int) -> float:
    """Milliseconds of the server's processor time for a device that asks at once for the updates of its apps."""
    installed = {fixtures.catalogue_app(number): 1 for number in range(apps)}
    body = json.dumps({"apps": installed, "min_api": 1})

    def ask(connection: HTTPConnection) -> None:
        connection.request("POST", "/api/store/updates", body, {"Content-Type": "application/json"})
        found = json.load(connection.getresponse())["updates"]
        if len(found) != apps:
            raise BenchError(f"{len(found)} of {apps} updates.")

    return _processor_milliseconds(server, ask, 50)


def info_checks(server: Ours, apps: int) -> float:
    """The same for a device that asks for the store info of one app after another."""
    header = dict([server.authorization.split(": ")])

    def ask(connection: HTTPConnection) -> None:
        for number in range(apps):
            connection.request("GET", f"/api/store/apps/{fixtures.catalogue_app(number)}", headers=header)
            json.load(connection.getresponse())

    return _processor_milliseconds(server, ask, 2)


def _processor_milliseconds(server: Server, ask: Callable[[HTTPConnection], None], times: int) -> float:
    with closing(HTTPConnection("127.0.0.1", server.port)) as connection:
        ask(connection)
        before = processor_time(server.pids)
        for _ in range(times):
            ask(connection)
        return (processor_time(server.pids) - before) * 1000 / times


def disk_rate(server: Ours, number: int) -> float:
    """MB/s of as many `dd conv=fsync` at once as there are packages, writing the same bytes to the same file system."""
    started, copies = time.perf_counter(), []
    for index in range(number):
        package = fixtures.package_in(server.root.parent / "packages", fixtures.upload_app(index))
        target = server.store.layout.area("temp") / f"dd-{index}"
        command = ["dd", f"if={package}", f"of={target}", "bs=1M", "conv=fsync", "status=none"]
        copies.append((subprocess.Popen(command), target))
    failed = [copy.args for copy, _ in copies if copy.wait()]
    seconds = time.perf_counter() - started
    for _, target in copies:
        target.unlink(missing_ok=True)
    if failed:
        raise BenchError(f"{' '.join(failed[0])} failed.")
    return number * fixtures.PACKAGE_BYTES / MB / seconds


def processor_seconds(*words: str) -> float:
    """Processor time of `mosis` with these words where it has no store, or of a Python that does nothing."""
    command = [str(MOSIS), *words] if words else [sys.executable, "-c", "pass"]
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as config:
        config.write("root = '/nowhere'\n")
        config.flush()
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, env=os.environ | {"MOSIS_CONFIG": config.name}, capture_output=True, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _run(command: list[str], given: str | None = None) -> str:
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchError(f"{' '.join(command[:3])} failed: {done.stderr.strip()[-500:]}")
    return done.stdout
