"""Uploads through the mirror's private bucket: a real portal, a real engine, and the job between them."""

import dataclasses
import itertools
import os
import signal
import socket
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from portal.jobs import collect, status
from portal.mirror import direct, objects
from portal.mirror.client import Bucket, MirrorError
from portal.mirror.record import Record
from portal.settings import S3, SettingsError
from portal.store import apps, awaited, files, retention, signed_uploads
from portal.store.audit import Actor
from portal.store.errors import Unavailable
from portal.store.signed_uploads import Held, Transfer
from portal.store.store import Store, open_store
from tests.http.test_uploads import complete, issue, issued, sha256
from tests.mirror.seaweed import SECRET_KEY, UPLOAD_KEY, Seaweed, running_seaweed
from tests.packages.samples import APP_ID, make_package
from tests.support import dying
from tests.support.clock import move
from tests.support.portal import Portal, Publisher, add_developer, free_port, make_store, mosis, problem

MIB = 1024 * 1024
_numbers = itertools.count(1)


def settings_with(engine: S3, private: str) -> dict[str, object]:
    return engine.model_dump(mode="json") | {"private_bucket": private}


def private_bucket(engine: S3) -> Bucket:
    """A new one."""
    bucket = Bucket(engine.model_copy(update={"bucket": f"private-{uuid.uuid4().hex}"}))
    bucket.call("create_bucket")
    return bucket


