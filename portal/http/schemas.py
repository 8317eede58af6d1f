"""The request and response bodies of the API; /openapi.json is generated from these models."""

import base64
import json
import sqlite3
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer

from portal.packages.identifiers import LARGEST_INTEGER, AppId, DeveloperId, VersionCode
from portal.packages.signature import KeyId
from portal.packages.texts import Description, Explanation, Name, Note, WebPage
from portal.store import (
    app_keys,
    apps,
    asset_rows,
    assets,
    changes,
    developers,
    downloads,
    keys,
    previews,
    proposals,
    publishers,
    tokens,
    versions,
    webhooks,
)  # fmt: skip
from portal.store.clock import rfc3339
from portal.store.states import Status
from portal.store.store import Store

Time = Annotated[
    int,
    PlainSerializer(rfc3339, return_type=str),
    Field(description="UTC, RFC 3339"),
]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
HEX = "64 lower-case hex digits"
DOWNLOAD_DAYS = 90
TOKEN_DAYS_MAX = 3650
APP_TOKEN_DAYS_MAX = 365
ID_TOKEN_MAX = 16 * 1024  # characters; those of GitHub have 2,000
DESCRIBED = ("min_api", "permissions", "changelog", "author", "license", "homepage")
"""Members of a manifest that devices see before they download the package."""
INSTALLED_MAX = 500  # apps of one device, for which it asks at once
CHANGELOG_MAX = 1000  # characters in an answer about many apps


class Listing(BaseModel):
    """A page of a list."""

    cursor: str | None = Field(None, description="of the next page; null: there is none")


class Body(BaseModel):
    """A request body; unknown members and members of the wrong type are rejected."""

    model_config = ConfigDict(extra="forbid", strict=True)


class NewDeveloper(Body):
    developer_id: DeveloperId
    name: Name


class Developer(BaseModel):
    developer_id: str
    name: str
    created_at: Time
    disabled_at: Time | None

    @classmethod
    def of(cls, developer: developers.Developer) -> "Developer":
        return cls.model_validate(developer, from_attributes=True)


class Developers(Listing):
    developers: list[Developer]


class NewToken(Body):
    scope: tokens.Scope
    days: int = Field(ge=1, le=TOKEN_DAYS_MAX, description="days until it expires")


class Token(BaseModel):
    token_id: str
    developer_id: str
    scope: tokens.Scope
    created_at: Time
    expires_at: Time
    revoked_at: Time | None
    last_used_at: Time | None
    app_id: str | None = Field(description="the one app that the token is bound to")
    passkey: str | None = Field(description="the name of a passkey, which is a token that only an authenticator has")

    @classmethod
    def of(cls, token: tokens.Token) -> "Token":
        return cls.model_validate(token, from_attributes=True)


class IssuedToken(Token):
    token: str = Field(description="the token itself, shown only once")


class Audience(BaseModel):
    audience: str = Field(description="the claim `aud` of an ID token for this store")


class IdToken(Body):
    token: str = Field(min_length=1, max_length=ID_TOKEN_MAX, description="ID token of a CI service (OpenID Connect)")
    app_id: AppId


class NewPublisher(Body):
    issuer: str = Field(max_length=500, description="URL of the CI service; one that the store trusts")
    repository_id: str = Field(
        pattern=r"^[!-~]{1,200}$", description="id of the repository there, which outlives its name"
    )
    ref: str = Field(
        "", pattern=r"^(refs/[!-~]{1,250})?$",
        description="only jobs of this ref, such as `refs/heads/main`, or of all that begin as it does before a `*`",
    )  # fmt: skip
    environment: str = Field("", pattern=r"^[ -~]{0,255}$", description="only jobs of this environment")


class Publisher(BaseModel):
    number: int
    app_id: str
    issuer: str
    repository_id: str
    ref: str = Field(description="empty: any")
    environment: str = Field(description="empty: any, or none")
    created_at: Time
    created_by: str

    @classmethod
    def of(cls, publisher: publishers.Publisher) -> "Publisher":
        return cls.model_validate(publisher, from_attributes=True)


class Publishers(BaseModel):
    publishers: list[Publisher]


class NewAppToken(Body):
    app_id: AppId
    days: int = Field(ge=1, le=APP_TOKEN_DAYS_MAX, description="days until it expires")


