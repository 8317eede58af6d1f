"""The store is off, and devices install everything from its bucket; the bucket is off, and they do so from the store.

All parts are real: portal, jobs, SeaweedFS, nginx as the CDN that docs/cdn.md describes, and the device's client.
"""

import dataclasses
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata, Timestamp

from mosis_device.device import Device, Options, Outcome
from mosis_device.refusals import Reason, Refused
from portal.catalogue import keys
from portal.jobs import catalogue, catalogue_keys, mirror
from portal.mirror import objects
from portal.mirror.catalogue import TIMESTAMP
from portal.mirror.client import Bucket
from portal.store.store import Store
from tests.http.test_images import png
from tests.jobs.test_mirror_catalogue import Watcher
from tests.mirror.seaweed import Seaweed, running_seaweed
from tests.support.cdn import cdn_before, make_public
from tests.support.nginx import NGINX
from tests.support.portal import MOSIS, Portal, Publisher, environ, free_port, make_store, only_publisher

pytestmark = [
    pytest.mark.seconds(50),
    pytest.mark.skipif(NGINX is None, reason="nginx is not installed"),
]

NOBODY = "http://127.0.0.1:9"  # the port of discard(7), which nobody serves here
APPS = ("org.example.app", "org.example.reader", "org.example.clock")


@dataclass
class Shop:
    """A store that runs, its public bucket, and its developer."""

    portal: Portal
    engine: Seaweed
    publisher: Publisher
    place: Path
    code: int = 0

    def publish(self, *, mirrored: bool = True) -> int:
        """The next version of every app; what the schedules do follows."""
        self.upload()
        catalogue.catalogue(self.portal.store)
        if mirrored:
            mirror.mirror(self.portal.store)
        return self.code

    def upload(self) -> None:
        self.code += 1
        for app_id in APPS:
            dataclasses.replace(self.publisher, app_id=app_id).publish(self.code)

    @contextmanager
    def cdn(self) -> Iterator[str]:
        """A CDN that has nothing yet."""
        with cdn_before(self.engine.engine, self.place / f"cdn-{datetime.now(UTC).timestamp()}") as url:
            yield url

    def device(self, name: str) -> "Phone":
        root = (self.portal.store.layout.catalogue / "metadata/1.root.json").read_bytes()
        return Phone(self.place / name, root)


@dataclass
class Phone:
    """A device that was made with the root of the store."""

    directory: Path
    root: bytes

    def install(self, *bases: str) -> list[Outcome]:
        device = Device(self.directory, bases, Options())
        device.trust(self.root)
        return device.install(APPS)

    def codes(self, *bases: str) -> set[int | None]:
        """The versions that it then has. Raises AssertionError for an app that was refused."""
        outcomes = self.install(*bases)
        assert {one.outcome for one in outcomes} <= {"installed", "updated", "current"}, outcomes
        return {one.version_code for one in outcomes}

    def refusal(self, *bases: str) -> Reason | None:
        try:
            [reason] = {one.reason for one in self.install(*bases)}
        except Refused as refused:
            return refused.reason
        return reason


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    place = tmp_path_factory.mktemp("shop")
    with ExitStack() as stack:
        engine = stack.enter_context(running_seaweed())
        store = make_store(place / "store", port=free_port(), mirror=engine.engine.model_dump(mode="json"))
        portal = Portal(store)
        stack.callback(portal.stop)
        portal.start()
        publisher = stack.enter_context(only_publisher(portal, place, scope="admin"))
        for app_id in APPS[1:]:
            publisher.client.post("/api/apps", json={"app_id": app_id, "name": "App"}).raise_for_status()
        publisher.client.post(f"/api/apps/{APPS[0]}/icon", files={"icon": png(256, 256)}).raise_for_status()
        catalogue_keys.make(store, [Ed25519PrivateKey.generate()])
        made = Shop(portal, engine, publisher, place)
        made.publish()
        make_public(engine.engine)
        yield made


def test_the_store_is_off_and_a_fresh_device_installs_every_app(shop: Shop) -> None:
    code = shop.publish()
    phone = shop.device("fresh")
    shop.portal.stop()
    try:
        with shop.cdn() as cdn:
            assert phone.refusal(shop.portal.url) == "unreachable"
            outcomes = phone.install(cdn, shop.portal.url)
    finally:
        shop.portal.start()
    assert {(one.app_id, one.outcome, one.version_code) for one in outcomes} == {
        (app_id, "installed", code) for app_id in APPS
    }
    for one in outcomes:
        assert (Path(str(one.path)) / "manifest.json").is_file()


def test_the_bucket_is_off_and_devices_go_to_the_store_and_back(shop: Shop) -> None:
    phone = shop.device("traveller")
    with shop.cdn() as cdn:
        phone.codes(cdn)
    shop.engine.kill()
    try:
        code = shop.publish(mirrored=False)
        with shop.cdn() as cdn:
            assert phone.refusal(cdn) == "unreachable"
            assert phone.codes(cdn, shop.portal.url) == {code}
            assert shop.device("late").codes(cdn, shop.portal.url) == {code}
    finally:
        shop.engine.start()
    following = shop.publish()
    with shop.cdn() as cdn:
        assert phone.codes(cdn) == {following}