@pytest.fixture(scope="module")
def mirrored(engine: S3, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    """A portal with a private bucket and a key that only writes; tests use apps of their own and leave no object."""
    bucket, place = private_bucket(engine), tmp_path_factory.mktemp("portal")
    (place / "uploads").write_text(f"{UPLOAD_KEY}\n{SECRET_KEY}\n")
    mirror = settings_with(engine, bucket.engine.bucket) | {"upload_credentials": str(place / "uploads")}
    with Portal(make_store(place / "store", port=free_port(), mirror=mirror)) as running:
        yield running


@pytest.fixture
def publisher(mirrored: Portal, tmp_path: Path) -> Iterator[Publisher]:
    """A new developer with an app without versions."""
    number = next(_numbers)
    app_id, key = f"org.example.app{number}", Ed25519PrivateKey.generate()
    token = add_developer(mirrored.store, f"dev{number}", key=key)
    with mirrored.client(token) as client:
        client.post("/api/apps", json={"app_id": app_id, "name": f"App {number}"}).raise_for_status()
        yield Publisher(mirrored, client, client, tmp_path, app_id, key)


@pytest.fixture
def body(publisher: Publisher) -> bytes:
    return publisher.package(1, payload_bytes=3_000_000).read_bytes()


def via_mirror(publisher: Publisher, body: bytes, **more: object) -> dict:
    return issued(publisher, size=len(body), via="mirror", **more)


def put(upload: dict, body: bytes, **headers: str) -> httpx.Response:
    return httpx.put(upload["url"], content=body, headers=upload["headers"] | headers, timeout=60, trust_env=False)


def run(store: Store, watch: float = 0) -> list[tuple[str, str]]:
    """One run of the job; what it reported."""
    done: list[tuple[str, str]] = []
    collect.collect(store, watch=watch, report=lambda verb, key: done.append((verb, key)))
    return done


def sweep(store: Store) -> list[str]:
    """Keys of old uploads that a run finds when it is time to look for them."""
    with closing(Record.open(store.layout)) as record:
        record.swept_at = 0
    return [key for verb, key in run(store) if verb == "deleted"]


@lru_cache
def opened(engine: S3) -> Bucket:
    """A client costs more than most of what these tests do with it."""
    return Bucket(engine)


def bucket_of(store: Store) -> Bucket:
    return opened(store.settings.mirror.private)


def keys(store: Store) -> list[str]:
    return [found.key for found in objects.listed(bucket_of(store))]


def test_a_package_goes_in_by_the_bucket(publisher: Publisher, body: bytes) -> None:
    store = publisher.portal.store
    upload = via_mirror(publisher, body, sha256=sha256(body))
    assert upload["method"] == "PUT"
    assert urlsplit(upload["url"]).path.endswith(f"/temp/{upload['upload_id']}/package.mosis")
    assert "X-Amz-SignedHeaders=content-length%3Bcontent-type%3Bhost" in upload["url"]
    assert put(upload, body).status_code == 200

    waiting = complete(publisher, upload)
    assert (waiting.status_code, waiting.json()["status"]) == (202, "uploading")
    assert int(waiting.headers["Retry-After"]) > 0
    key = direct.key_of(upload["upload_id"])
    assert run(store) == [("fetched", key)]

    version = complete(publisher, upload)
    assert version.status_code == 201, version.text
    assert (version.json()["status"], version.json()["sha256"]) == ("draft", sha256(body))
    assert publisher.client.get(version.json()["download_url"]).content == body
    assert complete(publisher, upload).json() == version.json()
    assert keys(store) == []
    assert not store.layout.staging(upload["upload_id"]).exists()


def test_the_limit_of_one_package_leaves_that_of_the_whole_run(publisher: Publisher, body: bytes) -> None:
    upload, left = via_mirror(publisher, body), list[float]()
    put(upload, body)
    complete(publisher, upload)
    store = publisher.portal.store
    collect.collect(store, watch=0, report=lambda *_: left.append(signal.getitimer(signal.ITIMER_REAL)[0]))
    assert left[0] > collect.PATIENCE_SECONDS
    assert complete(publisher, upload).status_code == 201


def test_the_job_is_there_when_the_owner_completes(publisher: Publisher, body: bytes) -> None:
    """Otherwise cron's minute would pass first."""
    upload = via_mirror(publisher, body)
    put(upload, body)
    store = open_store(publisher.portal.store.settings)
    with ThreadPoolExecutor(1) as pool, pytest.MonkeyPatch.context() as patch:
        patch.setattr(collect, "_at_most", _unlimited)  # signals are for the main thread
        job = pool.submit(run, store, 60)
        while complete(publisher, upload).status_code == 202:
            pass
        assert job.result() == [("fetched", direct.key_of(upload["upload_id"]))]


def _unlimited(seconds: int) -> closing:
    return closing(socket.socket())


@pytest.mark.parametrize(
    ("change", "headers"),
    [(lambda body: body[:-1], {}), (lambda body: body + b"x", {}), (lambda body: body, {"Content-Type": "text/html"})],
    ids=["short", "long", "type"],
)
def test_the_bucket_takes_the_signed_length_and_type_alone(
    publisher: Publisher, body: bytes, change: Callable[[bytes], bytes], headers: dict[str, str]
) -> None:
    upload = via_mirror(publisher, body)
    sent = change(body)
    assert put(upload, sent, **{"Content-Length": str(len(sent))}, **headers).status_code == 403
    assert keys(publisher.portal.store) == []
    assert complete(publisher, upload).status_code == 202
    assert run(publisher.portal.store) == []
    problem(complete(publisher, upload), 409, "UPLOAD_INCOMPLETE")
    ends_well(publisher, upload, body)


def ends_well(publisher: Publisher, upload: dict, body: bytes) -> None:
    """The upload can still be sent and completed, and leaves nothing."""
    assert put(upload, body).status_code == 200
    assert complete(publisher, upload).status_code == 202
    assert run(publisher.portal.store) == [("fetched", direct.key_of(upload["upload_id"]))]
    version = complete(publisher, upload)
    assert (version.status_code, version.json()["sha256"]) == (201, sha256(body))
    assert keys(publisher.portal.store) == []


def test_a_url_is_for_one_path_and_one_method(publisher: Publisher, body: bytes) -> None:
    upload, other = via_mirror(publisher, body), via_mirror(publisher, body)
    elsewhere = upload["url"].replace(upload["upload_id"], other["upload_id"])
    published = upload["url"].replace(f"temp/{upload['upload_id']}", "packages/acme/org.example.reader/1")
    for url in (elsewhere, published):
        assert put(upload | {"url": url}, body).status_code == 403
    for method in ("GET", "DELETE", "HEAD"):
        headers = {"Content-Type": upload["headers"]["Content-Type"]}
        assert httpx.request(method, upload["url"], headers=headers, trust_env=False).status_code == 403
    assert keys(publisher.portal.store) == []
    ends_well(publisher, upload, body)


def test_an_expired_url_is_refused_and_renewed(publisher: Publisher, body: bytes) -> None:
    upload = via_mirror(publisher, body)
    transfer = signed_uploads.find(publisher.portal.store.db.read(), upload["upload_id"])
    expired = direct.url(bucket_of(publisher.portal.store), dataclasses.replace(transfer, expires_at=0))
    old = {"url": expired.replace(query(expired, "X-Amz-Date"), "20200101T000000Z")}
    assert put(upload | old, body).status_code == 403
    assert put(upload | {"url": changed(upload["url"], "X-Amz-Expires", "604800")}, body).status_code == 403
    renewed = publisher.client.post(f"/api/uploads/{upload['upload_id']}/url")
    assert renewed.status_code == 201
    assert urlsplit(renewed.json()["url"]).path == urlsplit(upload["url"]).path
    ends_well(publisher, renewed.json(), body)


def query(url: str, name: str) -> str:
    return str(httpx.URL(url).params[name])


def changed(url: str, name: str, value: str) -> str:
    return str(httpx.URL(url).copy_set_param(name, value))


def test_the_key_of_the_portal_reads_lists_and_deletes_nothing(publisher: Publisher, body: bytes) -> None:
    upload, private = via_mirror(publisher, body), publisher.portal.store.settings.mirror.private
    assert f"{UPLOAD_KEY}%2F" in upload["url"]
    put(upload, body)
    of_portal, given = Bucket(private.signing), {"Key": direct.key_of(upload["upload_id"])}
    for operation, parameters in (("get_object", given), ("list_objects_v2", {}), ("get_bucket_cors", {})):
        with pytest.raises(MirrorError, match="AccessDenied"):
            of_portal.call(operation, **parameters)
    ends_well(publisher, upload, body)


def test_a_url_is_valid_for_a_quarter_of_an_hour(publisher: Publisher, body: bytes) -> None:
    assert int(query(via_mirror(publisher, body)["url"], "X-Amz-Expires")) in range(890, 901)


def test_an_upload_of_somebody_else_is_not_there(publisher: Publisher, body: bytes) -> None:
    upload = via_mirror(publisher, body)
    put(upload, body)
    with publisher.portal.client(add_developer(publisher.portal.store, f"other{next(_numbers)}", key=None)) as other:
        for what in ("complete", "url"):
            problem(other.post(f"/api/uploads/{upload['upload_id']}/{what}"), 404, "NOT_FOUND")
    assert run(publisher.portal.store) == []
    ends_well(publisher, upload, body)


def test_a_url_that_is_used_again_changes_no_version_and_leaves_nothing(publisher: Publisher, body: bytes) -> None:
    store = publisher.portal.store
    upload = via_mirror(publisher, body, sha256=sha256(body))
    for _ in range(2):
        assert put(upload, body).status_code == 200
    complete(publisher, upload)
    run(store)
    assert put(upload, bytes(len(body))).status_code == 200  # between fetching and completing
    version = complete(publisher, upload)
    assert (version.status_code, version.json()["sha256"]) == (201, sha256(body))
    assert put(upload, bytes(len(body))).status_code == 200
    assert publisher.client.get(version.json()["download_url"]).content == body
    assert sweep(store) == [direct.key_of(upload["upload_id"])]
    assert keys(store) == []


def test_another_body_than_announced_is_refused_and_can_be_replaced(publisher: Publisher, body: bytes) -> None:
    upload = via_mirror(publisher, body, sha256=sha256(body))
    assert put(upload, bytes(len(body))).status_code == 200
    assert complete(publisher, upload).status_code == 202
    assert run(publisher.portal.store) == []
    assert keys(publisher.portal.store) == []
    problem(complete(publisher, upload), 422, "DIGEST_MISMATCH")
    ends_well(publisher, upload, body)


def test_an_invalid_package_is_refused_as_if_it_had_come_directly(publisher: Publisher) -> None:
    body = b"PK no package"
    upload = via_mirror(publisher, body)
    assert put(upload, body).status_code == 200
    complete(publisher, upload)
    run(publisher.portal.store)
    reasons = problem(complete(publisher, upload), 422, "VALIDATION_ERROR")["errors"]
    (version,) = publisher.client.get(f"/api/apps/{publisher.app_id}/versions").json()["versions"]
    assert (version["status"], version["reasons"]) == ("failed", reasons)
    problem(complete(publisher, upload), 409, "UPLOAD_USED")
    assert keys(publisher.portal.store) == []


def test_a_package_that_is_too_large_gets_no_url(publisher: Publisher) -> None:
    size = publisher.portal.store.settings.package_max_bytes + 1
    problem(issue(publisher, size=size, via="mirror"), 413, "FILE_TOO_LARGE")


def test_an_object_that_is_too_large_is_not_read(publisher: Publisher, body: bytes) -> None:
    """An engine that ignores what is signed would fill the disk."""
    upload, store = via_mirror(publisher, body), publisher.portal.store
    bucket_of(store).call("put_object", Key=direct.key_of(upload["upload_id"]), Body=body + b"x")
    complete(publisher, upload)
    assert run(store) == []
    problem(complete(publisher, upload), 409, "UPLOAD_INCOMPLETE")
    assert keys(store) == []
    ends_well(publisher, upload, body)


@pytest.mark.parametrize("body", [{"size": 10, "via": "mirror"}, {"size": 10, "via": "elsewhere"}])
def test_a_store_without_a_private_bucket_refuses(portal: Portal, body: dict[str, object]) -> None:
    token = add_developer(portal.store, f"plain{next(_numbers)}", key=None)
    with portal.client(token) as client:
        app_id = f"org.example.plain{next(_numbers)}"
        client.post("/api/apps", json={"app_id": app_id, "name": "Plain"}).raise_for_status()
        errors = problem(client.post(f"/api/apps/{app_id}/uploads", json=body), 422, "VALIDATION_ERROR")["errors"]
        assert [error.partition(":")[0] for error in errors] == ["via"]


def test_tus_works_with_the_portal_alone(publisher: Publisher) -> None:
    tus = {"Tus-Resumable": "1.0.0", "Upload-Length": "10"}
    answer = publisher.client.post(
        f"/api/apps/{publisher.app_id}/uploads", headers=tus, json={"via": "mirror"}
    )  # fmt: skip
    problem(answer, 422, "VALIDATION_ERROR")


def test_uploads_through_the_bucket_count_among_the_open_ones(publisher: Publisher) -> None:
    for _ in range(publisher.portal.store.settings.open_uploads_max):
        issued(publisher, size=10, via="mirror")
    problem(issue(publisher, size=10), 403, "QUOTA_EXCEEDED")
    problem(issue(publisher, size=10, via="mirror"), 403, "QUOTA_EXCEEDED")


def test_what_nobody_waits_for_is_deleted_and_what_may_be_of_another_store_stays(
    publisher: Publisher, body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, bucket = publisher.portal.store, bucket_of(publisher.portal.store)
    upload = via_mirror(publisher, body)
    put(upload, body)
    young = direct.key_of("0" * 32)
    others = ["temp/probe-0", "temp/x/package.mosis", "drafts/x", f"else/{young}"]
    for key in (young, *others):
        bucket.call("put_object", Key=key, Body=b"x")
    assert sweep(store) == []
    move(monkeypatch, retention.UPLOAD_SECONDS + 60)
    assert set(sweep(store)) == {young, direct.key_of(upload["upload_id"])}
    assert sorted(keys(store)) == sorted(others)
    for key in others:
        bucket.call("delete_object", Key=key)


def test_the_bucket_is_listed_once_an_hour_and_not_asked_at_all_while_no_upload_is_open(
    engine: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make_store(tmp_path / "store", mirror=settings_with(engine, private_bucket(engine).engine.bucket))
    asked: list[str] = []
    call = Bucket.call
    monkeypatch.setattr(Bucket, "call", lambda self, name, **given: asked.append(name) or call(self, name, **given))
    for _ in range(3):
        run(store)
    assert asked == ["list_objects_v2"]
    move(monkeypatch, collect.SWEEP_SECONDS)
    run(store)
    assert asked == ["list_objects_v2"] * 2
    store.db.close()


@pytest.fixture
def seaweed() -> Iterator[Seaweed]:
    with running_seaweed() as running:
        yield running


OWNER = Actor("acme", "developer", None, "test")


@pytest.fixture
def uploading(seaweed: Seaweed, tmp_path: Path) -> Iterator[Store]:
    """A store with one app, whose private bucket is at an engine of its own."""
    private = Bucket(seaweed.engine.model_copy(update={"bucket": "private"}))
    private.call("create_bucket")
    store = make_store(tmp_path / "store", mirror=settings_with(seaweed.engine, "private"))
    add_developer(store, OWNER.developer_id)
    with store.db.write() as tx:
        apps.add(tx, OWNER, APP_ID, "Reader", "")
    yield store
    store.db.close()


def sent(store: Store, path: Path, code: int, payload_bytes: int = 3_000_000) -> tuple[Transfer, bytes]:
    """An upload whose body is in the bucket, and wanted."""
    make_package(path, version_code=code, payload_bytes=payload_bytes)
    body = path.read_bytes()
    app = apps.get(store.db.read(), APP_ID)
    transfer = signed_uploads.issue(store, app, len(body), sha256(body), "mirror")
    bucket_of(store).call("put_object", Key=direct.key_of(transfer.upload_id), Body=body)
    assert awaited.want(store, transfer.upload_id)
    return transfer, body


def is_placed(store: Store, transfer: Transfer, body: bytes) -> bool:
    assert not awaited.want(store, transfer.upload_id)
    version = signed_uploads.complete(store, OWNER, transfer.upload_id)
    return store.layout.package(OWNER.developer_id, APP_ID, version.version_code).read_bytes() == body


def test_a_bucket_that_dies_in_the_middle_is_asked_again(
    uploading: Store, seaweed: Seaweed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    transfer, body = sent(uploading, tmp_path / "x.mosis", 1, payload_bytes=24 * MIB)
    read = objects.read

    def dies(bucket: Bucket, source: object) -> bytes:
        seaweed.kill()
        return read(bucket, source)

    with monkeypatch.context() as patch:
        patch.setattr(objects, "read", dies)
        with pytest.raises(MirrorError):
            run(uploading)
    with pytest.raises(MirrorError):  # it is away
        run(uploading)
    with pytest.raises(Unavailable) as away:
        awaited.want(uploading, transfer.upload_id)
    assert away.value.retry_after > 0
    assert "collect" in [line.name for line in status.status(uploading.settings) if not line.ok]

    seaweed.start()
    assert run(uploading) == [("fetched", direct.key_of(transfer.upload_id))]
    assert is_placed(uploading, transfer, body)
    assert keys(uploading) == []


def test_a_disk_that_is_full_is_tried_again(
    uploading: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    transfer, body = sent(uploading, tmp_path / "x.mosis", 1)
    write = files.write_all

    def full(file: object, chunk: bytes) -> None:
        write(file, chunk[:1000])
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as patch:
        patch.setattr(files, "write_all", full)
        with pytest.raises(OSError, match="No space left"):
            run(uploading)
    assert (uploading.layout.staging(transfer.upload_id) / "package.mosis").stat().st_size == 0
    with pytest.raises(Unavailable):
        awaited.want(uploading, transfer.upload_id)
    run(uploading)
    assert is_placed(uploading, transfer, body)


def test_one_body_that_cannot_be_fetched_holds_up_no_other(
    uploading: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, _ = sent(uploading, tmp_path / "1.mosis", 1)
    other, body = sent(uploading, tmp_path / "2.mosis", 2)
    call = Bucket.call

    def fails(bucket: Bucket, operation: str, **given: object) -> object:
        if operation == "get_object" and broken.upload_id in str(given["Key"]):
            raise bucket.failed("it is ill")
        return call(bucket, operation, **given)

    monkeypatch.setattr(Bucket, "call", fails)
    for at in (2, 4):  # seconds: whoever failed last waits longest
        move(monkeypatch, at)
        with pytest.raises(MirrorError, match="it is ill"):
            run(uploading)
    assert is_placed(uploading, other, body)


def test_whoever_kills_the_job_at_any_step_loses_and_leaves_nothing(
    uploading: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps, key = 0, "temp/{}/package.mosis"
    monkeypatch.setattr(collect, "Bucket", opened)
    for code in itertools.count(1):
        transfer, body = sent(uploading, tmp_path / f"{code}.mosis", code, payload_bytes=2 * MIB)
        how = dying.in_child(lambda step=code: _killed_at(uploading, step))
        if how == 0:
            break
        assert how == signal.SIGKILL
        steps += 1
        run(uploading)
        assert is_placed(uploading, transfer, body), f"step {code}"
        sweep(uploading)
        assert key.format(transfer.upload_id) not in keys(uploading), f"step {code}"
    assert steps > 8  # calls of the bucket, pieces read and written, the flush with its note
    assert {path.name for path in uploading.layout.area("temp").iterdir()} == {transfer.upload_id}


def _killed_at(store: Store, step: int) -> None:
    """Run the job in this process, which is killed before the step of this number, after the one before it."""
    numbers = itertools.count(1)

    def counted(work: Callable) -> Callable:
        def worker(*args: object, **given: object) -> object:
            if next(numbers) == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return work(*args, **given)

        return worker

    for where, name in ((Bucket, "call"), (Held, "_save"), (objects, "read"), (files, "write_all")):
        setattr(where, name, counted(getattr(where, name)))
    collect.Bucket = Bucket  # a client is not for two processes
    run(open_store(store.settings))


@pytest.fixture
def silent() -> Iterator[str]:
    """The URL of an engine that takes requests and sends the beginning of an answer, and no more."""
    connections: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                connections.append(connection)
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3000\r\n\r\nPK")

        thread = threading.Thread(target=accept)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
        for connection in connections:
            connection.close()


def test_a_bucket_that_never_ends_its_answer_holds_no_request_and_the_job_for_a_while(
    engine: S3, silent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = settings_with(engine, "private") | {"endpoint": silent}
    with Portal(make_store(tmp_path / "store", port=free_port(), mirror=mirror, workers=1, threads=4)) as portal:
        key = Ed25519PrivateKey.generate()
        with portal.client(add_developer(portal.store, "dev", key=key)) as client:
            client.post("/api/apps", json={"app_id": APP_ID, "name": "App"}).raise_for_status()
            publisher = Publisher(portal, client, client, tmp_path, APP_ID, key)
            waiting = [issued(publisher, size=3000, via="mirror") for _ in range(6)]
            assert {complete(publisher, upload).status_code for upload in waiting} == {202}
            assert publisher.upload(publisher.package(1)).status_code == 201
            monkeypatch.setattr(collect, "PATIENCE_SECONDS", 1)
            with pytest.raises((MirrorError, TimeoutError)):
                run(portal.store)
            away = [answer for upload in waiting if (answer := complete(publisher, upload)).status_code == 503]
            assert len(away) == 1
            problem(away[0], 503, "UNAVAILABLE")
            assert int(away[0].headers["Retry-After"]) > 0
            assert publisher.upload(publisher.package(2)).status_code == 201


def test_credentials_that_cannot_be_read_cost_uploads_to_the_bucket_alone(
    engine: S3, tmp_path: Path
) -> None:  # fmt: skip
    credentials = tmp_path / "credentials"
    credentials.write_text("one-line\n")
    mirror = settings_with(engine, "private") | {"upload_credentials": str(credentials)}
    with Portal(make_store(tmp_path / "store", port=free_port(), mirror=mirror)) as portal:
        key = Ed25519PrivateKey.generate()
        with portal.client(add_developer(portal.store, "dev", key=key)) as client:
            client.post("/api/apps", json={"app_id": APP_ID, "name": "App"}).raise_for_status()
            publisher = Publisher(portal, client, client, tmp_path, APP_ID, key)
            for spoiled in (lambda: None, credentials.unlink):
                spoiled()
                answer = issue(publisher, size=3000, via="mirror")
                assert str(credentials) not in problem(answer, 503, "UNAVAILABLE")["detail"]
                assert int(answer.headers["Retry-After"]) > 0
            assert publisher.upload(publisher.package(1)).status_code == 201
            assert client.get(f"/api/apps/{APP_ID}/versions").json()["versions"][1:] == []
            credentials.write_text("AKIA\nsecret\n")  # a rotation needs no restart
            assert "AKIA%2F" in issued(publisher, size=3000, via="mirror")["url"]
            credentials.write_text("AKIB\nsecret\n")
            assert "AKIB%2F" in issued(publisher, size=3000, via="mirror")["url"]


def test_the_command_says_what_it_fetched_and_what_it_needs(uploading: Store, tmp_path: Path) -> None:
    transfer, _ = sent(uploading, tmp_path / "x.mosis", 1)
    ran = mosis(uploading, "collect")
    assert (ran.returncode, ran.stdout) == (0, f"fetched {direct.key_of(transfer.upload_id)}\n"), ran.stderr
    public = uploading.settings.mirror.model_copy(update={"private_bucket": None})
    for mirror, setting in ((None, "mirror"), (public, r"mirror\.private_bucket")):
        bare = dataclasses.replace(uploading, settings=uploading.settings.model_copy(update={"mirror": mirror}))
        with pytest.raises(SettingsError, match=f"set `{setting}` in the settings"):
            collect.collect(bare)
