"""What a host gets, computed from its data alone before anything is touched, so that tests read it as data."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from shlex import quote

from deploys import schedules
from deploys.data import HostData, PlanError, parse
from deploys.model import Directory, File, Listener, Plan, Secret, Service
from deploys.release import CURRENT, Release
from deploys.render import CHECKOUT, digest, render
from portal import settings as portal_settings
from portal.settings import Settings

SOCKET_PATH_MAX = 107  # bytes, sun_path of unix(7) without its final zero
CREDENTIALS = "mirror-credentials"
UNITS = "/etc/systemd/system"

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


def _stamped(
    code: str, config: File, path: str, template: str, /, reads: tuple[str, ...] = (), **variables: object
) -> Service:
    """A process of `code` that reads `config`, started by the file `path`, which carries a stamp over all three."""
    stamp = digest(code, config.content, render(template, stamp="", **variables))
    return Service((config, File(path, render(template, stamp=stamp, **variables), "644", config.owner)), stamp, reads)


def _asking(root: Path, binaries: str) -> str:
    return f"env MOSIS_CONFIG=/dev/null MOSIS_ROOT={quote(str(root))} {quote(f'{binaries}/mosis')}"


def _local(data: HostData, release: Release) -> Plan:
    root = data.root
    if len(os.fsencode(root / "run/supervisor.sock.1234567")) > SOCKET_PATH_MAX:
        raise PlanError(f"The root {root} is too long for a Unix socket below it; take a shorter path.")
    settings = _settings(data, port=data.port)
    binaries, locked = Path(sys.executable).parent, digest(release.lock.read_text())
    config = File(f"{root}/etc/mosis.toml", settings.to_toml(), "640")
    litestream = File(f"{root}/etc/litestream.yml", render("litestream/litestream.yml.j2", root=root, port=None), "640")
    variables = {"root": root, "binaries": binaries, "config": config.path}
    program = "supervisor/program.conf.j2"
    serve, replicate = [binaries / "mosis", "serve"], [binaries / "litestream", "replicate", "-config", litestream.path]
    supervisor = File(f"{root}/etc/supervisord.conf", render("supervisor/supervisord.conf.j2", root=root), "644")
    services = {
        "portal": _stamped(
            release.id, config, f"{root}/etc/portal.conf", program, program="portal", command=serve, **variables
        ),
        "litestream": _stamped(
            locked,
            litestream,
            f"{root}/etc/litestream.conf",
            program,
            program="litestream",
            command=replicate,
            **variables,
        ),
        "supervisor": Service((supervisor,), digest(supervisor.content)),
    }
    command = f"{root}/bin/mosis"
    return Plan(
        data=data,
        settings=settings,
        release=release,
        owner="",
        config=config.path,
        mosis=command,
        asking=_asking(root, str(binaries)),
        binaries=str(binaries),
        directories=_directories(root, DIRECTORIES | LOCAL_DIRECTORIES, ""),
        command=File(command, render("portal/mosis.j2", user=None, **variables), "755"),
        services=services,
        secrets=_secrets(data, settings),
        listeners=(Listener(data.port, config.path),),
    )


def _systemd(data: HostData, release: Release) -> Plan:
    root, owner, binaries = data.root, "mosis:mosis", f"{CURRENT}/venv/bin"
    settings = _settings(data, port=data.portal_port, accel=True, proxied=True)
    config = File("/etc/mosis/mosis.toml", settings.to_toml(), "644", "root:root")
    litestream_config = render("litestream/litestream.yml.j2", root=root, port=data.litestream_port)
    litestream = File("/etc/mosis/litestream.yml", litestream_config, "644", "root:root")
    variables = {"root": root, "binaries": binaries, "config": config.path, "data": data}
    site = render("nginx/mosis.conf.j2", settings=settings, **variables)
    jobs, locked = schedules.wanted(data, settings), digest(release.lock.read_text())
    services = {
        "portal": _stamped(
            release.id,
            config,
            f"{UNITS}/mosis-portal.service",
            "portal/mosis-portal.service.j2",
            reads=(CURRENT,),
            **variables,
        ),
        "litestream": _stamped(
            locked,
            litestream,
            f"{UNITS}/mosis-litestream.service",
            "litestream/mosis-litestream.service.j2",
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
        asking=f"runuser -u mosis -- {_asking(root, binaries)}",
        binaries=binaries,
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
