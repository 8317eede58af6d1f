"""Parts that the plans of several runtimes are made of."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from shlex import quote

from deploys.plan import schedules
from deploys.plan.data import HostData, PlanError
from deploys.plan.model import Directory, File, Secret, Service, root_file
from deploys.plan.paths import PROMETHEUS_DROPINS
from deploys.plan.render import CHECKOUT, digest, render
from portal import settings as portal_settings
from portal.images.limits import memory_bytes
from portal.mirror.providers import provider_of
from portal.settings import MIB, Settings

TASKS = 128  # of a process beside the threads that answer: a worker's runtime, its decoder of images
PROCESS_BYTES = 256 * MIB  # of a process beside the image that it has decoded

CREDENTIALS = "mirror-credentials"
UPLOAD_CREDENTIALS = "mirror-upload-credentials"

DIRECTORIES = {  # below root: mode; nginx reads packages and assets as a member of the group
    "": "750",
    "data": "700",
    "packages": "750",
    "assets": "750",
    "catalogue": "750",
    "temp": "700",
    "backups": "700",
    "backups/portal": "700",
    "backups/snapshots": "700",
    "secrets": "700",
    "secrets/catalogue": "700",
}


def settings_of(data: HostData, secrets: Path | None = None, /, **derived: object) -> Settings:
    """The portal's settings; what is `derived` the deploy decides. `secrets`: where they lie, else `<root>/secrets`."""
    derived = {"job_max_ages": schedules.max_ages(data), **derived}
    values = {"root": data.root, **derived, **data.settings}
    if isinstance(mirror := values.get("mirror"), dict):
        place = secrets or data.root / "secrets"
        own = {"upload_credentials": f"{place}/{UPLOAD_CREDENTIALS}"} if UPLOAD_CREDENTIALS in data.secrets else {}
        values["mirror"] = {"credentials": f"{place}/{CREDENTIALS}", **own, **mirror}
    if secrets:
        values.setdefault("catalogue_keys", secrets / "catalogue")
    decided = {"root", *derived, *(("host", "port") if "socket" in derived else ())}
    if fixed := data.settings.keys() & decided:
        raise PlanError(f"Host data: mosis_settings may not set {', '.join(sorted(fixed))}, the deploy does.")
    try:
        settings = portal_settings.parse(values)
        if settings.mirror:
            provider_of(settings.mirror)
        return settings
    except portal_settings.SettingsError as error:
        raise PlanError(f"Host data: mosis_{error}") from None


def tasks_of(settings: Settings) -> int:
    """How many processes and threads the portal may have."""
    return TASKS + settings.workers * (settings.threads + TASKS)


def memory_of(settings: Settings) -> int:
    """How many bytes of memory the portal may have: each worker decodes one image at a time."""
    return PROCESS_BYTES + settings.workers * (PROCESS_BYTES + memory_bytes(settings.image_max_pixels))


def secrets_of(data: HostData, settings: Settings, secrets: Path | None = None) -> tuple[Secret, ...]:
    place = secrets or data.root / "secrets"
    for credentials in _credentials_of(settings):
        if credentials.parent == place and credentials.name not in data.secrets:
            raise PlanError(f"Host data: mosis_secrets must say where {credentials.name} comes from.")
    return tuple(Secret(f"{place}/{name}", _read(source)) for name, source in data.secrets.items())


def _credentials_of(settings: Settings) -> set[Path]:
    mirror = settings.mirror
    return {mirror.credentials, mirror.signing.credentials} if mirror else set()


def _read(source: str) -> str:
    kind, _, place = source.partition(":")
    try:
        content = os.environ[place] if kind == "env" else Path(place).expanduser().read_text()
    except KeyError:
        raise PlanError(f"The environment variable {place}, which holds a secret, is not set.") from None
    except OSError as error:
        raise PlanError(f"The secret in {place} cannot be read: {error.strerror}.") from None
    except (RuntimeError, ValueError) as error:  # no such home directory; no text, no path
        raise PlanError(f"The secret in {place!r} cannot be read: {str(error).rstrip('.')}.") from None
    if not content.strip():
        raise PlanError(f"The secret in {place} is empty.")
    return content.rstrip("\n") + "\n"


def directories_of(root: Path, modes: Mapping[str, str], owner: str) -> tuple[Directory, ...]:
    return tuple(Directory(str(root / name), mode, owner) for name, mode in modes.items())


def stamped(
    code: str, config: File, path: str, template: str, /, *, reads: tuple[str, ...] = (), **variables: object
) -> Service:
    """A process of `code` that reads `config`, started by the file `path`, which carries a stamp over all three.

    It is restarted as well when one of the files `reads` is younger than it.
    """
    stamp = digest(code, config.content, render(template, stamp="", **variables))
    file = File(path, render(template, stamp=stamp, **variables), "644", config.owner)
    return Service((config, file), stamp, reads)


def note_of(config: File, root: Path) -> File:
    """Says beside the settings that a store lives at `root`: `mosis setup` then starts no empty one in its place."""
    path = Path(config.path).with_name("store.json")
    return File(str(path), json.dumps({"root": str(root)}) + "\n", "644", config.owner)


def exchange_of(runtime: str, script: str, settings: Settings, /, **variables: object) -> File:
    """The script that replaces a running portal without a failed request, in the verbs of `runtime`."""
    text = render("exchange/exchange.j2", runtime=runtime, settings=settings, **variables)
    return root_file(script, text, "755")


def offline_command_of(root: Path, binaries: str) -> str:
    return f"env MOSIS_CONFIG=/dev/null MOSIS_ROOT={quote(str(root))} {quote(f'{binaries}/mosis')}"


def prometheus_of(data: HostData, place: str, scraped: int) -> Service:
    """Scrape and rule files below `place`; Prometheus finds the portal's metrics at the loopback port `scraped`."""
    targets = render("prometheus/prometheus.yml.j2", data=data, scraped=scraped)
    files = [
        root_file(f"{place}/prometheus.yml", targets),
        root_file(f"{place}/rules.yml", (CHECKOUT / "files/prometheus/rules.yml").read_text()),
    ]
    if data.prometheus == "install":
        arguments = render("prometheus/mosis-arguments.conf.j2", data=data)
        files.append(root_file(f"{PROMETHEUS_DROPINS}/mosis-arguments.conf", arguments))
    return Service(tuple(files))
