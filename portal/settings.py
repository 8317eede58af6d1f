"""Every setting of the portal, typed, with its unit and default: one TOML file, overridden by `MOSIS_*` variables.

The same model checks an inventory before a deploy changes anything and writes the file that the host reads.
"""

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Literal

import tomli_w
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    HttpUrl,
    IPvAnyNetwork,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from portal import thresholds
from portal.faults import Fault

CONFIG_VARIABLE = "MOSIS_CONFIG"
METRICS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"  # where all workers count; the client library's own name
DEFAULT_CONFIG = Path("/etc/mosis/mosis.toml")

MIB = 1024 * 1024
BASE_URL = re.compile(r"https?://[^\s/?#]+(/[^\s/?#]+)*")
BUCKET = r"^[A-Za-z0-9][\w.-]{2,}$"


def _absolute(path: Path) -> Path:
    if not path.is_absolute() or ".." in path.parts or path.root != "/":
        raise ValueError("must be an absolute path, without .. or //")
    return path


def _base_url(url: str) -> str:
    base = url.rstrip("/")  # paths that begin with a slash are appended
    if base and not BASE_URL.fullmatch(base):
        raise ValueError("must be http:// or https:// with a host")
    return base


def _another_bucket(bucket: str | None, info: ValidationInfo) -> str | None:
    if bucket is not None and bucket == info.data.get("bucket"):
        raise ValueError("must be another bucket than mirror.bucket, which devices read")
    return bucket


AbsolutePath = Annotated[Path, AfterValidator(_absolute)]


class SettingsError(Fault):
    """The settings are unusable; the message is one sentence for the operator."""


class S3(BaseModel):
    """An S3 engine that carries the store to the world; credentials are in files, never in the settings."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    endpoint: HttpUrl = Field(description="URL of the S3 API")
    region: str = Field("auto", description="region; `auto`: the provider's")
    provider: str = Field("", description="name in the table of providers; empty: known by the endpoint, else `s3`")
    bucket: str = Field(pattern=BUCKET, description="bucket that devices read")
    credentials: AbsolutePath = Field(description="file of two lines, access key and secret key, mode 600")
    public_url: Annotated[str, AfterValidator(_base_url)] = Field(
        "", description="URL at which anybody reads the bucket, for `download`; empty: not public"
    )
    private_bucket: Annotated[str | None, AfterValidator(_another_bucket)] = Field(
        None, pattern=BUCKET, description="bucket that nobody reads, for uploads through it; none: there are none"
    )
    upload_credentials: AbsolutePath | None = Field(
        None, description="the same of a key that only writes there, all that the portal reads; none: `credentials`"
    )

    @property
    def private(self) -> "S3 | None":
        """The private bucket as an engine of its own, for jobs."""
        if self.private_bucket is None:
            return None
        return self.model_copy(update={"bucket": self.private_bucket, "public_url": "", "private_bucket": None})

    @property
    def signing(self) -> "S3":
        """This engine as the portal needs it, which signs uploads and asks nothing."""
        credentials = self.upload_credentials or self.credentials
        return self.model_copy(update={"credentials": credentials, "upload_credentials": None})


class Backup(BaseModel):
    """The external drive that the nightly rsync fills."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mount: AbsolutePath = Field(description="mount point of the drive; must be in /proc/mounts, or the backup fails")
    directory: AbsolutePath = Field(description="directory at or below `mount`, marked by a file `.mosis-backup`")
    keep_daily: int = Field(7, ge=1, description="generations on the drive: the last one of each of so many days")
    keep_weekly: int = Field(4, ge=0, description="and the last one of each of so many weeks")
    before_cleanup: bool = Field(
        False, description="cleanup deletes a package only while the drive has it, read then and equal to its digest"
    )


class Follow(BaseModel):
    """The store that a standby copies."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    store: str = Field(pattern=r"^[A-Za-z0-9][\w.-]*$", description="name of the store in `ssh_config`")
    ssh_config: AbsolutePath = Field(description="ssh_config(5) file that says how to reach it")


class Issuer(BaseModel):
    """A CI service whose ID tokens (OpenID Connect) may publish apps that trust a repository of it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    issuer: str = Field(pattern=r"^https?://[!-~]+$", description="its URL, exactly as in the claim `iss`")
    jwks_url: str = Field(
        "", pattern=r"^(https?://[!-~]+)?$", description="URL of its public keys (JWKS), which the job `issuers` reads"
    )
    jwks_file: AbsolutePath | None = Field(
        None, description="file of its public keys instead, where the host does not reach it"
    )
    repository_claim: str = Field(
        "repository_id", pattern="^[a-z_]+$", description="claim with the repository's id; GitLab's is `project_id`"
    )

    @model_validator(mode="after")
    def _one_source(self) -> "Issuer":
        if bool(self.jwks_url) == (self.jwks_file is not None):
            raise ValueError("requires either jwks_url or jwks_file")
        return self


