"""Health, metrics and the description of the API, over real HTTP and several workers."""

import re
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from bottle import HTTPResponse, LocalRequest
from prometheus_client.parser import text_string_to_metric_families

from portal.http.problems import KINDS
from portal.http.routes import service
from portal.http.routing import PublicCall, Services
from portal.http.senders import Senders
from portal.jobs import table
from portal.metrics import Metrics, standby_exposition
from portal.recovery import replica
from portal.recovery.replica import State
from portal.settings import Settings
from portal.store import job_runs
from portal.store.clock import now
from portal.store.downloads import Counting
from portal.store.errors import Refused
from portal.store.layout import USED
from tests.support.portal import Portal, Publisher, make_store


def metric(portal: Portal, name: str, **labels: str) -> float:
    families = text_string_to_metric_families(httpx.get(f"{portal.url}/metrics").raise_for_status().text)
    return sum(
        sample.value
        for family in families
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def test_counters_add_up_over_the_workers(portal: Portal) -> None:
    assert portal.store.settings.workers > 1
    before = metric(portal, "mosis_http_requests_total", route="/healthz", code="200")
    for _ in range(40):  # a connection each, so that both workers get some
        httpx.get(f"{portal.url}/healthz").raise_for_status()
    seen = {metric(portal, "mosis_http_requests_total", route="/healthz", code="200") for _ in range(6)}
    assert seen == {before + 40}


def test_an_upload_and_a_download_are_counted(publisher: Publisher) -> None:
    portal = publisher.portal
    before = [metric(portal, name) for name in ("mosis_upload_bytes_total", "mosis_download_bytes_total")]
    path = publisher.publish(1, payload_bytes=100_000)
    url = portal.url + httpx.get(f"{portal.url}/api/store/apps/{publisher.app_id}").json()["download_url"]
    httpx.get(url).raise_for_status()
    httpx.get(url, headers={"Range": "bytes=0-9"}).raise_for_status()
    size = path.stat().st_size
    after = [metric(portal, name) for name in ("mosis_upload_bytes_total", "mosis_download_bytes_total")]
    assert [b - a for a, b in zip(before, after, strict=True)] == [size, size + 10]
    refused = metric(portal, "mosis_uploads_total", result="refused", reason="VALIDATION_ERROR")
    path.write_bytes(b"PK")
    publisher.upload(path)
    assert metric(portal, "mosis_uploads_total", result="refused", reason="VALIDATION_ERROR") == refused + 1


def test_failures_are_counted_from_zero(tmp_path: Path) -> None:
    text = Metrics(make_store(tmp_path / "store")).exposition().decode()
    for series in (
        'mosis_uploads_total{kind="package",reason="STORAGE_ERROR",result="failed"} 0.0',
        'mosis_downloads_total{kind="asset",result="failed"} 0.0',
    ):
        assert series in text


def test_no_label_names_an_app_a_token_or_an_address(publisher: Publisher) -> None:
    publisher.publish(1)
    httpx.get(f"{publisher.portal.url}/nothing/{publisher.app_id}")
    text = httpx.get(f"{publisher.portal.url}/metrics").text
    for secret in (publisher.app_id, publisher.developer_id + '"', "mosis_dev", "127.0.0.1"):
        assert secret not in text


def test_the_contract_s_bucket_edges(publisher: Publisher) -> None:
    publisher.publish(1)
    httpx.get(f"{publisher.portal.url}/api/store/apps/{publisher.app_id}/download")
    text = httpx.get(f"{publisher.portal.url}/metrics").text
    assert 'mosis_upload_duration_seconds_bucket{le="30.0"}' in text
    assert 'mosis_download_ttfb_seconds_bucket{le="0.1"}' in text


def test_the_description_lists_every_route_and_only_codes_that_exist(portal: Portal) -> None:
    document = httpx.get(f"{portal.url}/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    assert "/api/apps/{app_id}/versions/{version_code}/publish" in document["paths"]
    for methods in document["paths"].values():
        for operation in methods.values():
            for status, response in operation["responses"].items():
                if int(status) >= 400:
                    assert {KINDS[code].status for code in response["description"].split(", ")} == {int(status)}


@pytest.mark.parametrize("proxied", [False, True])
@pytest.mark.parametrize("header", service.FORWARDED)
def test_a_proxy_on_the_host_shows_nobody_the_metrics(header: str, proxied: bool, tmp_path: Path) -> None:
    """nginx in front of the portal says who asks; a proxy in front of that, or of the portal alone, may not."""
    store = make_store(tmp_path / "store", proxied=proxied)
    of_nginx = {"HTTP_X_FORWARDED_FOR": "127.0.0.1"} if proxied else {}

    def asked(**headers: str) -> HTTPResponse:
        request = LocalRequest({"REMOTE_ADDR": "127.0.0.1", **of_nginx, **headers})
        services = Services(store, Metrics(store), tuple(service.routes), Counting(store.db), Senders(8))
        return service.show_metrics(PublicCall(request, services, None))

    assert asked().status_code == 200
    with pytest.raises(Refused, match="metrics_networks"):
        asked(**{f"HTTP_{header.upper().replace('-', '_')}": "203.0.113.9"})
    store.db.close()


@pytest.mark.parametrize("handler", [service.openapi_document, service.manifest_schema])
def test_a_description_is_made_once(handler: Callable[[PublicCall], HTTPResponse], tmp_path: Path) -> None:
    """It takes 50 ms, and a stranger may ask for it at every moment."""
    store = make_store(tmp_path / "store")
    call = PublicCall(
        LocalRequest(), Services(store, Metrics(store), tuple(service.routes), Counting(store.db), Senders(8)), None
    )
    assert handler(call).body is handler(call).body


def test_every_job_of_a_store_has_its_series_before_it_ever_worked(tmp_path: Path) -> None:
    """An alert on a series that is absent never fires."""
    store = make_store(tmp_path / "store", backup={"mount": "/mnt/usb", "directory": "/mnt/usb/mosis"})
    with pytest.raises(OSError), job_runs.recorded(store.db, "backup-packages"):
        raise OSError("no drive")
    text = Metrics(store).exposition().decode()
    for job in table.expected(store.settings):
        assert f'mosis_job_last_success_timestamp_seconds{{kind="{job.name}"}} 0.0' in text
        assert f'mosis_job_max_age_seconds{{kind="{job.name}"}} {float(job.max_age)}' in text
        assert f'mosis_job_expected_since_timestamp_seconds{{kind="{job.name}"}} ' in text
    assert 'mosis_backup_last_success_timestamp_seconds{kind="packages"} 0.0' in text
    assert "mosis_restore_drill_last_success_timestamp_seconds 0.0" in text


def test_every_directory_that_uses_the_disk_has_its_bytes(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store")
    (store.layout.catalogue / "metadata").mkdir(parents=True)
    (store.layout.catalogue / "metadata/timestamp.json").write_bytes(bytes(70_000))
    text = Metrics(store).exposition().decode()
    found = dict(re.findall(r'^mosis_storage_bytes{area="(.*)"} (.*)$', text, re.MULTILINE))
    assert found.keys() == {*USED}
    assert float(found["catalogue"]) >= 70_000
    assert {path.name for path in store.layout.root.iterdir()} - {"secrets", "mosis.toml"} <= {*USED}


def test_a_success_of_a_job_is_exported(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store")
    with job_runs.recorded(store.db, "backup-database"):
        pass
    at = float(job_runs.every(store.db.read())["backup-database"].success_at or 0)
    (job, backup) = (
        sample.value
        for family in text_string_to_metric_families(Metrics(store).exposition().decode())
        for sample in family.samples
        if sample.name.endswith("_last_success_timestamp_seconds")
        and sample.labels.get("kind") in ("backup-database", "database")
    )
    assert job == backup == at


def test_what_is_known_of_the_replica_is_exported(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store", litestream=True)
    assert "mosis_replica_verified_timestamp_seconds 0.0" in Metrics(store).exposition().decode()
    known = State(verified_at=1_800_000_000, behind_since=now() - 100, restarts=3, proof_seconds=1000)
    replica.write(store.layout, known)
    text = Metrics(store).exposition().decode()
    for series in (
        "mosis_replica_verified_timestamp_seconds 1.8e+09",
        "mosis_replica_verified_max_age_seconds 3000.0",
        "mosis_replica_restarts_total 3.0",
        f"mosis_wal_bytes {float(store.layout.wal.stat().st_size)}",
    ):
        assert f"\n{series}\n" in text
    [lag] = re.findall(r"^mosis_replica_lag_seconds (\S+)$", text, re.MULTILINE)
    assert float(lag) >= 100


def test_a_store_without_litestream_exports_no_replica(tmp_path: Path) -> None:
    assert "mosis_replica" not in Metrics(make_store(tmp_path / "store")).exposition().decode()


def test_a_standby_exports_how_old_its_copy_may_be() -> None:
    settings = Settings.model_validate({"root": "/srv/mosis", "follow": {"store": "s", "ssh_config": "/none"}})
    text = standby_exposition(settings, 1000).decode()
    assert "mosis_standby_last_success_timestamp_seconds 1000.0" in text
    assert 'mosis_job_last_success_timestamp_seconds{kind="follow"} 1000.0' in text
    assert 'mosis_job_max_age_seconds{kind="follow"} 900.0' in text
