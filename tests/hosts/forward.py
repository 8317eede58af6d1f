"""Carries TCP connections from one address to another, as a reverse proxy does in front of a loopback port."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

Address = tuple[str, int]
CHUNK = 65536


@contextmanager
def forwarded(listen: Address, target: Address, namespace: str = "") -> Iterator[None]:
    """Until the block ends, connections to `listen` reach `target`, both in the network namespace if one is named.

    Raises AssertionError if `listen` cannot be listened on.
    """
    inside = ("ip", "netns", "exec", namespace) if namespace else ()
    words = [*inside, sys.executable, __file__, *map(str, (*listen, *target))]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout and process.stdout.readline() == "listening\n", f"cannot listen on {listen}"
            yield
        finally:
            process.kill()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
    with suppress(OSError):
        writer.write_eof()


async def _serve(listen: Address, target: Address) -> None:
    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            onward = await asyncio.open_connection(*target)
        except OSError:
            writer.close()
            return
        await asyncio.gather(_carry(reader, onward[1]), _carry(onward[0], writer))
        for end in (writer, onward[1]):
            end.close()

    server = await asyncio.start_server(accept, *listen)
    print("listening", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    here, its_port, there, port = sys.argv[1:]
    asyncio.run(_serve((here, int(its_port)), (there, int(port))))
