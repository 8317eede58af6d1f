"""A real S3 engine on loopback ports of its own: SeaweedFS, which refuses what an imitation would let through."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from portal.mirror.client import Bucket, MirrorError
from portal.mirror.objects import Listed, listed
from portal.settings import S3
from tests.mirror import filer_dump
from tests.support.portal import free_port

ACCESS_KEY, SECRET_KEY = "mosis-test", "not-a-secret"
UPLOAD_KEY = "mosis-uploads"  # with the same secret; it may only write
SERVERS = ("master", "volume", "filer", "s3", "admin")
START_SECONDS = 60.0
READY = "mosis-ready"  # a bucket with an object, and the object's name


@dataclass
class Seaweed:
    """The engine; `engine` is its bucket, as the settings describe it."""

    engine: S3
    command: list[str]
    place: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it on what it has stored, unless it runs, and wait until it answers."""
        if self.process and self.process.poll() is None:
            return
        with (self.place / "log").open("a") as log:
            self.process = subprocess.Popen(
                self.command, stdout=log, stderr=subprocess.STDOUT, env=os.environ | {"HOME": str(self.place)}
            )
        make_bucket(self.engine, self.process, self.place / "log")
        self._wait_for_volumes()

    def _wait_for_volumes(self) -> None:
        """What was stored before a kill is found again a moment after names are."""
        client, deadline = _client(self.engine), time.monotonic() + START_SECONDS
        while True:
            try:
                if READY not in {one["Name"] for one in client.list_buckets()["Buckets"]}:
                    client.create_bucket(Bucket=READY)
                    client.put_object(Bucket=READY, Key=READY, Body=b"stored")
                client.get_object(Bucket=READY, Key=READY)["Body"].read()
            except (ClientError, BotoCoreError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
            else:
                return

    def age(self, bucket: str, seconds: Mapping[str, int]) -> None:
        """Make objects of a bucket so many seconds older, through the dump of the filer: S3 has no way to do that."""
        saved, loaded = self.place / "saved.meta", self.place / "loaded.meta"
        self._shell(f"fs.meta.save -o {saved} /buckets/{bucket}")
        loaded.write_bytes(b"".join(filer_dump.older(saved.read_bytes(), f"/buckets/{bucket}/", seconds)))
        wanted = {found.key: found.modified - seconds.get(found.key, 0) for found in self._listed(bucket)}
        while wanted != {found.key: found.modified for found in self._listed(bucket)}:
            self._shell(f"fs.meta.load {loaded}")  # which may end before the last entry is written

    def expire(self) -> None:
        """Enforce the lifecycle rules of all buckets now."""
        output = self._shell(
            f"s3.lifecycle.run-shard -shards 0-15 -s3 127.0.0.1:{self._port('s3.port.grpc')} -runtime 5s"
        )
        assert "shards 0-15 complete" in output, output

    def _listed(self, bucket: str) -> list[Listed]:
        return list(listed(Bucket(self.engine.model_copy(update={"bucket": bucket}))))

    def _shell(self, command: str) -> str:
        servers = [
            f"-{server}=127.0.0.1:{self._port(f'{server}.port')}.{self._port(f'{server}.port.grpc')}"
            for server in ("master", "filer")
        ]
        ran = subprocess.run(
            [self.command[0], "shell", *servers], input=command, capture_output=True, text=True, timeout=120,
            env=os.environ | {"HOME": str(self.place)},
        )  # fmt: skip
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    def _port(self, option: str) -> str:
        return next(value for name, _, value in (part.partition("=") for part in self.command) if name == f"-{option}")

    def kill(self) -> None:
        """SIGKILL."""
        if self.process:
            self.process.kill()
            self.process.wait()


@contextmanager
def seaweed() -> Iterator[S3]:
    """An empty bucket, as the settings describe it, until the block ends."""
    with running_seaweed() as running:
        yield running.engine


@contextmanager
def own_bucket(engine: S3) -> Iterator[S3]:
    """A further bucket of the engine until the block ends; it has room for some fifty at a time."""
    own = engine.model_copy(update={"bucket": f"mosis-{uuid.uuid4().hex}"})
    bucket = Bucket(own)
    bucket.call("create_bucket")
    try:
        yield own
    finally:
        with suppress(MirrorError):  # the test has deleted it
            bucket.call("delete_bucket")


@contextmanager
def running_seaweed() -> Iterator[Seaweed]:
    """An engine with an empty bucket, which the block may kill and start."""
    with ExitStack() as stack:
        place = Path(tempfile.mkdtemp(prefix="mosis-s3-"))
        stack.callback(shutil.rmtree, place, ignore_errors=True)
        ports = [free_port() for _ in range(2 * len(SERVERS))]
        credentials = place / "credentials"
        credentials.write_text(f"{ACCESS_KEY}\n{SECRET_KEY}\n")
        endpoint = f"http://127.0.0.1:{ports[2 * SERVERS.index('s3')]}"
        engine = S3(endpoint=endpoint, region="us-east-1", bucket="mosis", credentials=credentials)
        weed = str(Path(sys.executable).with_name("weed"))
        running = Seaweed(engine, [weed, "mini", *_options(place, ports)], place)
        stack.callback(running.kill)
        running.start()
        yield running


def write_identity(file: Path) -> None:
    """Who may do everything, and who may only write, as the engine reads it."""
    rights = {ACCESS_KEY: ["Admin", "Read", "List", "Tagging", "Write"], UPLOAD_KEY: ["Write"]}
    identities = [
        {"name": key, "credentials": [{"accessKey": key, "secretKey": SECRET_KEY}], "actions": actions}
        for key, actions in rights.items()
    ]
    file.write_text(json.dumps({"identities": identities}))


def _options(place: Path, ports: list[int]) -> list[str]:
    write_identity(place / "s3.json")
    pinned = [f"-{server}.port={ports[2 * i]}" for i, server in enumerate(SERVERS)]
    pinned += [f"-{server}.port.grpc={ports[2 * i + 1]}" for i, server in enumerate(SERVERS)]
    fixed = "-ip=127.0.0.1 -ip.bind=127.0.0.1 -webdav=false -admin.ui=false -s3.port.iceberg=0 -s3.port.lance=0"
    return [*fixed.split(), "-s3.autoCreateBucket=false", f"-s3.config={place}/s3.json", f"-dir={place}", *pinned]


def _client(engine: S3) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=str(engine.endpoint),
        region_name=engine.region,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}, connect_timeout=1),
    )


def make_bucket(engine: S3, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait for the engine of `process`, and have the bucket."""
    client, deadline = _client(engine), time.monotonic() + START_SECONDS
    while True:
        try:
            client.create_bucket(Bucket=engine.bucket)
        except client.exceptions.BucketAlreadyOwnedByYou:  # it was started again
            return
        except (ClientError, BotoCoreError):
            if process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"SeaweedFS did not start:\n{log.read_text()[-2000:]}") from None
            time.sleep(0.1)
        else:
            return