class Quotas(BaseModel):
    """What counts for a developer; as `usage` what there is, as `quota` the most there may be."""

    apps: int
    bytes: int = Field(description="of packages in any status, images and open uploads")
    open_uploads: int
    open_upload_bytes: int
    unpublished: int = Field(description="versions that are being uploaded, drafts or in review")


class Me(Token):
    """The token of the request, and its developer."""

    name: str = Field(description="of the developer")
    usage: Quotas
    quota: Quotas


class Tokens(Listing):
    tokens: list[Token]


class NewKey(Body):
    public_key: str = Field(max_length=64, description="base64 of the 32 raw bytes of an Ed25519 public key")
    proof: str = Field(
        max_length=128,
        description="base64 of the key's signature over `MOSIS-KEY-REGISTER-V1\\n<developer_id>\\n<key_id>\\n`",
    )


class Key(BaseModel):
    key_id: str
    developer_id: str
    created_at: Time
    revoked_at: Time | None

    @classmethod
    def of(cls, key: keys.Key) -> "Key":
        return cls.model_validate(key, from_attributes=True)


class Keys(Listing):
    keys: list[Key]


class NewApp(Body):
    app_id: AppId
    name: Name
    description: Description = ""
    dry_run: bool = Field(False, description="add nothing; only answer as if the app were added")


class NewWebhook(Body):
    url: str = Field(max_length=2000, description="https URL that gets a POST when a review ends")


class Webhook(BaseModel):
    url: str
    created_at: Time
    waiting: int = Field(description="deliveries that have not succeeded")
    fault: str | None = Field(description="why the last try failed")

    @classmethod
    def of(cls, db: sqlite3.Connection, webhook: webhooks.Webhook) -> "Webhook":
        waiting = webhooks.waiting(db, webhook.developer_id)
        fault = waiting[0].fault if waiting else None
        return cls(url=webhook.url, created_at=webhook.created_at, waiting=len(waiting), fault=fault)


class SetWebhook(Webhook):
    secret: str = Field(description="key of the signatures (standardwebhooks.com), shown only once")


class AppChange(Body):
    name: Name = Field(default_factory=str)
    description: Description = Field(default_factory=str)
    homepage: WebPage | None = Field(None, description="http or https URL; null: none")


class AppKey(BaseModel):
    """A signing key of an app, with the time and the version code from which it signs.

    The first publish pins it, or it follows the key before it by rotation or recovery.
    """

    number: int
    kind: app_keys.Kind
    key_id: str
    public_key: str = Field(description="base64 of the 32 raw bytes")
    from_version_code: int
    created_at: Time
    effective_at: Time
    reason: str
    old_signature: str | None = Field(
        description="a rotation's statement signed with the key before this one: `MOSIS-KEY-ROTATE-V1\\n<app_id>\\n"
        "<old key_id>\\n<key_id>\\n<from_version_code>\\n`"
    )
    new_signature: str | None = Field(description="the same statement signed with this key")
    revoked_at: Time | None = Field(
        description="since when it signs nothing new; what it signed before was reviewed, and is still published"
    )

    @classmethod
    def of(cls, key: app_keys.AppKey) -> "AppKey":
        return cls(**vars(key) | {"public_key": base64.b64encode(key.public_key).decode()})


class AppKeys(BaseModel):
    keys: list[AppKey] = Field(
        description="in effect, in order; a version is signed by the last one whose `from_version_code` it reaches"
    )
    pending_recovery: AppKey | None = Field(description="takes effect at its `effective_at` unless it is cancelled")

    @classmethod
    def of(cls, db: sqlite3.Connection, app_id: str) -> "AppKeys":
        pending = app_keys.pending(db, app_id)
        return cls(
            keys=[AppKey.of(key) for key in app_keys.history(db, app_id)],
            pending_recovery=AppKey.of(pending) if pending else None,
        )


class NewRotation(Body):
    new_key_id: KeyId
    from_version_code: VersionCode
    old_signature: str = Field(max_length=128, description="base64, by the current key")
    new_signature: str = Field(max_length=128, description="base64, by the new key, over the same statement")


class NewRecovery(Body):
    new_key_id: KeyId
    reason: Explanation = Field(description="public: shown in the store information of the app")


