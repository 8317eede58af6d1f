"""SeaweedFS as a small cluster: two servers for content, each with a copy of every object, and one of other kinds."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from portal.mirror.client import Bucket, MirrorError
from portal.settings import S3
from tests.mirror.seaweed import ACCESS_KEY, SECRET_KEY, START_SECONDS, make_bucket, write_identity
from tests.support.portal import free_port

WEED = Path(sys.executable).with_name("weed")
BOTH = "001"  # replication: one more copy, on another server of the same rack
HERE = "127.0.0.1"


@dataclass(frozen=True)
class Cluster:
    """`engine` is its bucket, `volumes` the servers that have the content."""

    engine: S3
    volumes: tuple["subprocess.Popen[bytes]", ...]


@contextmanager
def seaweed_cluster() -> Iterator[Cluster]:
    """A cluster with an empty bucket, until the block ends."""
    with ExitStack() as stack:
        place = Path(tempfile.mkdtemp(prefix="mosis-s3-"))
        stack.callback(shutil.rmtree, place, ignore_errors=True)
        ports = iter([free_port() for _ in range(12)])
        master, filer, s3 = next(ports), next(ports), next(ports)
        servers = f"127.0.0.1:{master}.{next(ports)}"
        write_identity(place / "s3.json")
        (place / "credentials").write_text(f"{ACCESS_KEY}\n{SECRET_KEY}\n")

        def start(kind: str, port: int, grpc: str, *options: str) -> "subprocess.Popen[bytes]":
            """A server whose files are in a directory of its own."""
            own = place / f"{kind}-{port}"
            own.mkdir()
            address = [f"-ip={HERE}"] if kind != "s3" else []
            command = [WEED, kind, *address, f"-ip.bind={HERE}", f"-port={port}", f"-port.grpc={grpc}", *options]
            with (own / "log").open("w") as log:
                process = subprocess.Popen(
                    [str(part).format(own=own) for part in command], stdout=log, stderr=subprocess.STDOUT, cwd=own,
                    env=os.environ | {"HOME": str(own)},
                )  # fmt: skip
            stack.callback(_stop, process)
            return process

        start("master", master, servers.rpartition(".")[2], "-mdir={own}", f"-defaultReplication={BOTH}")
        volumes = tuple(
            start("volume", next(ports), str(next(ports)), "-dir={own}", "-max=50", f"-master={servers}")
            for _ in range(2)
        )
        start(
            "filer", filer, filer_grpc := str(next(ports)), f"-master={servers}", "-defaultStoreDir={own}",
            f"-defaultReplicaPlacement={BOTH}",
        )  # fmt: skip
        gateway = start(
            "s3", s3, str(next(ports)), f"-filer=127.0.0.1:{filer}.{filer_grpc}", f"-config={place}/s3.json",
            "-autoCreateBucket=false", "-port.iceberg=0", "-port.lance=0",
        )  # fmt: skip
        endpoint = f"http://127.0.0.1:{s3}"
        engine = S3(endpoint=endpoint, region="us-east-1", bucket="mosis", credentials=place / "credentials")
        make_bucket(engine, gateway, place / f"s3-{s3}/log")
        _wait_for_both(engine)
        yield Cluster(engine, volumes)


def _wait_for_both(engine: S3) -> None:
    """Until both servers are known, nothing can be stored."""
    bucket, deadline = Bucket(engine), time.monotonic() + START_SECONDS
    while True:
        try:
            bucket.call("put_object", Key="ready", Body=b"ready")
        except MirrorError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            bucket.call("delete_object", Key="ready")
            return


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait()
