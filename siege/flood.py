"""The connections of an attack. `python -m siege.flood` runs apart from what measures, so that neither waits for the
other: the flood as JSON on its standard input, `ready` and later the counts on its output; it ends with its input.
"""

import heapq
import json
import resource
import select
import socket
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass

NUMBER = "@@"
TICK = 0.05  # seconds
BACK = 1.0  # seconds until who was cut or refused is back
AT_ONCE = 400  # connections opened in a tick, so that the queue of the kernel takes them all
RECEIVE_BUFFER = 4096  # bytes; a larger one would take an answer that nobody reads
BIND_ADDRESS_NO_PORT = 24  # ip(7): the port is chosen in connect(2), by the whole pair of addresses
GONE = select.EPOLLHUP | select.EPOLLERR


@dataclass(frozen=True)
class Flood:
    """`connections` to the port, spread over the addresses of this host; those that are cut or refused come back.

    Each sends one of the requests, in Latin-1, in which NUMBER is another number each time; then `drip` each `every`
    seconds. It reads nothing but the status of the answer, and then either `hurries` to send the next request or stays.
    """

    requests: Sequence[str]
    connections: int
    addresses: Sequence[str] = ("127.66.0.1",)
    drip: str = ""
    every: float = 3.0
    hurries: bool = False

    def as_json(self, port: int) -> str:
        return json.dumps({"port": port, "flood": asdict(self)})


class _Connection:
    def __init__(self, port: int, address: str, request: bytes) -> None:
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        self.socket.setsockopt(socket.IPPROTO_IP, BIND_ADDRESS_NO_PORT, 1)
        self.socket.setblocking(False)
        self.socket.bind((address, 0))
        self.left = memoryview(request)
        self.has_answer = False
        self.socket.connect_ex(("127.0.0.1", port))

    def send(self) -> bool:
        """Send what the kernel takes; whether nothing is left. Raises OSError."""
        with suppress(BlockingIOError):
            self.left = self.left[self.socket.send(self.left) :] if self.left else self.left
        return not self.left


class _Run:
    def __init__(self, port: int, flood: Flood) -> None:
        self.port, self.flood, self.counts = port, flood, Counter[str]()
        self.poll, self.open = select.epoll(), dict[int, tuple[int, _Connection]]()
        self.due = [(0.0, slot, -1) for slot in range(flood.connections)]  # what a slot does next: open, or drip

    def tick(self) -> None:
        now, opened = time.monotonic(), 0
        while self.due and self.due[0][0] <= now and opened < AT_ONCE:
            _, slot, descriptor = heapq.heappop(self.due)
            if descriptor < 0:
                opened += 1
                self._open(slot)
            elif self.open.get(descriptor, (-1,))[0] == slot:
                self._drip(slot, descriptor)
        for descriptor, events in self.poll.poll(TICK, 4096):
            self._on(descriptor, events)

    def _open(self, slot: int) -> None:
        self.counts["opened"] += 1
        requests, addresses = self.flood.requests, self.flood.addresses
        request = requests[slot % len(requests)].replace(NUMBER, str(self.counts["opened"]))
        connection = _Connection(self.port, addresses[slot % len(addresses)], request.encode("latin-1"))
        descriptor = connection.socket.fileno()
        self.open[descriptor] = slot, connection
        self.poll.register(descriptor, select.EPOLLIN | select.EPOLLOUT | GONE)
        self._later(slot, descriptor)

    def _later(self, slot: int, descriptor: int) -> None:
        if self.flood.drip:
            heapq.heappush(self.due, (time.monotonic() + self.flood.every, slot, descriptor))

    def _drip(self, slot: int, descriptor: int) -> None:
        try:
            connection = self.open[descriptor][1]
            if connection.send():
                connection.socket.send(self.flood.drip.encode("latin-1"))
        except BlockingIOError:
            pass
        except OSError:
            self._close(descriptor, "cut")
            return
        self._later(slot, descriptor)

    def _on(self, descriptor: int, events: int) -> None:
        if descriptor not in self.open:
            return
        connection = self.open[descriptor][1]
        try:
            if events & select.EPOLLOUT:
                wanted = select.EPOLLIN if connection.send() else select.EPOLLIN | select.EPOLLOUT
                self.poll.modify(descriptor, GONE | (0 if connection.has_answer else wanted))
            if events & select.EPOLLIN and not connection.has_answer:
                self._answered(descriptor, connection)
            elif events & GONE:
                self._close(descriptor, "cut")
        except BlockingIOError:
            pass
        except OSError:
            self._close(descriptor, "cut")

    def _answered(self, descriptor: int, connection: _Connection) -> None:
        begin = connection.socket.recv(12, socket.MSG_PEEK)
        if not begin:
            self._close(descriptor, "cut")
        elif begin.endswith((b" 429", b" 503")):
            hurries = self.flood.hurries and begin.endswith(b" 429")
            self._close(descriptor, "refused", back=0 if hurries else BACK)
        elif self.flood.hurries:
            self._close(descriptor, "answered", back=0)
        else:
            self.counts["answered"] += not connection.has_answer
            connection.has_answer = True
            self.poll.modify(descriptor, GONE | (select.EPOLLOUT if connection.left else 0))

    def _close(self, descriptor: int, why: str, back: float = BACK) -> None:
        slot, connection = self.open.pop(descriptor)
        connection.socket.close()
        self.counts[why] += 1
        heapq.heappush(self.due, (time.monotonic() + back, slot, -1))


def main() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    given = json.loads(sys.stdin.readline())
    run, is_ready = _Run(given["port"], Flood(**given["flood"])), False
    ended = select.poll()
    ended.register(sys.stdin, select.POLLIN | select.POLLHUP)
    while not ended.poll(0):
        run.tick()
        if not is_ready and run.counts["opened"] >= run.flood.connections:
            is_ready = True
            print("ready", flush=True)
    print(json.dumps({**run.counts, "open": len(run.open)}), flush=True)


if __name__ == "__main__":
    main()
