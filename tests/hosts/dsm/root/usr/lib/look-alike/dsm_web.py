#!/usr/bin/python3
"""DSM's own web server: it holds its ports."""

import asyncio

PORTS = (80, 443, 5000, 5001)
ANSWER = b"HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Length: 4\r\nConnection: close\r\n\r\nDSM\n"


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readline()
    writer.write(ANSWER)
    await writer.drain()
    writer.close()


async def main() -> None:
    servers = [await asyncio.start_server(_answer, "0.0.0.0", port) for port in PORTS]
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    asyncio.run(main())
