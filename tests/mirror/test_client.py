"""The client of a bucket: faults are one sentence, and what it cannot write back it does not touch."""

import http.server
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from portal.mirror import objects
from portal.mirror.client import Bucket, MirrorError
from portal.mirror.lifecycle import LIFECYCLE
from portal.settings import S3


@pytest.mark.parametrize(
    ("credentials", "sentence"),
    [("mosis-test\nwrong\n", "^Bucket mosis at http"), ("one-line\n", "must contain two lines")],
)
def test_credentials_that_do_not_work_are_one_sentence(
    engine: S3, tmp_path: Path, credentials: str, sentence: str
) -> None:
    file = tmp_path / "credentials"
    file.write_text(credentials)
    with pytest.raises(MirrorError, match=sentence) as raised:
        LIFECYCLE.current(Bucket(engine.model_copy(update={"credentials": file})))
    assert "wrong" not in str(raised.value)


def test_threads_open_buckets_at_once_and_each_has_its_own_client(engine: S3) -> None:
    with ThreadPoolExecutor(8) as pool:
        opened = list(pool.map(lambda _: Bucket(engine), range(16)))
        listed = list(pool.map(lambda bucket: bucket.call("list_objects_v2", MaxKeys=1)["Name"], opened))
    assert listed == 16 * [engine.bucket]
    assert len({id(bucket._client) for bucket in opened}) == 16


def test_an_absent_file_and_an_absent_engine_are_one_sentence(engine: S3, tmp_path: Path) -> None:
    with pytest.raises(MirrorError, match="cannot be read: No such file"):
        Bucket(engine.model_copy(update={"credentials": tmp_path / "absent"}))
    away = S3(endpoint="http://127.0.0.1:1", bucket="mosis", credentials=engine.credentials)
    with pytest.raises(MirrorError, match="Could not connect"):
        LIFECYCLE.current(Bucket(away))


def test_a_head_that_is_refused_has_a_remedy(engine: S3, tmp_path: Path) -> None:
    """Its answer has no body, and so no code."""
    file = tmp_path / "credentials"
    file.write_text("mosis-test\nwrong\n")
    with pytest.raises(MirrorError, match=r"403.*Let this access key list, read, write and delete objects in mosis\.$"):
        objects.digest(Bucket(engine.model_copy(update={"credentials": file})), "any")


RULES = """<?xml version="1.0" encoding="UTF-8"?>
<LifecycleConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Rule><ID>theirs</ID><Status>Enabled</Status>
<Filter><And><Prefix>x/</Prefix><Tag><Key>a</Key><Value>b</Value></Tag></And></Filter>
<Expiration><Days>3</Days>{}</Expiration></Rule></LifecycleConfiguration>"""


@pytest.fixture
def minio_like(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[S3]:
    """An engine with the rule of `RULES` and an element of its own in it. Fails where something is written to it."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = RULES.format(request.param).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_PUT(self) -> None:
            written.append(self.path)
            self.send_error(500)

        def log_message(self, *_: object) -> None:
            pass

    written: list[str] = []
    credentials = tmp_path / "credentials"
    credentials.write_text("a\nb\n")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield S3(endpoint=f"http://127.0.0.1:{server.server_port}", bucket="mosis", credentials=credentials)
        server.shutdown()
        thread.join()
    assert written == []


@pytest.mark.parametrize("minio_like", ["<ExpiredObjectAllVersions>true</ExpiredObjectAllVersions>"], indirect=True)
def test_a_rule_that_boto3_does_not_wholly_know_is_not_rewritten(minio_like: S3) -> None:
    """MinIO's own elements are dropped by boto3's parser: written back, the stranger's rule would be another one."""
    with pytest.raises(MirrorError, match="contain ExpiredObjectAllVersions, which boto3 cannot write back"):
        LIFECYCLE.apply(Bucket(minio_like), [])


@pytest.mark.parametrize("minio_like", [""], indirect=True)
def test_a_rule_that_boto3_knows_is_read(minio_like: S3) -> None:
    assert [rule["ID"] for rule in LIFECYCLE.current(Bucket(minio_like))] == ["theirs"]
