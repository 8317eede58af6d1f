"""A Debian host with a mirror: one deploy says what its bucket honours, cron fills it, and devices need nothing else.

The tests are steps in the life of one host, in this order.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import httpx
import pytest

from mosis_device.device import Device, Options
from portal.mirror import catalogue, objects, private_probe
from portal.mirror.client import Bucket
from portal.mirror.probe import CHECKS
from portal.settings import S3
from tests.hosts.debian import ROOT, Debian
from tests.hosts.forward import forwarded
from tests.hosts.hammer import UPLOADS
from tests.hosts.machine import Machine
from tests.hosts.pyinfra_run import Result
from tests.hosts.shell import Say, until
from tests.hosts.store import DEVELOPER, Store
from tests.hosts.test_hygiene import S3_PORT, gateway
from tests.mirror.seaweed import ACCESS_KEY, SECRET_KEY, UPLOAD_KEY, seaweed
from tests.packages.samples import make_package
from tests.support.cdn import cdn_before, make_public

pytestmark = pytest.mark.seconds(200)

CRON_SECONDS = 300  # three turns of a schedule of every minute, on a busy machine
PRIVATE = "mosis-private"


@pytest.fixture(scope="module")
def debian(boot: Callable[[], Machine], tmp_path_factory: pytest.TempPathFactory, say: Say) -> Debian:
    return Debian(boot(), tmp_path_factory.mktemp("inventory"), say)


@pytest.fixture(scope="module")
def host(debian: Debian) -> Machine:
    return debian.machine


@pytest.fixture(scope="module")
def bucket(host: Machine) -> Iterator[S3]:
    """A public bucket of an S3 engine of this machine, in reach of the host."""
    with seaweed() as engine, forwarded((gateway(host), S3_PORT), ("127.0.0.1", engine.endpoint.port)):
        make_public(engine)
        Bucket(engine.model_copy(update={"bucket": PRIVATE})).call("create_bucket")
        yield engine


@pytest.fixture(scope="module")
def data(host: Machine, bucket: S3, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, object]:
    """What an operator adds to the inventory of a store for its mirror."""
    operator = tmp_path_factory.mktemp("operator")
    keys = {"mirror-credentials": ACCESS_KEY, "mirror-upload-credentials": UPLOAD_KEY}
    for name, key in keys.items():
        (operator / name).write_text(f"{key}\n{SECRET_KEY}\n")
    endpoint = f"http://{gateway(host)}:{S3_PORT}"
    mirror = {"endpoint": endpoint, "bucket": bucket.bucket, "region": bucket.region, "private_bucket": PRIVATE}
    return {
        "mosis_settings": {"mirror": mirror, **UPLOADS},
        "mosis_secrets": {name: f"file:{operator / name}" for name in keys},
        "mosis_schedules": dict.fromkeys(("catalogue", "mirror"), "* * * * *"),
    }


@pytest.fixture(scope="module")
def deployed(debian: Debian, data: Mapping[str, object]) -> Result:
    return debian.deploy(**data)


@pytest.fixture(scope="module")
def store(host: Machine, deployed: Result, tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store(host, ROOT, admin=host.ssh(f"sudo cat {ROOT}/secrets/admin-token").strip())
    store.wait_ready()
    store.join(tmp_path_factory.mktemp("developer") / "key.pem")
    return store


def test_a_deploy_prints_what_the_bucket_honours(deployed: Result) -> None:
    assert "Bucket | What the bucket honours" in deployed.changed
    for check in (*CHECKS, *private_probe.CHECKS):
        assert f"bucket: ok    {check.name}" in deployed.output


def test_deploying_again_changes_nothing(debian: Debian, deployed: Result, data: Mapping[str, object]) -> None:
    again = debian.deploy(**data)
    assert again.changed == ()
    assert "bucket: ok" not in again.output


def test_cron_brings_what_is_published_to_the_bucket(
    host: Machine, store: Store, bucket: S3, tmp_path: Path, say: Say
) -> None:
    store.upload(tmp_path, 1, 1)
    store.publish(1)
    store.icon()
    opened = Bucket(bucket)

    def timestamp() -> bytes:
        return host.ssh(f"sudo cat {ROOT}/catalogue/metadata/timestamp.json").encode()

    def has_document() -> bool:
        return bool(opened.call("list_objects_v2", Prefix="catalogue/targets/").get("Contents"))

    until("the app's document in the bucket", has_document, seconds=CRON_SECONDS, every=2)
    until(
        "the catalogue in the bucket",
        lambda: objects.content(opened, catalogue.TIMESTAMP) == timestamp(),
        seconds=CRON_SECONDS,
        every=2,
    )
    served = store.get(f"/{catalogue.TIMESTAMP}")
    assert served.headers["Cache-Control"] == "public, max-age=60"
    assert store.get("/catalogue/metadata/2.root.json", status=404).headers["Cache-Control"] == "no-store"
    assert host.ssh("sudo mosis mirror --verify") == ""
    assert "has every published file" in host.try_ssh("sudo mosis status").stdout
    say(f"{len([*objects.listed(opened)])} objects in the bucket")


def test_a_package_goes_in_through_the_private_bucket(store: Store, bucket: S3, tmp_path: Path) -> None:
    """The URL that the portal signs works from elsewhere, and cron fetches what was sent to it."""
    make_package(tmp_path / "package", store.app_id, 2, "1.2.0", store.key, 2_000_000)
    content = (tmp_path / "package").read_bytes()
    asked = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest(), "via": "mirror"}
    upload = store.post(f"/api/apps/{store.app_id}/uploads", token=store.developer, json=asked).json()
    assert f"/{PRIVATE}/temp/" in upload["url"]
    sent = httpx.put(upload["url"], content=content, headers=upload["headers"], timeout=60, trust_env=False)
    assert sent.is_success, sent.text
    headers = {"Authorization": f"Bearer {store.developer}"}

    def is_placed() -> bool:
        answer = store.client.post(f"/api/uploads/{upload['upload_id']}/complete", headers=headers)
        assert answer.status_code in (201, 202), answer.text
        return answer.status_code == 201

    until("the package in the store", is_placed, seconds=CRON_SECONDS, every=1)
    store.publish(2)
    assert store.get(store.path(2)).content == content
    private = Bucket(bucket.model_copy(update={"bucket": PRIVATE}))
    until("the private bucket to be empty", lambda: not list(objects.listed(private)), seconds=CRON_SECONDS, every=1)


def test_the_portal_cannot_read_the_keys_of_the_catalogue(host: Machine, deployed: Result) -> None:
    """Not where they are, nor through a process of the jobs' user; what it may read is a decoy."""
    keys = f"{ROOT}/secrets/catalogue"
    portal = host.ssh("systemctl show --property MainPID --value mosis-portal").strip()
    job = host.ssh("sudo -u mosis sh -c 'sleep 600 >/dev/null 2>&1 & echo $!'").strip()
    uid, gid = host.ssh("id -u mosis; id -g mosis").split()
    inside = f"sudo nsenter --target {portal} --mount --user --setuid {uid} --setgid {gid} --"
    for place in ("", f"/proc/{job}/root"):
        assert "store-" in host.ssh(f"sudo -u mosis ls {place}{keys}"), "the jobs can"
        refused = host.try_ssh(f"{inside} ls {place}{keys}")
        assert refused.returncode != 0 and "store-" not in refused.stdout, refused.stdout
    assert "portal.db" in host.ssh(f"{inside} ls {ROOT}/data"), "a decoy"
    assert host.try_ssh(f"sudo nsenter --target {portal} --mount -- ls -A {keys}").stdout == ""
    host.ssh(f"sudo kill {job}")


