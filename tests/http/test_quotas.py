"""What one developer may use, and what a store takes until it is full: refused before the first byte is taken."""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from io import BytesIO
from pathlib import Path

import httpx
import pytest
from PIL import Image

from portal.settings import MIB
from portal.store import apps, budget, quotas, uploads
from portal.store.errors import Refused
from portal.store.files import Received
from portal.store.store import Store
from tests.packages.samples import APP_ID, make_package
from tests.support.in_process import calling
from tests.support.portal import add_developer, make_store, problem
from tests.support.publishing import OWNER, publish
from tests.support.publishing import upload as stored

APPS, UPLOADS, VERSIONS = "/api/apps", f"/api/apps/{APP_ID}/uploads", f"/api/apps/{APP_ID}/versions"


@contextmanager
def developer(root: Path, **settings: object) -> Iterator[tuple[Store, httpx.Client]]:
    """A store with these settings, and a developer with an app."""
    store = make_store(root / "store", **settings)
    with closing(store.db), calling(store, add_developer(store, "acme")) as client:
        client.post(APPS, json={"app_id": APP_ID, "name": "Reader"}).raise_for_status()
        yield store, client


def send(client: httpx.Client, path: Path) -> httpx.Response:
    with path.open("rb") as file:
        return client.post(VERSIONS, files={"package": file})


def icon(client: httpx.Client, size: int = 0) -> httpx.Response:
    """Noise that no PNG makes smaller; `size` of the form in KiB, which is what is announced."""
    image = BytesIO()
    Image.effect_noise((256, 256), 100).save(image, "PNG")
    return client.post(f"/api/apps/{APP_ID}/icon", files={"icon": image.getvalue() + bytes(size * 1024)})


def package(directory: Path, code: int = 1, size: int = MIB) -> Path:
    path = directory / f"{code}.mosis"
    make_package(path, version_code=code, payload_bytes=size)
    return path


def nothing_in_temp(store: Store) -> bool:
    return list(store.layout.area("temp").iterdir()) == []


def test_apps_have_a_quota(tmp_path: Path) -> None:
    with developer(tmp_path, apps_max=2) as (store, client):
        client.post(APPS, json={"app_id": "org.example.second", "name": "2"}).raise_for_status()
        refused = problem(client.post(APPS, json={"app_id": "org.example.third", "name": "3"}), 403, "QUOTA_EXCEEDED")
        assert refused["detail"].startswith("You have 2 of 2 apps, and 1 more exceed the quota: ")
        assert "mosis developer quota" in refused["detail"]
        with calling(store, add_developer(store, "other", key=None)) as other:
            assert other.post(APPS, json={"app_id": "org.example.third", "name": "3"}).status_code == 201


def test_bytes_have_a_quota_on_every_way_in(tmp_path: Path) -> None:
    """Whatever is announced is refused before it is sent: none of these sends a package."""
    with developer(tmp_path, developer_max_bytes=MIB) as (store, client):
        big = package(tmp_path, size=2 * MIB)
        tus = {"Tus-Resumable": "1.0.0", "Upload-Length": str(big.stat().st_size)}
        for refused in (
            send(client, big),
            client.post(UPLOADS, json={"size": big.stat().st_size}),
            client.post(UPLOADS, headers=tus),
            icon(client, size=2 * 1024),
        ):
            detail = problem(refused, 403, "QUOTA_EXCEEDED")["detail"]
            assert "You have 0 B of 1.0 MB of packages" in detail
        assert nothing_in_temp(store)
        assert client.get(VERSIONS).json()["versions"] == []
        assert icon(client).status_code == 200
        used = client.get("/api/me").json()["usage"]["bytes"]
        assert 0 < used == sum(asset["size"] for asset in client.get(f"{APPS}/{APP_ID}").json()["assets"])