@pytest.fixture
def redirecting(shop: Shop) -> Iterator[str]:
    """The URL of the store while it sends devices to a CDN that is away."""
    store = shop.portal.store
    away = store.settings.mirror.model_copy(update={"public_url": NOBODY})
    settings = store.settings.model_copy(update={"mirror": away, "download": "redirect"})
    shop.portal.stop()
    portal = Portal(dataclasses.replace(store, settings=settings))
    try:
        yield portal.start().url
    finally:
        portal.stop()
        shop.portal.start()


def test_a_store_whose_cdn_is_away_sends_packages_itself(shop: Shop, redirecting: str) -> None:
    package = f"{redirecting}/downloads/{shop.publisher.developer_id}/{APPS[0]}/{shop.code}/package.mosis"
    assert httpx.get(package).headers["location"].startswith(NOBODY)
    assert shop.device("persistent").codes(redirecting) == {shop.code}


def resigned(content: bytes, signer: CryptoSigner, **changes: object) -> bytes:
    """The next version of a timestamp."""
    metadata = Metadata[Timestamp].from_bytes(content)
    metadata.signed.version += 1
    for name, value in changes.items():
        setattr(metadata.signed, name, value)
    metadata.signatures.clear()
    metadata.sign(signer)
    return metadata.to_bytes()


def key_of(shop: Shop) -> CryptoSigner:
    [signer] = keys.load(shop.portal.store.settings.catalogue_key_directory).online
    return signer


def forged(shop: Shop, before: dict[str, bytes], now: dict[str, bytes]) -> dict[str, bytes]:
    """By somebody who may write to the bucket."""
    return {TIMESTAMP: resigned(now[TIMESTAMP], CryptoSigner.generate_ed25519())}


def stale(shop: Shop, before: dict[str, bytes], now: dict[str, bytes]) -> dict[str, bytes]:
    """The job that signs has not run for longer than a signature is valid."""
    yesterday = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)
    return {TIMESTAMP: resigned(now[TIMESTAMP], key_of(shop), expires=yesterday)}


def rolled_back(shop: Shop, before: dict[str, bytes], now: dict[str, bytes]) -> dict[str, bytes]:
    """A cache that has forgotten the last update."""
    return {TIMESTAMP: before[TIMESTAMP]}


def mixed(shop: Shop, before: dict[str, bytes], now: dict[str, bytes]) -> dict[str, bytes]:
    """The new timestamp, with an old snapshot under the new name."""
    old, new = (
        {key: content for key, content in state.items() if key.endswith(".snapshot.json")} for state in (before, now)
    )
    return {max(new.keys() - old.keys()): max(old.items())[1]}


BAD: dict[Callable[..., dict[str, bytes]], Reason] = {
    forged: "forged", stale: "expired", rolled_back: "rolled-back", mixed: "mixed"
}  # fmt: skip


def catalogue_in(bucket: Bucket) -> dict[str, bytes]:
    keys = [one.key for one in objects.listed(bucket, "catalogue/")]
    return {key: objects.content(bucket, key) or b"" for key in keys}


@pytest.mark.parametrize("spoil", BAD, ids=lambda spoil: spoil.__name__)
def test_a_bad_catalogue_behind_the_cdn_is_refused_and_the_store_asked(
    shop: Shop, spoil: Callable[..., dict[str, bytes]]
) -> None:
    bucket, phone = Bucket(shop.engine.engine), shop.device(spoil.__name__)
    before = catalogue_in(bucket)
    code = shop.publish()
    if spoil is rolled_back:  # else it has seen the state before
        with shop.cdn() as cdn:
            assert phone.codes(cdn) == {code}
    now = catalogue_in(bucket)
    bad = spoil(shop, before, now)
    try:
        for key, content in bad.items():
            bucket.call("put_object", Key=key, Body=content)
        with shop.cdn() as cdn:
            assert phone.refusal(cdn) == BAD[spoil]
            assert phone.codes(cdn, shop.portal.url) == {code}
    finally:
        for key in bad:
            bucket.call("put_object", Key=key, Body=now[key])


def test_both_jobs_are_killed_and_the_catalogue_leads_nobody_astray(shop: Shop) -> None:
    """Checked from outside all the time."""
    store, killed = shop.portal.store, 0
    with Watcher(Bucket(shop.engine.engine)) as watcher:
        for lines in range(1, 7):
            shop.upload()
            for command in ("catalogue", "mirror"):
                killed += run_and_kill(store, command, lines)
            if lines % 3 == 0:
                catalogue.catalogue(store)
                mirror.mirror(store)
                watcher.wait_for((store.layout.catalogue / "metadata/timestamp.json").read_bytes())
    assert watcher.faults == []
    assert killed > 6
    with shop.cdn() as cdn:
        assert shop.device("survivor").codes(cdn) == {shop.code}


def run_and_kill(store: Store, command: str, lines: int) -> bool:
    """Run a job until it has printed so many lines; whether it was killed then."""
    with subprocess.Popen([MOSIS, command], stdout=subprocess.PIPE, text=True, env=environ(store)) as process:
        for number, _ in enumerate(process.stdout, 1):
            if number == lines:
                process.kill()
    return process.returncode != 0
