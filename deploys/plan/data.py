"""What an inventory may say about a host: `mosis_NAME` in its data is the field NAME here."""

from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, IPvAnyNetwork, ValidationError, model_validator

from deploys.make import place
from deploys.plan import cron_times
from deploys.plan.paths import ACME_CERTIFICATE
from portal.settings import AbsolutePath, faults

PREFIX = "mosis_"
MADE_BY_STORE = ("admin-token", "catalogue", "presign-keys", "standby-key", "standby-key.pub")  # below <root>/secrets
CONTAINERS_MAX = 6  # the services, a second portal while the first is exchanged, a command


class PlanError(ValueError):
    """The inventory cannot be deployed; the message is one sentence for the operator."""


def _plain(path: Path) -> Path:
    if wrong := place.not_plain(str(path)):
        raise ValueError(f"{str(path)!r} contains {wrong}; a path may hold {place.PLAIN}")
    return path


def _cron_time(value: str | None) -> str | None:
    return None if value is None else cron_times.checked(value)


def _subnet(value: IPv4Network) -> IPv4Network:
    if value.num_addresses < CONTAINERS_MAX + 4:
        raise ValueError(f"must have room for {CONTAINERS_MAX} containers: take a /28 or larger")
    return value


def _source(value: str) -> str:
    kind, _, rest = value.partition(":")
    if kind not in ("env", "file") or not rest:
        raise ValueError("must be env:VARIABLE or file:PATH, never the secret itself")
    return value


def _secret_name(value: str) -> str:
    if value in MADE_BY_STORE:
        raise ValueError("is made by the store itself; give the file another name")
    return value


def _server_name(value: str) -> str:
    if value == "*":
        raise ValueError("must be a host name, or _ for any")
    return value


PlainPath = Annotated[AbsolutePath, AfterValidator(_plain)]
CronTime = Annotated[str | None, AfterValidator(_cron_time)]
SecretSource = Annotated[str, AfterValidator(_source)]
ImageName = Annotated[str, Field(pattern=r"^[a-z0-9][\w./:@-]*$")]
HostName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]*$")]
SecretName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]*$"), AfterValidator(_secret_name)]
ServerName = Annotated[  # it stands in a file of nginx
    str, Field(pattern=r"^[A-Za-z0-9_*.-]+$"), AfterValidator(_server_name)
]
Port = Annotated[int, Field(ge=1, le=65535)]
Subnet = Annotated[IPv4Network, AfterValidator(_subnet)]


LETS_ENCRYPT = "https://acme-v02.api.letsencrypt.org/directory"
HSTS = {
    "subdomains": "max-age=31536000; includeSubDomains",
    "host": "max-age=31536000",
    "off": "",
}  # a year, as OWASP ASVS 3.4.1 asks


class Tls(BaseModel):
    """Where the certificate of a store comes from: files of the host, or a certificate authority that speaks ACME."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    certificate: PlainPath | None = Field(None, description="file on the host: certificate with its chain, PEM")
    key: PlainPath | None = Field(None, description="file on the host: private key of the certificate, PEM")
    acme: str | None = Field(
        None,
        pattern=r"^[\w.+-]+@[\w.-]+$",
        description="e-mail address for the authority, instead of files: certbot obtains the certificate and renews it",
    )
    directory: str = Field(
        LETS_ENCRYPT,
        pattern=r"^https://[\w.:/-]+$",
        description="ACME directory of an authority, whose terms you accept",
    )
    port: Port = Field(443, description="TCP port for https; mosis_port then only redirects")
    hsts: Literal["subdomains", "host", "off"] = Field(
        "subdomains", description="what browsers open by https alone, for a year after each visit"
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.certificate is None) != (self.key is None) or (self.certificate is None) == (self.acme is None):
            raise ValueError("needs either certificate and key, or acme")
        return self

    @property
    def files(self) -> tuple[str, str]:
        """Paths of certificate and key on the host; by ACME one file has both."""
        return (str(self.certificate), str(self.key)) if self.certificate else (ACME_CERTIFICATE, ACME_CERTIFICATE)

    @property
    def hsts_header(self) -> str:
        """The value of Strict-Transport-Security, empty for none."""
        return HSTS[self.hsts]


class HostData(BaseModel):
    """The data of one host. `inventory/group_data/all.py` shows every field with its default."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    runtime: Literal["local", "systemd", "compose"] = Field(description="how the processes are kept up")
    root: PlainPath = Field(Path("/srv/mosis"), description="directory of everything that is stored")
    port: Port = Field(80, description="TCP port that people and devices connect to")
    server_names: tuple[ServerName, ...] = Field(
        ("_",), min_length=1, description="host names nginx answers to; _: any"
    )
    tls: Tls | None = Field(None, description="runtime systemd: https with a certificate of the host; None: http alone")
    trusted_proxies: tuple[IPvAnyNetwork, ...] = Field(
        (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128")),
        description="networks of reverse proxies, whose X-Forwarded-For names the client",
    )
    requests_per_client: int = Field(
        256, ge=1, description="requests nginx answers at once for an IPv4 address or an IPv6 /64"
    )
    requests_per_second: int = Field(
        100, ge=1, description="requests a second of an IPv4 address or an IPv6 /64; ten times as many after a pause"
    )
    senders_per_client: int = Field(
        16, ge=1, description="uploads nginx accepts at once from an IPv4 address or an IPv6 /64"
    )
    nginx: PlainPath | None = Field(None, description="runtime local: nginx's program; None: the portal alone answers")
    litestream_port: Port = Field(9099, description="loopback port of Litestream's metrics")
    metrics_port: Port = Field(9098, description="runtime systemd: loopback port of the portal's metrics")
    prometheus_port: Port = Field(9090, description="loopback port of an installed Prometheus")
    prometheus: Literal["files", "install"] = Field(
        "files", description="only lay down scrape and rule files, or install Debian's Prometheus too"
    )
    share: str | None = Field(
        None, pattern=r"^[A-Za-z][A-Za-z0-9_-]*$", description="Synology: the shared folder that is the root"
    )
    base_image: ImageName = Field("debian:bookworm-slim", description="image of Debian that the store's is built on")
    cloudflared: ImageName | None = Field(None, description="image of cloudflared; None: no tunnel")
    subnet: Subnet = Field(
        IPv4Network("172.30.77.0/28"), description="addresses of the containers, free in the host's networks"
    )
    drive_uuid: str | None = Field(
        None, pattern=r"^[0-9A-Fa-f-]+$", description="UUID of the external drive's file system; None: any drive"
    )
    hyper_backup: int | None = Field(None, ge=1, description="id of a Hyper Backup task that the store starts nightly")
    follows: HostName | None = Field(
        None, description="the store of this inventory that the host follows as its standby; None: it is a store"
    )
    settings: dict[str, object] = Field(default_factory=dict, description="settings of the portal that differ")
    schedules: dict[str, CronTime] = Field(default_factory=dict, description="cron times that differ; None: never")
    secrets: dict[SecretName, SecretSource] = Field(
        default_factory=dict, description="file below <root>/secrets: where the operator's machine has it"
    )
    wheelhouse: AbsolutePath | None = Field(
        None, description="directory of wheels on the operator's machine, for hosts that reach no package index"
    )


def parse(host_data: Mapping[str, object]) -> HostData:
    """The host's own data out of everything pyinfra knows about it. Raises PlanError."""
    values = {key.removeprefix(PREFIX): value for key, value in host_data.items() if key.startswith(PREFIX)}
    try:
        return HostData.model_validate(values)
    except ValidationError as error:
        raise PlanError(f"Host data: {faults(error, PREFIX)}.") from None