class App(BaseModel):
    app_id: str
    developer_id: str
    name: str
    description: str
    homepage: str | None
    published_code: int | None = Field(description="version_code of the current version")
    created_at: Time
    updated_at: Time
    signing: AppKeys

    @classmethod
    def of(cls, db: sqlite3.Connection, app: apps.App) -> "App":
        return cls(**vars(app), signing=AppKeys.of(db, app.app_id))


class AppDetails(App):
    assets: "list[Asset]"

    @classmethod
    def with_assets(cls, db: sqlite3.Connection, app: apps.App, base: str) -> "AppDetails":
        found = [Asset.of(asset, base) for asset in asset_rows.of_app(db, app.app_id)]
        return cls(**vars(app), signing=AppKeys.of(db, app.app_id), assets=found)


class Apps(Listing):
    apps: list[App]


class Reason(Body):
    reason: Note = Field("", description="shown to the developer")


class Transfer(Body):
    developer_id: DeveloperId = Field(description="the new owner")
    reason: Explanation = Field(description="text for the audit log")


class Seen(Body):
    sha256: Sha256 | None = Field(
        None,
        description=f"the SHA-256 of the package that was reviewed, {HEX}; 409 if the version has another one by now",
    )


DIGEST_OF_IMAGES = f"{HEX}; `GET …/images` shows it, and 409 is answered if the images were changed since"


class Approval(Reason, Seen):
    images_sha256: Sha256 | None = Field(
        None,
        description=f"the digest of images that were reviewed too, and are published with it, {DIGEST_OF_IMAGES}",
    )


class ImageApproval(Reason):
    sha256: Sha256 = Field(description=f"the digest of the images, {DIGEST_OF_IMAGES}")


class ImageRejection(Body):
    sha256: Sha256 = Field(description=f"the digest of the images, {DIGEST_OF_IMAGES}")
    reason: Explanation = Field(description="text that is shown to the developer")


class Rejection(Seen):
    reason: Explanation = Field(description="text that is shown to the developer")


class Withdrawal(Body):
    reason: Explanation = Field(description="text that is shown to everyone")


class Version(BaseModel):
    app_id: str
    developer_id: str
    status: Status
    status_at: Time = Field(description="since when it has this status")
    created_at: Time
    published_at: Time | None
    reasons: list[str] = Field(
        description="why validation failed, or the version was rejected or yanked; in review, what its developer noted"
    )
    version_code: int | None
    version: str | None = Field(description="version_name of the manifest")
    size: int | None = Field(description="bytes")
    sha256: str | None
    key_id: str | None
    signature: str | None
    min_api: int | None
    permissions: list[str]
    changelog: str | None = Field(description=f"the first {CHANGELOG_MAX} characters")
    download_url: str | None

    @classmethod
    def of(cls, version: versions.Version, base: str) -> "Version":
        described = json.loads(version.manifest or "{}")
        values = vars(version) | {
            "version": version.version_name,
            "min_api": described.get("min_api"),
            "permissions": described.get("permissions", []),
            "changelog": (described.get("changelog") or "")[:CHANGELOG_MAX] or None,
            "reasons": json.loads(version.reasons),
            "download_url": download_url(version, base) if version.version_code else None,
        }
        return cls.model_validate({name: values[name] for name in cls.model_fields})


class PublishedVersion(BaseModel):
    version: str
    version_code: int
    size: int = Field(description="bytes")


class InReview(Version):
    """A version that waits for a reviewer."""

    app_name: str = Field(description="that it has in the manifest of this version")
    note: str = Field(description="what its developer wrote when submitting it")
    published: PublishedVersion | None = Field(description="the published version that it follows")
    size_change: int | None = Field(description="bytes more than that one has")
    new_permissions: list[str]
    key: changes.Key = Field(description="whether it is signed with the first key of the app, the same or an other one")

    @classmethod
    def waiting(cls, db: sqlite3.Connection, version: versions.PlacedVersion, base: str) -> "InReview":
        found = changes.overview(db, version)
        return cls(
            **vars(Version.of(version, base)), **_overview(found), note=version.reason,
            app_name=versions.as_published(apps.get(db, version.app_id), version).name,
        )  # fmt: skip


class Reviews(Listing):
    versions: list[InReview]


class Member(BaseModel):
    """A member of manifest.json that differs."""

    name: str
    before: Any
    after: Any


