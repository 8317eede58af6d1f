"""Clients that no load tool of Debian's is: slow ones by the hundred, uploads of real packages.

`python -m bench.clients COMMAND PORT …` runs apart from what measures, so that neither waits for the other's turn.
"""

import asyncio
import json
import socket
import sys
import threading
import time
from pathlib import Path

TICK = 0.1  # seconds
RECEIVE_BUFFER = 32 * 1024  # bytes; a larger one would hide how slow the client reads


async def slow_readers(port: int, path: str, number: int, rate: int) -> None:
    """Read `path` over `number` connections at `rate` bytes/s each, until killed; says `ready` when all have begun."""

    async def read() -> None:
        loop, buffer = asyncio.get_running_loop(), bytearray(int(rate * TICK))
        while True:
            with socket.socket() as connection:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
                connection.setblocking(False)
                await loop.sock_connect(connection, ("127.0.0.1", port))
                await loop.sock_sendall(connection, f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
                while await loop.sock_recv_into(connection, buffer):
                    begun.add(connection.fileno())
                    await asyncio.sleep(TICK)

    await _forever([read() for _ in range(number)], begun := set(), number)


async def slow_uploads(port: int, path: str, number: int, rate: int, token: str) -> None:
    """Upload to `path` over `number` connections at `rate` bytes/s each, until killed; says `ready` likewise."""
    boundary, size = "bench", 50_000_000
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="package"; filename="a.mosis"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    request = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nContent-Length: {size}\r\n"
        f"Content-Type: multipart/form-data; boundary={boundary}\r\n\r\n{head}"
    ).encode()

    async def write(index: int) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request)
        while True:
            writer.write(bytes(int(rate * TICK)))
            await writer.drain()
            begun.add(index)
            await asyncio.sleep(TICK)

    await _forever([write(index) for index in range(number)], begun := set(), number)


async def _forever(clients: list, begun: set, number: int) -> None:
    tasks = [asyncio.create_task(client) for client in clients]
    while len(begun) < number:
        await asyncio.sleep(TICK)
        for task in tasks:
            if task.done():
                task.result()
    print("ready", flush=True)
    await asyncio.gather(*tasks)


def uploads(port: int, requests: list[dict]) -> float:
    """Send all requests at once, each a head, a file and a tail; seconds until the last has its answer."""
    answers: list[bytes] = []
    barrier = threading.Barrier(len(requests) + 1)

    def send(head: str, file: str, tail: str) -> None:
        with socket.create_connection(("127.0.0.1", port), timeout=120) as connection, Path(file).open("rb") as body:
            barrier.wait()
            connection.sendall(head.encode())
            connection.sendfile(body)
            connection.sendall(tail.encode())
            answers.append(connection.recv(65536))

    threads = [threading.Thread(target=send, kwargs=request) for request in requests]
    for thread in threads:
        thread.start()
    barrier.wait()
    started = time.perf_counter()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - started
    refused = [answer for answer in answers if not answer.startswith(b"HTTP/1.1 20")]
    if refused or len(answers) < len(requests):
        raise SystemExit(f"{len(requests) - len(answers)} uploads without an answer, refused: {refused[:1]}")
    return seconds


def first_bytes(port: int, path: str, number: int) -> list[float]:
    """Seconds until the first byte of `path`, one request after another."""
    found = []
    for _ in range(number):
        started = time.perf_counter()
        with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            begin = connection.recv(4096)
            found.append(time.perf_counter() - started)
        if not begin.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"{path}: {begin[:300]!r}")
    return found


if __name__ == "__main__":
    command, port, *words = sys.argv[1:]
    if command == "slow-readers":
        asyncio.run(slow_readers(int(port), words[0], int(words[1]), int(words[2])))
    elif command == "slow-uploads":
        asyncio.run(slow_uploads(int(port), words[0], int(words[1]), int(words[2]), words[3]))
    elif command == "uploads":
        print(uploads(int(port), json.load(sys.stdin)))
    elif command == "first-bytes":
        print(json.dumps(first_bytes(int(port), words[0], int(words[1]))))
