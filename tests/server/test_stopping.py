"""A stop signal is never lost, and never interrupts: whenever it arrives, and however often."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from http.client import HTTPResponse
from pathlib import Path

import pytest

from portal.server import stopping
from tests.support.half_sent import half_sent
from tests.support.patience import PATIENCE
from tests.support.portal import Portal, children, free_port, make_store, only_publisher

PAYLOAD = 600_000  # bytes, so that half of a body is more than the portal reads at once

BEGIN = """
import os, signal, threading
from portal.server import stopping
"""
FORKED = """
stopping.stop_server(lambda: None, within=60)
forked, sent = os.pipe(), os.pipe()
child = os.fork()
if not child:
    signal.alarm(60)
    os.write(forked[1], b"x")
    os.read(sent[0], 1)
    stopping.stop_worker()
    threading.Event().wait()
os.read(forked[0], 1)
os.kill(child, signal.SIGTERM)
os.write(sent[1], b"x")
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
TWICE_BEFORE_IT_SERVES = """
from granian._signals import set_sync_signals
{begin}
set_sync_signals()
os.kill(os.getpid(), signal.SIGTERM)
for thread in threading.enumerate():
    if thread.name == "stopping":
        thread.join()
{again}
os.kill(os.getpid(), signal.SIGTERM)
print("lives")
"""
FORGOTTEN = """
asked = threading.Event()
stopping.stop_server(asked.set, within=60)
os.kill(os.getpid(), signal.SIGTERM)
asked.wait()
asked.clear()
asked.wait()
print("asked again")
"""
DEAF = """
stopping.stop_server(lambda: None, within=0.1)
os.kill(os.getpid(), signal.SIGTERM)
threading.Event().wait()
"""


def ran(program: str) -> tuple[int, str]:
    """Exit status and output of a program."""
    command = [sys.executable, "-c", BEGIN + program]
    finished = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, timeout=PATIENCE)
    return finished.returncode, finished.stdout.strip()


@pytest.fixture
def own_portal(tmp_path: Path) -> Iterator[Portal]:
    with Portal(make_store(tmp_path / "store", port=free_port())) as portal:
        yield portal


def blocked(pid: int) -> list[set[int]]:
    """The signals that each thread of a process blocks."""
    masks = []
    for thread in Path(f"/proc/{pid}/task").iterdir():
        lines = dict(line.split(":\t", 1) for line in (thread / "status").read_text().splitlines())
        mask = int(lines["SigBlk"], 16)
        masks.append({number for number in range(1, 65) if mask >> (number - 1) & 1})
    return masks


def test_no_thread_of_a_portal_can_be_interrupted_by_a_stop_but_the_one_that_waits_for_it(own_portal: Portal) -> None:
    pids = [own_portal.process.pid, *children(own_portal.process.pid)]
    with own_portal.client() as client:
        client.get("/readyz").raise_for_status()
    for pid in pids:
        threads = blocked(pid)
        assert len(threads) > 1
        assert sum(not set(stopping.STOP) <= thread for thread in threads) == 1


@pytest.mark.parametrize("number", stopping.STOP)
def test_repeated_stops_leave_a_request_in_flight_alone(own_portal: Portal, tmp_path: Path, number: int) -> None:
    server = own_portal.process
    with only_publisher(own_portal, tmp_path) as publisher:
        package = publisher.package(1, payload_bytes=PAYLOAD).read_bytes()
        path = f"/api/apps/{publisher.app_id}/versions"
        request = publisher.client.build_request("POST", path, files={"package": package})
        with half_sent(own_portal, request) as connection:
            workers = children(server.pid)
            while children(server.pid) == workers:  # until the idle one has ended
                os.killpg(server.pid, number)
                time.sleep(0.001)  # leaves them the processor
            connection.sendall(request.content[len(request.content) // 2 :])
            with HTTPResponse(connection) as answer:
                answer.begin()
                assert answer.status == 201, answer.read()
    server.wait(PATIENCE)  # its status is 1 if the idle worker was faster: to the server, it failed


def test_a_signal_to_a_worker_that_is_being_forked_ends_it() -> None:
    assert ran(FORKED) == (0, "0")


def test_two_signals_before_a_worker_serves_do_not_block_it() -> None:
    begin = "signal.pthread_sigmask(signal.SIG_BLOCK, stopping.STOP); stopping.stop_worker()"
    assert ran(TWICE_BEFORE_IT_SERVES.format(begin=begin, again="")) == (0, "lives")


def test_they_would_block_it_in_the_handler_of_the_server() -> None:
    assert ran(TWICE_BEFORE_IT_SERVES.format(begin="", again="signal.alarm(1)")) == (-signal.SIGALRM, "")


def test_a_stop_that_the_server_forgets_is_repeated() -> None:
    assert ran(FORGOTTEN) == (0, "asked again")


def test_a_server_that_does_not_stop_is_ended() -> None:
    assert ran(DEAF) == (-signal.SIGALRM, "")