def _offloadable(download: str, info: ValidationInfo) -> str:
    mirror = info.data.get("mirror")
    is_refused = "mirror" not in info.data  # for a reason of its own, which is the only one to report
    if download == "redirect" and not (is_refused or (isinstance(mirror, S3) and mirror.public_url)):
        raise ValueError("redirect requires mirror.public_url")
    return download


class Settings(BaseModel):
    """The portal's settings. Sizes are bytes, durations seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    root: AbsolutePath = Field(description="directory that holds data, packages, assets, temp, backups and secrets")
    host: str = Field("127.0.0.1", description="address the portal listens on")
    port: int = Field(8080, ge=1, le=65535, description="TCP port the portal listens on")
    socket: AbsolutePath | None = Field(None, description="Unix socket to listen on instead, for nginx beside it")
    public_url: Annotated[str, AfterValidator(_base_url)] = Field(
        "", description="URL of the store as devices see it; empty: links are relative"
    )
    workers: int = Field(2, ge=1, le=64, description="worker processes")
    threads: int = Field(256, ge=4, le=512, description="threads a worker answers requests with")
    stall_seconds: int = Field(120, ge=1, description="time within which a connection must move 4 KiB, seconds")
    accel: bool = Field(False, description="nginx in front carries the bytes (X-Accel-Redirect)")
    proxied: bool = Field(False, description="trust X-Forwarded-For, because only our own nginx can reach the port")
    tls_port: int | None = Field(
        None,
        ge=1,
        le=65535,
        description="port of this host at which nginx speaks https, for metrics; none: it does not",
    )
    metrics_networks: tuple[IPvAnyNetwork, ...] = Field(
        (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128")), description="networks that may read /metrics"
    )
    package_max_bytes: int = Field(50 * MIB, ge=1024, description="largest package, bytes")
    unpacked_max_bytes: int = Field(512 * MIB, ge=1024, description="largest sum of a package's unpacked files, bytes")
    entries_max: int = Field(10_000, ge=1, description="most files in a package")
    ratio_max: int = Field(
        100, ge=1, description="largest unpacked-to-packed ratio, of a file over 1 MiB and of a package over 16 MiB"
    )
    icon_max_bytes: int = Field(10_000_000, ge=1024, description="largest icon as uploaded, bytes")
    screenshot_max_bytes: int = Field(10_000_000, ge=1024, description="largest screenshot as uploaded, bytes")
    image_max_pixels: int = Field(4096 * 4096, ge=1024, description="most pixels an uploaded image may have")
    auth_failures_per_minute: int = Field(60, ge=1, description="wrong tokens taken from an address")
    changes_per_hour: int = Field(
        1200, ge=1, description="requests of a developer that change something, uploads and sign-ins among them"
    )
    uploads_per_hour: int = Field(120, ge=1, description="uploads taken from a developer")
    upload_url_seconds: int = Field(900, ge=60, le=3600, description="how long a signed upload URL is valid, seconds")
    apps_max: int = Field(500, ge=0, description="apps that a developer may have")
    developer_max_bytes: int = Field(
        20 * 1024 * MIB, ge=0, description="packages in any status, images and open uploads of a developer, bytes"
    )
    unpublished_max: int = Field(
        1000, ge=0, description="versions of a developer that are being uploaded, drafts or in review"
    )
    open_uploads_max: int = Field(8, ge=1, description="signed uploads a developer may have open")
    open_uploads_max_bytes: int = Field(200 * MIB, ge=1024, description="sum of their sizes, bytes")
    webhooks: Literal["off", "public", "any"] = Field(
        "off",
        description="where developers may have the store report the end of a review; `public`: https URLs with public"
        " addresses, `any`: others too, such as in the network of the host",
    )
    issuers: tuple[Issuer, ...] = Field(
        (), description="CI services whose jobs may publish without a stored token; none: no trusted publishing"
    )
    audience: str = Field(
        "", pattern=r"^[!-~]*$", description="the claim `aud` of their ID tokens for this store; empty: `public_url`"
    )
    own_reviews: Literal["auto", "never", "always"] = Field(
        "auto",
        description="whether a reviewer may publish versions of an own app; `auto`: only where nobody else could, or"
        " where this store did before it knew the rule",
    )
    storage_budget_bytes: int = Field(
        100 * 1024 * MIB,
        ge=1,
        description=f"disk budget, bytes: uploads beyond it are answered 507; status and an alert warn above"
        f" {thresholds.STORAGE_NEARLY_FULL:.0%} of it",
    )
    job_max_ages: dict[str, int] = Field(
        default_factory=dict,
        description="jobs of other schedules: seconds after which each is overdue, 0 if it is switched off",
    )
    scrub_mb_per_second: int = Field(50, ge=1, description="most that a scrub reads, MB/s")
    btrfs_snapshots: int = Field(
        3, ge=0, description="days of which a Btrfs snapshot of the root is kept, if it is a subvolume; 0: none"
    )
    litestream: bool = Field(True, description="Litestream owns the WAL's checkpoints")
    backup: Backup | None = Field(None, description="external drive; none: no rsync backup")
    mirror: S3 | None = Field(None, description="S3 engine; none: no mirror")
    catalogue_keys: AbsolutePath | None = Field(
        None,
        description="directory of the catalogue's keys, which only its job reads; none: `<root>/secrets/catalogue`",
    )
    download: Annotated[Literal["local", "redirect"], AfterValidator(_offloadable)] = Field(
        "local", description="`redirect`: devices get packages that the mirror has from `mirror.public_url`"
    )
    follow: Follow | None = Field(None, description="store that this host follows; none: it is a store of its own")

    @property
    def catalogue_key_directory(self) -> Path:
        return self.catalogue_keys or self.root / "secrets" / "catalogue"

    @property
    def id_token_audience(self) -> str:
        return self.audience or self.public_url

    @model_validator(mode="after")
    def _an_audience(self) -> "Settings":
        if self.issuers and not self.id_token_audience:
            raise ValueError("issuers require public_url or audience, so that no token for another store is taken")
        if self.audience and not self.issuers:
            raise ValueError("audience has no effect without issuers: remove it, or name the CI services in issuers")
        return self

    def to_toml(self) -> str:
        """The settings file that `load` reads back to an equal object; what stands at its default is left out."""
        return tomli_w.dumps(self.model_dump(mode="json", exclude_defaults=True, exclude_none=True))


def config_path() -> Path:
    """The settings file: what `MOSIS_CONFIG` names, else `/etc/mosis/mosis.toml`."""
    return Path(os.environ.get(CONFIG_VARIABLE, DEFAULT_CONFIG))


def parse(values: Mapping[str, object]) -> Settings:
    """Check `values` and nothing else. Raises SettingsError."""
    with _one_sentence("settings"):
        return Settings.model_validate(values)


def load() -> Settings:
    """The settings of this process: the file `config_path()`, overridden by `MOSIS_*`. Raises SettingsError."""
    path = config_path()
    with _one_sentence(str(path)):
        overriding = {_setting_of(name) for name in os.environ} - {None}
        if not path.exists() and "root" not in overriding:
            raise SettingsError(f"No settings: {path} does not exist. Use <root>/bin/mosis, or set {CONFIG_VARIABLE}.")
        return _with_environment(path) if overriding else Settings.model_validate(_read(path))


def _setting_of(variable: str) -> str | None:
    """The setting that an environment variable overrides, as a whole or a part of it."""
    prefix, _, rest = variable.lower().partition("_")
    setting = rest.partition("__")[0]
    return setting if prefix == "mosis" and setting in Settings.model_fields else None


def _read(path: Path) -> dict[str, object]:
    with path.open("rb") as file:
        return tomllib.load(file)


def _with_environment(path: Path) -> Settings:
    # Here, because it takes as long to import as pydantic, and few commands have any variable.
    from pydantic_settings import (
        BaseSettings,
        PydanticBaseSettingsSource,
        SettingsConfigDict,
        TomlConfigSettingsSource,
    )

    class Sources(Settings, BaseSettings):
        model_config = SettingsConfigDict(env_prefix="MOSIS_", env_nested_delimiter="__", extra="forbid", frozen=True)

        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return env_settings, TomlConfigSettingsSource(settings_cls, path)

    return Settings.model_validate(Sources().model_dump())


def faults(error: ValidationError, prefix: str = "") -> str:
    """What is wrong with each value, after its name, which begins with `prefix`."""
    found = []
    for fault in error.errors():
        name, text = ".".join(map(str, fault["loc"])), fault["msg"].removeprefix("Value error, ")
        if fault["type"] == "extra_forbidden":
            text = "there is no such setting: check its spelling"
        found.append(f"{prefix}{name}: {text[:1].lower()}{text[1:]}" if name else text)
    return "; ".join(found)


@contextmanager
def _one_sentence(source: str) -> Iterator[None]:
    try:
        yield
    except ValidationError as error:
        raise SettingsError(f"{source}: {faults(error)}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{source} is not TOML: {error}.") from None
    except OSError as error:
        raise SettingsError(f"The settings in {source} cannot be read: {error.strerror}.") from None