def test_a_device_installs_while_the_store_is_off(host: Machine, store: Store, bucket: S3, tmp_path: Path) -> None:
    root = host.ssh(f"sudo cat {ROOT}/catalogue/metadata/1.root.json").encode()
    until("version 2 in the bucket", lambda: _offers(bucket, store, 2), seconds=CRON_SECONDS, every=2)
    package = store.get(store.path(2)).content
    host.ssh("sudo systemctl stop nginx mosis-portal mosis-litestream")
    with cdn_before(bucket, tmp_path / "cdn") as cdn:
        device = Device(tmp_path / "device", [cdn, store.client.base_url.copy_with(path="").__str__()], Options())
        device.trust(root)
        [outcome] = device.install([store.app_id])
    assert (outcome.outcome, outcome.version_code) == ("installed", 2), outcome
    key = f"packages/{DEVELOPER}/{store.app_id}/2/package.mosis"
    assert objects.content(Bucket(bucket), key) == package
    assert (Path(str(outcome.path)) / "manifest.json").is_file()


def _offers(bucket: S3, store: Store, code: int) -> bool:
    """Whether some document in the bucket has the version, and no step of the copy is missing."""
    opened = Bucket(bucket)
    found = [one.key for one in objects.listed(opened, "catalogue/targets/")]
    documents = [objects.content(opened, key) or b"" for key in found]
    on_disk = store.machine.ssh(f"sudo cat {ROOT}/catalogue/metadata/timestamp.json").encode()
    is_named = any(f'"version_code":{code},'.encode() in document for document in documents)
    return is_named and objects.content(opened, catalogue.TIMESTAMP) == on_disk