def test_uploads_at_the_same_time_do_not_exceed_the_quota_together(tmp_path: Path) -> None:
    with developer(tmp_path, developer_max_bytes=5 * MIB) as (store, client):
        answers: list[int] = []

        def create() -> None:
            answers.append(client.post(UPLOADS, json={"size": MIB + 1}).status_code)

        threads = [threading.Thread(target=create) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(answers) == [201] * 4 + [403] * 4
        assert quotas.usage(store.db.read(), "acme")["bytes"] == 4 * (MIB + 1)


def test_a_form_reserves_what_it_announces_and_its_end_gives_back_the_rest(tmp_path: Path) -> None:
    with developer(tmp_path) as (store, client):
        app = apps.get(store.db.read(), APP_ID)
        with suppress(KeyboardInterrupt), uploads.receiving(store, app, reserved=2 * MIB):
            assert client.get("/api/me").json()["usage"]["bytes"] == 2 * MIB
            stored(store, APP_ID, 1)
            with suppress(Refused), uploads.receiving(store, app, reserved=MIB) as broken:
                broken.package.write_bytes(b"no package")
                uploads.complete(store, OWNER, broken, Received(10, "0" * 64))
            raise KeyboardInterrupt
        size = store.layout.package("acme", APP_ID, 1).stat().st_size
        assert client.get("/api/me").json()["usage"]["bytes"] == size


def test_versions_that_wait_have_a_quota(tmp_path: Path) -> None:
    with developer(tmp_path, unpublished_max=2) as (_, client):
        assert send(client, package(tmp_path, 1)).status_code == 201
        assert client.post(f"{VERSIONS}/1/submit").status_code == 200
        opened = client.post(UPLOADS, json={"size": 10}).json()
        for refused in (send(client, package(tmp_path, 2)), client.post(UPLOADS, json={"size": 10})):
            assert "You have 2 of 2 versions" in problem(refused, 403, "QUOTA_EXCEEDED")["detail"]
        client.delete(opened["url"], headers={"Tus-Resumable": "1.0.0"}).raise_for_status()
        assert send(client, package(tmp_path, 2)).status_code == 201


def test_me_shows_what_is_used_and_the_quota(tmp_path: Path) -> None:
    with developer(tmp_path, apps_max=7) as (store, client):
        me = client.get("/api/me").json()
        assert me["usage"] == dict.fromkeys(quotas.NAMES, 0) | {"apps": 1}
        assert me["quota"] == quotas.limits(store.db.read(), store.settings, "acme")
        assert me["quota"]["apps"] == 7
        with store.db.write() as tx:
            quotas.change(tx, "acme", {"apps": 1})
        assert client.get("/api/me").json()["quota"]["apps"] == 1
        problem(client.post(APPS, json={"app_id": "org.example.second", "name": "2"}), 403, "QUOTA_EXCEEDED")


def test_an_app_that_is_transferred_counts_for_its_new_owner(tmp_path: Path) -> None:
    with developer(tmp_path) as (store, _):
        add_developer(store, "other", key=None)
        path = publish(store, APP_ID, 1)
        size = path.stat().st_size
        with store.db.write() as tx:
            tx.execute("UPDATE apps SET developer_id = 'other'")
        assert quotas.usage(store.db.read(), "acme") == dict.fromkeys(quotas.NAMES, 0)
        assert quotas.usage(store.db.read(), "other") == dict.fromkeys(quotas.NAMES, 0) | {"apps": 1, "bytes": size}


def spend_budget(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The walk of the database's directory alone finds more than this."""
    del store, monkeypatch


def no_disk(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    free = budget.shutil.disk_usage(store.layout.root)
    least = min(budget.FREE_BYTES, free.total // budget.FREE_PART)
    monkeypatch.setattr(budget.shutil, "disk_usage", lambda path: free._replace(free=least + 100))


@pytest.mark.parametrize(
    ("values", "spend", "cause"),
    [({"storage_budget_bytes": 1000}, spend_budget, "budget is spent"), ({}, no_disk, "disk has no room")],
    ids=["budget", "disk"],
)
def test_a_full_store_takes_no_file_and_every_small_step(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    values: dict[str, object],
    spend: Callable[[Store, pytest.MonkeyPatch], None],
    cause: str,
) -> None:
    open_store = make_store(tmp_path / "store")
    add = add_developer(open_store, "acme", scope="admin")
    with calling(open_store, add) as client:
        client.post(APPS, json={"app_id": APP_ID, "name": "Reader"}).raise_for_status()
        stored(open_store, APP_ID, 1)
        stored(open_store, APP_ID, 2)
        client.post(f"{VERSIONS}/1/submit").raise_for_status()
    open_store.db.close()
    store = open_store.settings.model_copy(update=values)
    with calling(Store(store, open_store.db, open_store.layout), add) as client:
        spend(open_store, monkeypatch)
        for refused in (
            send(client, package(tmp_path, 3)),
            client.post(UPLOADS, json={"size": 1000}),
            icon(client),
        ):
            assert cause in problem(refused, 507, "STORAGE_FULL")["detail"]
        assert nothing_in_temp(open_store)
        for path, body in (
            (f"{VERSIONS}/1/publish", {}),
            (f"{VERSIONS}/1/yank", {"reason": "Bad."}),
            (f"{VERSIONS}/2/submit", {}),
            (APPS, {"app_id": "org.example.second", "name": "2"}),
        ):
            assert client.post(path, json=body).status_code in (200, 201), path
        signed_in = client.post("/sign-in", data={"token": add}, headers={"Origin": "http://portal"})
        assert signed_in.status_code == 303
        assert client.get(f"{APPS}/{APP_ID}").status_code == 200


def test_what_is_open_counts_for_the_budget_and_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with developer(tmp_path) as (store, client):
        no_disk(store, monkeypatch)
        assert client.post(UPLOADS, json={"size": 60}).status_code == 201
        problem(client.post(UPLOADS, json={"size": 60}), 507, "STORAGE_FULL")
        assert client.post(UPLOADS, json={"size": 40}).status_code == 201
