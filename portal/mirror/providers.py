"""S3 providers: what a client has to send to each, and what each one honours. To add a provider, add a row.

Rows state what the provider documents, or what was measured; `tests/mirror/test_providers.py` holds a row to the engine
itself wherever there is one to ask.
"""

import re
from dataclasses import dataclass
from typing import Literal

from portal.settings import S3, Settings, SettingsError

OWN_REGION = "auto"  # of the settings: the provider's


@dataclass(frozen=True)
class Provider:
    """One provider.

    endpoint: form of its URL, capitals for what the operator fills in; empty: chosen by `name` alone
    region: the region that signs requests; `REGION`: the one in the endpoint
    public_url: form of an object's URL for anybody, in a bucket or domain that is public
    tagging: objects may have tags
    conditional_writes: a PUT with `If-None-Match: *` never overwrites; None: not known
    checksums: botocore's; AWS's newer trailing checksums are refused by most others
    addressing: botocore's; `path` puts the bucket into the path of the URL, which needs no DNS name for it
    expiration_hides: an expired object is only hidden, and stays until its noncurrent version expires too
    """

    name: str
    title: str
    endpoint: str
    region: str
    public_url: str
    tagging: bool
    conditional_writes: bool | None
    checksums: Literal["when_required", "when_supported"] = "when_required"
    addressing: Literal["path", "virtual"] = "path"
    expiration_hides: bool = False

    def region_of(self, engine: S3) -> str:
        """The region that requests to `engine` are signed for."""
        if engine.region != OWN_REGION:
            return engine.region
        found = self._matched(engine)
        return found["REGION"] if found and self.region == "REGION" else self.region

    def serves(self, engine: S3) -> bool:
        """Whether the endpoint of `engine` is one of this provider's."""
        return self._matched(engine) is not None

    def _matched(self, engine: S3) -> re.Match[str] | None:
        form = re.sub(r"[A-Z]+", lambda word: rf"(?P<{word[0]}>[a-z0-9.-]+)", re.escape(self.endpoint))
        return re.fullmatch(form, url_of(engine)) if self.endpoint else None


ANY = Provider(
    name="s3",
    title="any S3 endpoint",
    endpoint="",
    region="us-east-1",
    public_url="ENDPOINT/BUCKET/KEY",
    tagging=False,
    conditional_writes=None,
)
PROVIDERS = (
    Provider(
        name="cloudflare-r2",
        title="Cloudflare R2",
        endpoint="https://ACCOUNT.r2.cloudflarestorage.com",
        region="auto",
        public_url="https://DOMAIN/KEY",  # a custom domain of the bucket: the S3 domain serves signed requests only
        tagging=False,
        conditional_writes=True,
    ),
    Provider(
        name="aws-s3",
        title="AWS S3",
        endpoint="https://s3.REGION.amazonaws.com",
        region="REGION",
        public_url="https://BUCKET.s3.REGION.amazonaws.com/KEY",
        tagging=True,
        conditional_writes=True,
        checksums="when_supported",
        addressing="virtual",
    ),
    Provider(
        name="backblaze-b2",
        title="Backblaze B2",
        endpoint="https://s3.REGION.backblazeb2.com",
        region="REGION",
        public_url="https://BUCKET.s3.REGION.backblazeb2.com/KEY",
        tagging=False,
        conditional_writes=None,
        expiration_hides=True,
    ),
    Provider(
        name="minio",
        title="MinIO",
        endpoint="",
        region="us-east-1",
        public_url="ENDPOINT/BUCKET/KEY",
        tagging=True,
        conditional_writes=True,
    ),
    Provider(
        name="seaweedfs",
        title="SeaweedFS",
        endpoint="",
        region="us-east-1",
        public_url="ENDPOINT/BUCKET/KEY",
        tagging=True,
        conditional_writes=True,
    ),
    ANY,
)


def url_of(engine: S3) -> str:
    """The endpoint without the slash that pydantic adds."""
    return str(engine.endpoint).rstrip("/")


def provider_of(engine: S3) -> Provider:
    """The provider that the settings name, else the endpoint's, else `ANY`. Raises SettingsError."""
    if not engine.provider:
        return next((provider for provider in PROVIDERS if provider.serves(engine)), ANY)
    named = {provider.name: provider for provider in PROVIDERS}
    if engine.provider not in named:
        raise SettingsError(f"settings: mirror.provider: {engine.provider!r} is not one of {', '.join(named)}.")
    return named[engine.provider]


def engine_of(settings: Settings) -> S3:
    """The engine of the mirror. Raises SettingsError without one."""
    if settings.mirror is None:
        raise SettingsError("No mirror is configured: set `mirror` in the settings.")
    return settings.mirror


def private_of(settings: Settings) -> S3:
    """The engine of the private bucket. Raises SettingsError without one."""
    private = engine_of(settings).private
    if private is None:
        raise SettingsError("No private bucket is configured: set `mirror.private_bucket` in the settings.")
    return private