class File(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    path: str
    size_before: int | None = Field(description="bytes")
    size: int | None = Field(description="bytes")


class Files(BaseModel):
    added: list[File]
    removed: list[File]
    changed: list[File]
    numbers: dict[str, int] = Field(description=f"how many there are; at most {changes.LISTED_MAX} of each are listed")


class Changes(BaseModel):
    """What a version changes against the published one that it follows."""

    published: PublishedVersion | None
    size_change: int | None = Field(description="bytes")
    new_permissions: list[str]
    key: changes.Key
    manifest: list[Member]
    files: Files

    @classmethod
    def of(cls, store: Store, version: versions.PlacedVersion) -> "Changes":
        found = changes.overview(store.db.read(), version)
        members = [Member(**vars(one)) for one in changes.members(version, found.published)]
        files = Files.model_validate(changes.files(store, version, found.published), from_attributes=True)
        return cls(**_overview(found), manifest=members, files=files)


def _overview(found: changes.Overview) -> dict[str, Any]:
    before = found.published
    return vars(found) | {
        "published": before
        and PublishedVersion(version=before.version_name, version_code=before.version_code, size=before.size)
    }


class DownloadCount(BaseModel):
    day: str = Field(description="UTC, as in 2026-11-26")
    version_code: int
    number: int


class Downloads(BaseModel):
    """How often the published versions of an app were downloaded from the store, not from the bucket or a CDN."""

    days: list[DownloadCount] = Field(description=f"of the last {DOWNLOAD_DAYS} days, the oldest first")
    totals: dict[int, int] = Field(description="since the version was published, by version code")

    @classmethod
    def of(cls, db: sqlite3.Connection, app_id: str) -> "Downloads":
        days = [
            DownloadCount(
                day=rfc3339(one.day * downloads.DAY)[:10], version_code=one.version_code, number=one.number
            )
            for one in downloads.of_app(db, app_id, DOWNLOAD_DAYS)
        ]  # fmt: skip
        return cls(days=days, totals=downloads.totals(db, app_id))


class SignedDownload(BaseModel):
    url: str = Field(description="works without a token until it expires")
    expires_at: Time


class NewPreview(Body):
    days: int = Field(7, ge=1, le=previews.DAYS_MAX, description="days until it expires")


class Preview(BaseModel):
    preview_id: str
    developer_id: str = Field(description="who created it")
    created_at: Time
    expires_at: Time

    @classmethod
    def of(cls, preview: previews.Preview) -> "Preview":
        return cls.model_validate(preview, from_attributes=True)


class CreatedPreview(Preview):
    url: str = Field(description="the page, for everybody who has this URL; shown only once")


class Previews(BaseModel):
    previews: list[Preview]


class Versions(Listing):
    versions: list[Version]


class Asset(BaseModel):
    name: str
    url: str = Field(description="contains the digest: another image gets another URL")
    size: int = Field(description="bytes")
    sha256: str

    @classmethod
    def of(cls, asset: asset_rows.Asset, base: str) -> "Asset":
        url = f"{base}/assets/{asset.app_id}/{asset.file_name}"
        return cls(name=asset.name, url=url, size=asset.size, sha256=asset.sha256)


class Image(Asset):
    """An image that its owner has changed."""

    proposed: bool = Field(description="waits for a review: only the owner and reviewers see it")

    @classmethod
    def changed(cls, db: sqlite3.Connection, asset: asset_rows.Asset, base: str) -> "Image":
        waits = proposals.changed(db, asset.app_id).get(asset.name)
        proposed = waits is not None and waits.sha256 == asset.sha256
        return cls(**vars(Asset.of(asset, base)), proposed=proposed)


class Assets(BaseModel):
    assets: list[Image]


class Images(BaseModel):
    """The images of an app as they will be, and as everybody sees them."""

    app_id: str
    app_name: str
    developer_id: str
    changed_at: Time | None = Field(description="since when changes wait for a review; null: nothing waits")
    rejected_at: Time | None
    reason: str = Field(description="of the rejection")
    sha256: str = Field(
        description="of the lines `<sha256>  <name>` of `assets`, sorted by name; names them in a decision"
    )
    assets: list[Asset]
    published: list[Asset] = Field(description="what is shown, or will be with the first version")

    @classmethod
    def of(cls, db: sqlite3.Connection, app: apps.App, base: str) -> "Images":
        found, after = proposals.find(db, app.app_id), proposals.applied(db, app.app_id)
        return cls(
            app_id=app.app_id, app_name=app.name, developer_id=app.developer_id,
            changed_at=found.changed_at if found else None, rejected_at=found.rejected_at if found else None,
            reason=found.reason if found else "", sha256=proposals.digest(after),
            assets=[Asset.of(asset, base) for asset in after],
            published=[Asset.of(asset, base) for asset in asset_rows.of_app(db, app.app_id)],
        )  # fmt: skip


class ImageReviews(Listing):
    images: list[Images]


class Order(Body):
    order: list[Annotated[int, Field(ge=1, le=assets.SCREENSHOTS_MAX)]] = Field(
        max_length=assets.SCREENSHOTS_MAX,
        description="the present number of each screenshot; they are numbered anew in this order",
    )


class Release(BaseModel):
    """What a device needs to decide about a version, to download and to verify it."""

    app_id: str
    developer_id: str
    version: str = Field(description="version_name of the manifest")
    version_code: int
    size: int = Field(description="bytes")
    sha256: str
    signature: str
    key_id: str
    published_at: Time
    download_url: str
    min_api: int | None = Field(description="lowest API level of a device that can run it; null: any")
    permissions: list[str]
    changelog: str | None


class StoreApp(Release):
    """Everything that a device needs to show, download and verify an app."""

    name: str
    description: str
    author: str | None
    license: str | None
    homepage: str | None
    public_key: str = Field(description="base64 of the 32 raw bytes of the signing key")
    assets: list[Asset]
    signing: AppKeys


class Installed(Body):
    """The apps of a device, each with the version code that it has."""

    apps: dict[Annotated[str, Field(max_length=128)], Annotated[int, Field(ge=0, le=LARGEST_INTEGER)]] = Field(
        max_length=INSTALLED_MAX, description="version code by app ID; 0 for an app that is not installed"
    )
    min_api: int | None = Field(
        None, ge=1, le=2**31 - 1, description="API level of the device: no version with a higher `min_api` is offered"
    )
    channel: Literal["stable", "beta", "edge"] = Field(
        "stable", description="every release is in `stable`, which the other channels include"
    )


class Update(Release):
    changelog: str | None = Field(
        max_length=CHANGELOG_MAX, description=f"the first {CHANGELOG_MAX} characters; the store info has all of it"
    )

    @classmethod
    def of(cls, version: versions.PlacedVersion, base: str) -> "Update":
        values = release(version, base)
        return cls.model_validate(values | {"changelog": values["changelog"] and values["changelog"][:CHANGELOG_MAX]})


class Withdrawn(BaseModel):
    """An installed version that was yanked."""

    app_id: str
    version_code: int
    reason: str

    @classmethod
    def of(cls, version: versions.PlacedVersion) -> "Withdrawn":
        return cls(app_id=version.app_id, version_code=version.version_code, reason=version.reason)


class Updates(BaseModel):
    updates: list[Update] = Field(description="the newest version that runs on the device, of each app that has one")
    withdrawn: list[Withdrawn] = Field(description="installed versions that were yanked")


class StoreEntry(BaseModel):
    app_id: str
    developer_id: str
    name: str
    description: str
    version_code: int
    updated_at: Time
    url: str

    @classmethod
    def of(cls, app: apps.App, base: str) -> "StoreEntry":
        values = vars(app) | {"version_code": app.published_code, "url": f"{base}/api/store/apps/{app.app_id}"}
        return cls.model_validate({name: values[name] for name in cls.model_fields})


class StorePage(BaseModel):
    apps: list[StoreEntry]
    cursor: str | None = Field(description="pass it to get the next page; null on the last page")


class Problem(BaseModel):
    """An error (RFC 9457)."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    errors: list[str] | None = None


class Health(BaseModel):
    status: str


def release(version: versions.PlacedVersion, base: str) -> dict[str, Any]:
    """The members of a Release, and what else the manifest may say for a StoreApp."""
    described = {"permissions": [], **json.loads(version.manifest)}
    return {
        **{name: described.get(name) for name in DESCRIBED},
        **vars(version),
        "version": version.version_name,
        "download_url": download_url(version, base),
    }


def download_path(version: versions.Version) -> str:
    return f"/downloads/{version.developer_id}/{version.app_id}/{version.version_code}/package.mosis"


def download_url(version: versions.Version, base: str) -> str:
    return base + download_path(version)
