"""What a host gets, computed from its data alone before anything is touched, so that tests read it as data."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from deploys import schedules
from deploys.data import HostData, PlanError, parse
from deploys.release import CURRENT, Release
from deploys.render import CHECKOUT, File, digest, render
from portal import settings as portal_settings
from portal.settings import Settings

SOCKET_PATH_MAX = 107  # bytes, sun_path of unix(7) without its final zero
CREDENTIALS = "mirror-credentials"

DIRECTORIES = {  # below root: mode; nginx reads packages and assets as a member of the group
    "": "750",
    "data": "700",
    "packages": "750",
    "assets": "750",
    "temp": "700",
    "backups": "700",
    "backups/portal": "700",
    "backups/snapshots": "700",
    "secrets": "700",
}
LOCAL_DIRECTORIES = {"bin": "750", "etc": "750", "run": "700", "log": "750"}


@dataclass(frozen=True)
class Directory:
    """A directory as a host must have it; `owner` is USER:GROUP, empty for the user that deploys."""

    path: str
    mode: str
    owner: str = ""


@dataclass(frozen=True)
class Service:
    """A program that is kept up: its files, and the stamp that the running process carries in MOSIS_STAMP."""

    files: tuple[File, ...]
    stamp: str = ""

    @property
    def paths(self) -> list[str]:
        return [file.path for file in self.files]


@dataclass(frozen=True)
class Secret:
    """A file of mode 600 whose content never leaves this object by printing it."""

    path: str
    content: str = field(repr=False)


@dataclass(frozen=True)
class Listener:
    """A port the host must have free, or held by the program `owner` of an earlier deploy."""

    port: int
    owner: str


@dataclass(frozen=True)
class Plan:
    """Everything a host gets. `owner` is USER:GROUP of the store, empty for the user that deploys."""

    data: HostData
    settings: Settings
    release: Release
    owner: str
    config: str
    mosis: str
    directories: tuple[Directory, ...]
    command: File
    services: Mapping[str, Service]
    secrets: tuple[Secret, ...]
    listeners: tuple[Listener, ...]
    jobs: tuple[schedules.Job, ...] = ()
    lifecycle: File | None = None

    @property
    def runtime(self) -> str:
        return self.data.runtime

    @property
    def admin_token(self) -> str:
        """Path of the first admin token."""
        return f"{self.settings.root}/secrets/admin-token"


def plan(host_data: Mapping[str, object], release: Release) -> Plan:
    """The plan of a host. Raises PlanError, one sentence about the data that is missing or wrong."""
    data = parse(host_data)
    return {"local": _local, "systemd": _systemd}[data.runtime](data, release)


def _settings(data: HostData, **derived: object) -> Settings:
    values = {"root": data.root, **derived, **data.settings}
    if isinstance(mirror := values.get("mirror"), dict):
        values["mirror"] = {"credentials": f"{data.root}/secrets/{CREDENTIALS}", **mirror}
    if fixed := data.settings.keys() & {"root", *derived}:
        raise PlanError(f"Host data: mosis_settings may not set {', '.join(sorted(fixed))}, the deploy does.")
    try:
        return portal_settings.parse(values)
    except portal_settings.SettingsError as error:
        raise PlanError(f"Host data: mosis_{error}") from None


def _secrets(data: HostData, settings: Settings) -> tuple[Secret, ...]:
    credentials = settings.mirror and settings.mirror.credentials
    if credentials and credentials.parent == data.root / "secrets" and credentials.name not in data.secrets:
        raise PlanError(f"Host data: mosis_secrets must say where {credentials.name} comes from.")
    return tuple(Secret(f"{data.root}/secrets/{name}", _read(source)) for name, source in data.secrets.items())


def _read(source: str) -> str:
    kind, _, place = source.partition(":")
    try:
        content = os.environ[place] if kind == "env" else Path(place).expanduser().read_text()
    except KeyError:
        raise PlanError(f"The environment variable {place}, which holds a secret, is not set.") from None
    except OSError as error:
        raise PlanError(f"The secret in {place} cannot be read: {error.strerror}.") from None
    return content.rstrip("\n") + "\n"


def _directories(root: Path, modes: Mapping[str, str], owner: str) -> tuple[Directory, ...]:
    return tuple(Directory(str(root / name), mode, owner) for name, mode in modes.items())


def _stamped(base: tuple[File, ...], path: str, template: str, release: str, **variables: object) -> Service:
    """A service whose file `path` carries a stamp over everything the process reads."""
    unstamped = render(template, stamp="", **variables)
    stamp = digest(release, unstamped, *(file.content for file in base))
    return Service((*base, File(path, render(template, stamp=stamp, **variables), "644")), stamp)


def _local(data: HostData, release: Release) -> Plan:
    root = data.root
    if len(os.fsencode(root / "run/supervisor.sock.1234567")) > SOCKET_PATH_MAX:
        raise PlanError(f"The root {root} is too long for a Unix socket below it; take a shorter path.")
    settings = _settings(data, port=data.port)
    binaries = Path(sys.executable).parent
    config = File(f"{root}/etc/mosis.toml", settings.to_toml(), "640")
    litestream = File(f"{root}/etc/litestream.yml", render("litestream/litestream.yml.j2", root=root, port=None), "640")
    variables = {"root": root, "binaries": binaries, "config": config.path}
    programs = "supervisor/program.conf.j2"
    services = {
        "portal": _stamped(
            (config,),
            f"{root}/etc/portal.conf",
            programs,
            release.id,
            program="portal",
            command=[binaries / "mosis", "serve"],
            **variables,
        ),
        "litestream": _stamped(
            (litestream,),
            f"{root}/etc/litestream.conf",
            programs,
            digest(release.lock.read_text()),
            program="litestream",
            command=[binaries / "litestream", "replicate", "-config", litestream.path],
            **variables,
        ),
        "supervisor": _stamped((), f"{root}/etc/supervisord.conf", "supervisor/supervisord.conf.j2", "", **variables),
    }
    command = f"{root}/bin/mosis"
    return Plan(
        data=data,
        settings=settings,
        release=release,
        owner="",
        config=config.path,
        mosis=command,
        directories=_directories(root, DIRECTORIES | LOCAL_DIRECTORIES, ""),
        command=File(command, render("portal/mosis.j2", user=None, **variables), "755"),
        services=services,
        secrets=_secrets(data, settings),
        listeners=(Listener(data.port, config.path),),
    )


def _systemd(data: HostData, release: Release) -> Plan:
    root, owner = data.root, "mosis:mosis"
    settings = _settings(data, port=data.portal_port, accel=True, proxied=True)
    config = File("/etc/mosis/mosis.toml", settings.to_toml(), "644", "root:root")
    litestream_config = render("litestream/litestream.yml.j2", root=root, port=data.litestream_port)
    litestream = File("/etc/mosis/litestream.yml", litestream_config, "644", "root:root")
    variables = {"root": root, "binaries": f"{CURRENT}/venv/bin", "config": config.path, "data": data}
    site = render("nginx/mosis.conf.j2", settings=settings, **variables)
    jobs = schedules.wanted(data, settings)
    services = {
        "portal": _stamped(
            (config,),
            "/etc/systemd/system/mosis-portal.service",
            "portal/mosis-portal.service.j2",
            release.id,
            **variables,
        ),
        "litestream": _stamped(
            (litestream,),
            "/etc/systemd/system/mosis-litestream.service",
            "litestream/mosis-litestream.service.j2",
            digest(release.lock.read_text()),
            **variables,
        ),
        "nginx": Service((File("/etc/nginx/sites-available/mosis.conf", site, "644", "root:root"),)),
        "cron": Service((File("/etc/cron.d/mosis", render("cron/mosis.j2", jobs=jobs), "644", "root:root"),)),
        "prometheus": _prometheus(data),
    }
    lifecycle = File("/etc/mosis/lifecycle.json", (CHECKOUT / "files/r2/lifecycle.json").read_text(), "644")
    listeners = [(data.port, "nginx"), (data.portal_port, config.path), (data.litestream_port, "litestream")]
    if data.prometheus == "install":
        listeners.append((data.prometheus_port, "prometheus"))
    return Plan(
        data=data,
        settings=settings,
        release=release,
        owner=owner,
        config=config.path,
        mosis="/usr/local/bin/mosis",
        directories=(
            *_directories(root, DIRECTORIES, owner),
            Directory("/etc/mosis", "755", "root:root"),
            Directory("/etc/mosis/prometheus", "755", "root:root"),
        ),
        command=File("/usr/local/bin/mosis", render("portal/mosis.j2", user="mosis", **variables), "755", "root:root"),
        services=services,
        secrets=_secrets(data, settings),
        listeners=tuple(Listener(*listener) for listener in listeners),
        jobs=jobs,
        lifecycle=lifecycle if settings.mirror else None,
    )


def _prometheus(data: HostData) -> Service:
    place = "/etc/mosis/prometheus"
    files = [
        File(f"{place}/prometheus.yml", render("prometheus/prometheus.yml.j2", data=data), "644", "root:root"),
        File(f"{place}/rules.yml", (CHECKOUT / "files/prometheus/rules.yml").read_text(), "644", "root:root"),
    ]
    if data.prometheus == "install":
        arguments = render("prometheus/default.j2", data=data)
        files.append(File("/etc/default/prometheus", arguments, "644", "root:root"))
    return Service(tuple(files))
