"""Runtime `compose` on a booted Debian host with Docker, which is no NAS: deployed, used, deployed again.

The tests are steps in the life of one host, in this order.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from portal.mirror import catalogue, objects
from portal.mirror.client import Bucket
from portal.mirror.probe import CHECKS
from tests.hosts.engine import IMAGE, Engine
from tests.hosts.forward import forwarded
from tests.hosts.pyinfra_run import REPOSITORY, Result, deploy, verify, write_inventory
from tests.hosts.shell import Say, until
from tests.hosts.store import Store
from tests.hosts.test_hygiene import S3_PORT, gateway
from tests.mirror.seaweed import ACCESS_KEY, SECRET_KEY, seaweed

pytestmark = pytest.mark.seconds(150)

ROOT, PORT, FRONT, LITESTREAM_PORT = "/srv/mosis", 8080, 8000, 9099
DATA = {
    "mosis_runtime": "compose",
    "mosis_root": ROOT,
    "mosis_port": PORT,
    "mosis_base_image": IMAGE,
    "mosis_schedules": {"backup-database": "* * * * *"},
}


@pytest.fixture(scope="module")
def host(boot_engine: Callable[[], Engine]) -> Iterator[Engine]:
    host = boot_engine()
    with forwarded((host.address, FRONT), ("127.0.0.1", PORT), host.name):
        yield host


@pytest.fixture(scope="module")
def inventory(host: Engine, wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("inventory") / "docker.py"
    data = DATA | {"mosis_wheelhouse": str(wheels)}
    return write_inventory(path, {"docker": host}, data, REPOSITORY / "inventory/group_data")


@pytest.fixture(scope="module")
def first(inventory: Path, say: Say) -> Result:
    result = deploy(inventory)
    say(f"deploy: {result}")
    return result


def test_a_host_without_cron_is_refused(inventory: Path, host: Engine) -> None:
    refused = deploy(inventory, check=False)
    assert refused.returncode and "cron, which keeps the schedules, is missing" in refused.output
    host.ssh("sudo apt-get install -q -y cron")


def test_a_dry_run_makes_nothing(inventory: Path, host: Engine) -> None:
    assert deploy(inventory, dry=True).changed
    assert host.try_ssh(f"ls -d {ROOT} /opt/mosis").stdout == ""


def test_deploying_again_changes_nothing(inventory: Path, first: Result, say: Say) -> None:
    again = deploy(inventory)
    say(f"deploy: {again}")
    assert first.changed and again.changed == ()


def test_a_package_goes_from_developer_to_device(host: Engine, first: Result, tmp_path: Path, say: Say) -> None:
    token = host.ssh(f"sudo cat {ROOT}/secrets/admin-token").strip()
    store = Store(host, ROOT, token, url=f"http://{host.address}:{FRONT}", inside=f"http://127.0.0.1:{PORT}")
    store.join(tmp_path / "key.pem")
    published = {1: store.upload(tmp_path, 1, 17)}
    store.publish(1)
    store.serves(published)
    until("cron's backup of the database", lambda: store.snapshot_has(published), seconds=150, every=2)
    say("uploaded, published and downloaded byte for byte; cron has copied the database")


def test_all_is_as_declared(inventory: Path, host: Engine, first: Result) -> None:
    assert verify(inventory).faults == ()
    assert "FAULT" not in host.ssh("sudo mosis status")
    host.docker("stop mosis-portal-1")
    assert "container: portal stopped" in verify(inventory).faults
    assert deploy(inventory).changed
    assert verify(inventory).faults == ()


def test_containers_have_limits_and_what_is_public_does_not_reach_litestream(host: Engine, first: Result) -> None:
    limits = "inspect --format '{{.HostConfig.Memory}} {{.HostConfig.PidsLimit}}'"
    assert host.docker(f"{limits} mosis-nginx-1").split() == [str(1024**3), "256"]
    memory, tasks = map(int, host.docker(f"{limits} mosis-portal-1").split())
    assert (memory > 2 * 1024**3, tasks > 512) == (True, True)
    asked = f"exec mosis-nginx-1 curl -sS -m 30 http://litestream:{LITESTREAM_PORT}/metrics 2>&1 || true"
    assert "Could not resolve host" in host.docker(asked)
    assert "litestream_" in host.ssh(f"curl -fsS http://127.0.0.1:{LITESTREAM_PORT}/metrics")


def test_a_mirror_reaches_its_bucket_and_the_portal_nothing(
    inventory: Path, wheels: Path, host: Engine, first: Result, tmp_path: Path, say: Say
) -> None:
    credentials = tmp_path / "credentials"
    credentials.write_text(f"{ACCESS_KEY}\n{SECRET_KEY}\n")
    with seaweed() as engine, forwarded((gateway(host), S3_PORT), ("127.0.0.1", engine.endpoint.port)):
        mirror = {"endpoint": f"http://{gateway(host)}:{S3_PORT}", "bucket": engine.bucket, "region": engine.region}
        data = DATA | {
            "mosis_wheelhouse": str(wheels),
            "mosis_settings": {"mirror": mirror},
            "mosis_secrets": {"mirror-credentials": f"file:{credentials}"},
        }
        write_inventory(inventory, {"docker": host}, data, REPOSITORY / "inventory/group_data")
        mirrored = deploy(inventory)
        for check in CHECKS:
            assert f"bucket: ok    {check.name}" in mirrored.output
        assert deploy(inventory).changed == ()
        host.ssh("sudo mosis catalogue && sudo mosis mirror")
        opened, written = Bucket(engine), host.ssh(f"sudo cat {ROOT}/catalogue/metadata/timestamp.json")
        assert objects.content(opened, catalogue.TIMESTAMP) == written.encode()
        assert [one.key for one in objects.listed(opened, "packages/") if one.key.endswith("package.mosis")]
        assert host.docker("inspect --format '{{.HostConfig.NetworkMode}}' mosis-portal-1").strip() == "none"
        say(f"{len([*objects.listed(opened)])} objects in the bucket, which the portal cannot reach")
