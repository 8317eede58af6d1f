"""A push: every check that needs no upload comes first, so that what the store would refuse costs no waiting."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from portal.developer import answers, signing, source
from portal.developer.answers import App, Apps, Document, Me, Placed, Quotas, SigningKey, Versions
from portal.developer.client import Busy, Client
from portal.developer.errors import Rejected, Unreachable
from portal.developer.patience import Patience
from portal.developer.upload import Upload
from portal.faults import Fault
from portal.packages.manifest import Manifest
from portal.printable import printable
from portal.sizes import excess, size

T = TypeVar("T")

PLACED = ("draft", "in_review", "published", "rejected", "yanked")
REPLACEABLE = ("draft", "rejected")  # another package may have the code of such a version
PUBLISHED = ("published", "yanked")
NO_FILE = "If no file was at fault, delete the version in the console first."
ENDED = {
    "rejected": ("was rejected", f"Change the files and push again, or push with --bump. {NO_FILE}"),
    "yanked": ("was withdrawn from the store", "Push a new version with --bump."),
}
"""Of a status in which the same package cannot be submitted again: what happened, and the remedy."""
MORE = "Delete drafts and rejected versions, or ask the operator of the store for more."
POLL_SECONDS = 5


@dataclass(frozen=True)
class Store:
    """What the store has for this developer before the push."""

    developer_id: str
    bound: bool  # the token is for one app, and does not see the developer's keys
    app: App | None
    versions: tuple[Placed, ...]
    max_bytes: int
    usage: Quotas | None = None
    quota: Quotas | None = None

    def version(self, code: int) -> Placed | None:
        return next((version for version in self.versions if version.version_code == code), None)

    @property
    def highest_published(self) -> int:
        return max((v.version_code for v in self.versions if v.status in PUBLISHED), default=0)

    def is_free(self, code: int) -> bool:
        """Whether no version has this code or needs a lower one."""
        return self.version(code) is None and code > self.highest_published

    @property
    def signed(self) -> bool:
        """Whether the app is pinned to a key."""
        return _signer(self.app, sys.maxsize) is not None

    @property
    def next_code(self) -> int:
        return max((v.version_code for v in self.versions), default=0) + 1


def _look(client: Client, manifest: Manifest) -> Store:
    me, app_id = client.get("/api/me", Me), manifest.id
    app = next((app for app in client.every("/api/apps", Apps, "apps").apps if app.app_id == app_id), None)
    found = client.every(f"/api/apps/{app_id}/versions", Versions, "versions") if app else Versions(versions=[])
    if app is None and me.app_id is None:
        _add_app(client, manifest, dry_run=True)
    options = client.request("OPTIONS", f"/api/apps/{app_id}/uploads")
    return Store(
        me.developer_id, me.app_id is not None, app, _placed(found), options.number("Tus-Max-Size"), me.usage, me.quota
    )  # fmt: skip


def _placed(found: Versions) -> tuple[Placed, ...]:
    return tuple(
        answers.read(Placed, version.as_sent(), f"the versions of {version.app_id}")
        for version in found.versions
        if version.status in PLACED
    )


def _add_app(client: Client, manifest: Manifest, *, dry_run: bool = False) -> None:
    described = {"app_id": manifest.id, "name": manifest.name, "description": manifest.description or ""}
    client.post("/api/apps", Document, {**described, "dry_run": True} if dry_run else described, once=not dry_run)


def already(store: Store, prepared: source.Prepared) -> Placed | None:
    """The version that an earlier push of the same bytes has made."""
    version = store.version(prepared.package.manifest.version_code)
    return version if version and version.sha256 == prepared.sha256 else None


def require_open(version: Placed) -> None:
    """Raises Rejected for a version whose package, byte for byte, cannot be submitted again."""
    if version.status in ENDED:
        happened, remedy = ENDED[version.status]
        subject = f"{version.app_id} {version.version_code} {happened}"
        raise Rejected(
            " ".join((f"{subject}:" if version.reasons else f"{subject}.", *map(printable, version.reasons), remedy))
        )


def spoken(status: str) -> str:
    """A status for people."""
    return printable(status.replace("_", " "))


def require_possible(store: Store, prepared: source.Prepared) -> None:
    """What the store would refuse after the upload. Raises Fault."""
    manifest, key_id = prepared.package.manifest, prepared.package.key_id
    code = manifest.version_code
    if 0 < store.max_bytes < prepared.size:
        raise Fault(f"The package has {excess(prepared.size, store.max_bytes)}.")
    taken = store.version(code)
    if taken and taken.status not in REPLACEABLE:
        withdraw = f", withdraw it with `mosis review withdraw {manifest.id} {code}`"
        raise Fault(
            f"{manifest.id} has a version {code} already, which is {spoken(taken.status)}: raise version_code to"
            f" {store.next_code}{withdraw if taken.status == 'in_review' else ''}, or push with --bump."
        )
    if code <= store.highest_published:
        raise Fault(
            f"version_code {code} must be greater than {store.highest_published}, which has been published: raise it to"
            f" {store.next_code}, or push with --bump."
        )
    if store.app:
        _require_key(store.app, code, key_id)


def _require_key(app: App, code: int, key_id: str) -> None:
    signer, pending = _signer(app, code), app.signing.pending_recovery
    if signer is None or signer.key_id == key_id:
        return
    wanted = f"Version {code} of {app.app_id} must be signed with key {printable(signer.key_id)}"
    if pending and pending.key_id == key_id:
        raise Fault(
            f"{wanted} until {printable(pending.effective_at)}, when the recovery takes effect: push again then."
        )
    if signer.revoked_at:
        raise Fault(f"{wanted}, which is revoked: ask a reviewer to announce the recovery of the app to a new key.")
    raise Fault(f"{wanted}, not {key_id}: name its file with --key.")


def require_quota(store: Store, prepared: source.Prepared) -> None:
    """What the store would refuse when an upload begins. Raises Fault.

    Open uploads do not count: this push may continue one of them.
    """
    if store.usage is None or store.quota is None:
        return
    replaced = store.version(prepared.package.manifest.version_code)
    used = store.usage.bytes - store.usage.open_upload_bytes - (replaced.size if replaced else 0)
    if used + prepared.size > store.quota.bytes:
        raise Fault(
            f"The quota of {size(store.quota.bytes)} is exceeded: {size(used)} are used, and the package has"
            f" {size(prepared.size)}. {MORE}"
        )
    makes_way = replaced is not None and replaced.status == "draft"
    if not makes_way and store.usage.unpublished >= store.quota.unpublished:
        raise Fault(f"The quota of {store.quota.unpublished} versions that are not published is reached. {MORE}")


def _signer(app: App | None, code: int) -> SigningKey | None:
    """The key that the app is pinned to; None before the first publish."""
    keys = [key for key in (app.signing.keys if app else ()) if key.from_version_code <= code]
    return keys[-1] if keys else None


@dataclass
class Push:
    """One push. `report` gets a sentence for each step, `progress` the bytes sent and their total."""

    client: Client
    patience: Patience = field(default_factory=Patience)
    report: Callable[[str], None] = lambda text: None
    progress: Callable[[int, int], None] = lambda done, total: None

    def look(self, manifest: Manifest) -> Store:
        """Raises Problem, also for an app that another developer has; Unreachable."""
        return self._patiently(lambda: _look(self.client, manifest))

    def to_register(self, store: Store, prepared: source.Prepared) -> Ed25519PrivateKey | None:
        """The key, if the store does not know it yet. Raises Problem; Fault for one that cannot be registered here."""
        key_id = prepared.package.key_id
        if signing.is_registered(self.client, store.developer_id, key_id):
            return None
        if store.bound:
            raise Fault(
                f"Key {key_id} is not registered, and a token of one app registers none: sign in with another one, then"
                " `mosis key register FILE`."
            )
        if prepared.key is None:
            raise Fault(f"The package is signed with key {key_id}, which is not registered: `mosis key register FILE`.")
        return prepared.key

    def register(self, store: Store, key: Ed25519PrivateKey) -> None:
        """Raises Problem."""
        signing.register(self.client, store.developer_id, key)
        self.report(f"Registered key {signing.id_of(key)}.")

    def add_app(self, store: Store, manifest: Manifest) -> None:
        if store.app is None:
            _add_app(self.client, manifest)
            self.report(f"Added app {manifest.id}.")

    def replace(self, store: Store, manifest: Manifest) -> None:
        """Delete a draft or a rejected version of this code. Raises Problem."""
        if earlier := store.version(manifest.version_code):
            self.client.request("DELETE", f"/api/apps/{manifest.id}/versions/{manifest.version_code}")
            self.report(f"Deleted version {manifest.version_code}, which was {spoken(earlier.status)}.")

    def upload(self, store: Store, prepared: source.Prepared) -> Placed:
        """Raises Problem, Unreachable, Fault."""
        opened = source.opened(prepared)
        with opened.file:
            app_id = prepared.package.manifest.id
            return Upload(self.client, app_id, opened, self.patience, self.progress).send()

    def submit(self, version: Placed) -> Placed:
        """Raises Problem, Unreachable."""
        path = f"/api/apps/{version.app_id}/versions/{version.version_code}/submit"
        return self._patiently(lambda: self.client.post(path, Placed))

    def _patiently(self, ask: Callable[[], T]) -> T:
        """The answer of `ask`, which is tried again while the store answers that it is busy or restarting.

        A store that does not answer at all may be the wrong one: that is reported at once.
        """
        while True:
            try:
                answer = ask()
            except Busy as fault:
                self.patience.wait(fault)
            else:
                self.patience.succeeded()
                return answer

    def wait(self, version: Placed) -> Placed:
        """The version when its review has ended with a publish. Raises Rejected, Unreachable, Problem."""
        while True:
            try:
                now = state(self.client, version.app_id, version.version_code)
                self.patience.succeeded()
            except Unreachable as fault:
                self.patience.wait(fault)
                continue
            if now.status == "published":
                return now
            require_open(now)
            if now.status != "in_review":
                raise Rejected(f"{now.app_id} {now.version_code} was withdrawn from review: it is a draft again.")
            self.patience.sleep(POLL_SECONDS)


def state(client: Client, app_id: str, code: int) -> Placed:
    """One version of an app. Raises Fault, Problem, Unreachable."""
    found = _placed(client.every(f"/api/apps/{app_id}/versions", Versions, "versions"))
    if version := next((version for version in found if version.version_code == code), None):
        return version
    raise Fault(f"{app_id} has no version {code}: `mosis versions {app_id}` lists them.")
