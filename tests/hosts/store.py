"""A store on a test host, used from outside through nginx the way developers and devices use it."""

import hashlib
import json
import sys
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from shlex import quote

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from PIL import Image

from portal.packages import keys
from tests.hosts.machine import Machine
from tests.hosts.shell import run, until
from tests.packages.samples import make_package

DEVELOPER = "acme"
MOSIS = Path(sys.executable).with_name("mosis")


@dataclass
class Store:
    """`admin` is the deploy's first token; `developer` and `key` are the developer's after `join`.

    `url` is where people and devices reach the store, empty for port 80 of the host; `inside` is where the host
    itself reads its metrics.
    """

    machine: Machine
    root: str
    admin: str
    url: str = ""
    inside: str = "http://127.0.0.1:9098"
    app_id: str = "org.example.reader"
    developer: str = ""
    key: Ed25519PrivateKey = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.client = httpx.Client(base_url=self.url or f"http://{self.machine.address}", timeout=120)
        self.machine.at_end(self.client.close)

    def get(self, path: str, *, status: int = 200, headers: dict[str, str] | None = None) -> httpx.Response:
        """GET of `path`. Raises AssertionError for another status."""
        return _expect(self.client.get(path, headers=headers), status)

    def post(self, path: str, *, token: str, status: int = 201, **body: object) -> httpx.Response:
        """POST of `path` with a bearer token. Raises AssertionError for another status."""
        headers = {"Authorization": f"Bearer {token}"}
        return _expect(self.client.post(path, headers=headers, **body), status)

    def join(self, key_file: Path) -> None:
        """Become a developer with a token, a key in the new file `key_file`, and an app."""
        self.post("/api/developers", token=self.admin, json={"developer_id": DEVELOPER, "name": "Acme"})
        wanted = {"scope": "developer", "days": 30}
        issued = self.post(f"/api/developers/{DEVELOPER}/tokens", token=self.admin, json=wanted)
        self.developer = issued.json()["token"]
        key_id = run(MOSIS, "key", "generate", key_file, "--offline").split()[1]
        proof = json.loads(run(MOSIS, "key", "proof", key_file, "--developer", DEVELOPER))
        registered = self.post(f"/api/developers/{DEVELOPER}/keys", token=self.developer, json=proof)
        assert registered.json()["key_id"] == key_id
        self.key = keys.load(key_file)
        self.post("/api/apps", token=self.developer, json={"app_id": self.app_id, "name": "Reader"})

    def upload(self, directory: Path, version_code: int, megabytes: int) -> "Upload":
        """Upload a real package as version `1.<version_code>.0`, a draft."""
        path = directory / f"{version_code}.mosis"
        name = f"1.{version_code}.0"
        package = make_package(path, self.app_id, version_code, name, self.key, megabytes * 1024 * 1024)
        with path.open("rb") as file:
            answer = self.post(f"/api/apps/{self.app_id}/versions", token=self.developer, files={"package": file})
        assert (answer.json()["status"], answer.json()["version_code"]) == ("draft", version_code)
        return Upload(version_code, name, path.read_bytes(), package.signature)

    def step(self, version_code: int, action: str, token: str, status: str) -> None:
        """Submit, publish or reject a version. Raises AssertionError if it does not come to `status`."""
        answer = self.post(
            f"/api/apps/{self.app_id}/versions/{version_code}/{action}", token=token, status=200, json={"reason": "So."}
        )
        assert answer.json()["status"] == status

    def publish(self, version_code: int) -> None:
        """Bring a draft before everyone."""
        self.step(version_code, "submit", self.developer, "in_review")
        self.step(version_code, "publish", self.admin, "published")

    def icon(self, side: int = 512) -> None:
        """Upload a square icon, and bring it before everyone."""
        picture = BytesIO()
        Image.linear_gradient("L").resize((side, side)).convert("RGB").save(picture, "PNG")
        app = f"/api/apps/{self.app_id}"
        self.post(f"{app}/icon", token=self.developer, status=200, files={"icon": picture.getvalue()})
        answer = self.client.get(f"{app}/images", headers={"Authorization": f"Bearer {self.admin}"})
        if answer.status_code != 404:  # of a release in which images waited for no review
            sha256 = _expect(answer, 200).json()["sha256"]
            self.post(f"{app}/images/publish", token=self.admin, status=200, json={"sha256": sha256})

    def wait_ready(self, seconds: float = 60) -> None:
        """Wait until requests succeed. Raises AssertionError."""
        until("the portal's readiness", self._ready, seconds=seconds, every=0.05)

    def _ready(self) -> bool:
        try:
            return self.get("/readyz").is_success
        except httpx.TransportError:  # a proxy in front of it ends the connection
            return False

    def path(self, version_code: int) -> str:
        """Where a version is downloaded from."""
        return f"/downloads/{DEVELOPER}/{self.app_id}/{version_code}/package.mosis"

    def files(self, version_code: int) -> str:
        """The version's directory on the host."""
        return f"{self.root}/packages/{DEVELOPER}/{self.app_id}/{version_code}"

    def exists(self, path: str) -> bool:
        """Whether the host has a file at `path`."""
        return self.machine.try_ssh(f"sudo test -e {path}").returncode == 0

    def sql(self, database: str, statement: str) -> list[list[object]]:
        """Rows of a statement that the host runs on a database of the store."""
        script = (
            "import json, sqlite3, sys\n"
            "with sqlite3.connect(sys.argv[1]) as db: print(json.dumps(db.execute(sys.argv[2]).fetchall()))"
        )
        return json.loads(self.machine.ssh(f"sudo -u mosis python3 -c {quote(script)} {database} {quote(statement)}"))

    def serves(self, uploads: "dict[int, Upload]") -> None:
        """Every upload is downloaded byte for byte. Raises AssertionError."""
        for code, upload in uploads.items():
            assert self.get(self.path(code)).content == upload.content

    def copied(self, backup: str, uploads: "dict[int, Upload]") -> bool:
        """Whether the newest generation in the backup directory has every upload byte for byte."""
        *_, newest = self.machine.ssh(f"sudo sh -c 'ls -d {backup}/generations/*'").splitlines()
        copies = [self.files(code).replace(self.root, newest) for code in uploads]
        sums = [self.machine.ssh(f"sudo sha256sum {copy}/package.mosis").split()[0] for copy in copies]
        return sums == [upload.sha256 for upload in uploads.values()]

    def snapshot_has(self, uploads: "dict[int, Upload]") -> bool:
        """Whether the newest nightly copy of the database knows every upload as published."""
        *_, newest = self.machine.ssh(f"sudo sh -c 'ls {self.root}/backups/snapshots/*.db'").splitlines()
        rows = self.sql(newest, "SELECT version_code FROM versions WHERE status = 'published' ORDER BY 1")
        return rows == [[code] for code in uploads]

    def metric(self, line: str) -> float:
        """The value of a metric, named with its labels as /metrics prints them. Raises AssertionError."""
        values = self._values(line)
        assert values, f"/metrics has no {line}"
        return float(values[0])

    def _values(self, line: str) -> list[str]:
        lines = self.machine.fetch(f"{self.inside}/metrics").splitlines()
        return [value for found in lines for name, _, value in [found.rpartition(" ")] if name == line]


@dataclass(frozen=True)
class Upload:
    """A package as its developer has it."""

    version_code: int
    version_name: str
    content: bytes
    signature: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


def _expect(response: httpx.Response, status: int) -> httpx.Response:
    assert response.status_code == status, f"{response.request.method} {response.url}: {response.text[:1000]}"
    return response
