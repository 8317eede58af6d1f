"""A device with 30 apps that checks daily costs what docs/device-protocol.md says."""

import hashlib
import random
import re
from collections import defaultdict
from pathlib import Path
from statistics import mean

from tuf.api.metadata import DelegatedRole, Delegations, MetaFile, Snapshot, TargetFile, Targets, Timestamp

from mosis_device.device import Device, Options
from tests.device.shelf import new_document, serving
from tests.device.vectors import signer
from tests.support.catalogues import SignedCatalogue, canonical
from tests.support.pages import section

APPS, CHANGED, BINS, DAYS = 10_000, 100, 1024, 10
APP_IDS = [f"org.example.app-{number}" for number in range(APPS)]
OURS = APP_IDS[:: APPS // 30][:30]


class Large(SignedCatalogue):
    """A catalogue of 1,024 bins, which writes only what changes, and of the documents only those of our apps."""

    def __init__(self, place: Path) -> None:
        super().__init__(place, (signer(1), signer(2)))
        self.bins: dict[int, dict[str, TargetFile]] = defaultdict(dict)
        self.versions: dict[int, int] = {}

    def update(self, codes: dict[str, int]) -> None:
        """Publish these version codes."""
        self.version += 1
        changed = {self._put(app_id, code) for app_id, code in codes.items()}
        for number in changed if self.versions else range(BINS):
            self.versions[number] = self.version
            bin_ = Targets(version=self.version, expires=self.expires, targets=self.bins[number])
            self._write(f"{self.version}.{number:03x}", bin_)
        if self.version == 1:
            self._delegate()
        meta = {f"{number:03x}.json": MetaFile(version) for number, version in self.versions.items()}
        snapshot = Snapshot(version=self.version, expires=self.expires, meta=meta | {"targets.json": MetaFile(1)})
        timestamp = Timestamp(version=self.version, expires=self.expires)
        written = self._write(f"{self.version}.snapshot", snapshot)
        timestamp.snapshot_meta = MetaFile.from_data(self.version, written, ["sha256"])
        self._write("timestamp", timestamp)

    def _put(self, app_id: str, code: int) -> int:
        content, path = canonical(document(app_id, code)), f"apps/{app_id}.json"
        target = TargetFile.from_data(path, content, ["sha256"])
        target.unrecognized_fields["custom"] = {"c": code}
        if app_id in OURS:
            name = f"{target.hashes['sha256']}.{app_id}.json"
            (self.place / "targets/apps" / name).write_bytes(content)
        number = int(hashlib.sha256(path.encode()).hexdigest()[:3], 16) * BINS // 4096
        self.bins[number][path] = target
        return number

    def _delegate(self) -> None:
        key, share = self.signer.public_key, 4096 // BINS
        roles = {
            f"{number:03x}": DelegatedRole(
                f"{number:03x}", [key.keyid], 1, terminating=False,
                path_hash_prefixes=[f"{number * share + prefix:03x}" for prefix in range(share)],
            )
            for number in range(BINS)
        }  # fmt: skip
        delegations = Delegations(keys={key.keyid: key}, roles=roles)
        self._write("1.targets", Targets(version=1, expires=self.expires, delegations=delegations), self.root_signer)


def document(app_id: str, code: int) -> dict[str, object]:
    """A document with digests of its own, which no compression makes small."""
    noise = [hashlib.sha512(f"{app_id} {code} {number}".encode()).hexdigest() for number in range(2)]
    path = f"acme/{app_id}/{code}/package.mosis"
    release = {
        "version_code": code, "version_name": f"{code}.0.0", "channel": "stable", "percent": 100, "critical": False,
        "min_api": 21, "permissions": ["network"], "size": 4_700_000, "sha256": noise[0][:64],
        "statement_sha256": noise[0][64:], "signature": noise[1][:88], "key_id": noise[1][96:],
        "paths": [f"packages/{path}", f"downloads/{path}"], "published_at": "2026-01-01T00:00:00Z",
        "changelog": "Small improvements.",
    }  # fmt: skip
    return new_document(app_id) | {"releases": [release]}


def promised() -> list[float]:
    """Least and most requests and kB of a day, as the page says."""
    rows = section("docs/device-protocol.md", "Read the catalogue")
    found = re.findall(r"^\| (?:requests|bytes of bodies.*?) \| ([\d.]+) to ([\d.]+)", rows, re.MULTILINE)
    return [float(number) for row in found for number in row]


def test_a_daily_check_costs_what_the_page_says(tmp_path: Path) -> None:
    catalogue, chance = Large(tmp_path / "shelf"), random.Random(30)
    codes = dict.fromkeys(APP_IDS, 1)
    catalogue.update(codes)
    Device(tmp_path / "phone", [], Options()).trust(catalogue.first_root)
    requests, received = [], []
    with serving(tmp_path / "shelf") as copy:
        for _ in range(1 + DAYS):
            device = Device(tmp_path / "phone", [copy.url], Options(api=1))  # too old to install any
            assert {outcome.reason for outcome in device.install(OURS)} == {"no-release"}
            requests.append(device.fetcher.requests)
            received.append(device.fetcher.received / 1000)
            changed = {app_id: codes[app_id] + 1 for app_id in chance.sample(APP_IDS, CHANGED)}
            codes |= changed
            catalogue.update(changed)
    least_requests, most_requests, least, most = promised()
    assert least_requests <= mean(requests[1:]) <= most_requests, requests
    assert least <= mean(received[1:]) <= most, received
    assert received[0] < 60, "the first time"
