"""A Debian host with a mirror: one deploy says what its bucket honours, cron fills it, and devices need nothing else.

The tests are steps in the life of one host, in this order.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from mosis_device.device import Device, Options
from portal.mirror import catalogue, objects
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
from tests.mirror.seaweed import ACCESS_KEY, SECRET_KEY, seaweed
from tests.support.cdn import cdn_before, make_public

CRON_SECONDS = 300  # three turns of a schedule of every minute, on a busy machine


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
        yield engine


@pytest.fixture(scope="module")
def data(host: Machine, bucket: S3, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, object]:
    """What an operator adds to the inventory of a store for its mirror."""
    credentials = tmp_path_factory.mktemp("operator") / "credentials"
    credentials.write_text(f"{ACCESS_KEY}\n{SECRET_KEY}\n")
    mirror = {"endpoint": f"http://{gateway(host)}:{S3_PORT}", "bucket": bucket.bucket, "region": bucket.region}
    return {
        "mosis_settings": {"mirror": mirror, **UPLOADS},
        "mosis_secrets": {"mirror-credentials": f"file:{credentials}"},
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
    for check in CHECKS:
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


def test_a_device_installs_while_the_store_is_off(host: Machine, store: Store, bucket: S3, tmp_path: Path) -> None:
    root = host.ssh(f"sudo cat {ROOT}/catalogue/metadata/1.root.json").encode()
    package = store.get(store.path(1)).content
    host.ssh("sudo systemctl stop nginx mosis-portal mosis-litestream")
    with cdn_before(bucket, tmp_path / "cdn") as cdn:
        device = Device(tmp_path / "device", [cdn, store.client.base_url.copy_with(path="").__str__()], Options())
        device.trust(root)
        [outcome] = device.install([store.app_id])
    assert (outcome.outcome, outcome.version_code) == ("installed", 1), outcome
    key = f"packages/{DEVELOPER}/{store.app_id}/1/package.mosis"
    assert objects.content(Bucket(bucket), key) == package
    assert (Path(str(outcome.path)) / "manifest.json").is_file()
