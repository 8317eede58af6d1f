"""The plan of the runtime `compose`: containers of one image on a Synology NAS or any host with Docker."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from deploys.plan import schedules
from deploys.plan.data import HostData, PlanError
from deploys.plan.dsm_times import OURS, block
from deploys.plan.model import Directory, File, Listener, Plan, Secret, Service, Stack, root_file
from deploys.plan.nginx import CONNECTIONS, FILES, render_nginx
from deploys.plan.paths import DSM_HOME, ENVIRONMENT, HOME, PATH
from deploys.plan.release import Release
from deploys.plan.render import CHECKOUT, digest, render
from deploys.plan.schedules import Job
from deploys.plan.shared import (
    exchange_of,
    memory_of,
    note_of,
    prometheus_of,
    secrets_of,
    settings_of,
    tasks_of,
)
from portal.settings import Settings

ACCOUNT = "mosis"
READY_SECONDS = 120  # a slow NAS starts Python under load
NGINX_PORT = 8080  # inside its container, where nobody is root


def home_of(data: HostData) -> Path:
    """Where the deploy lays down its files. Raises PlanError where the root is not the share that was named."""
    if not data.share:
        return Path(HOME)
    if not re.fullmatch(rf"/volume\d+/{data.share}", str(data.root)):
        raise PlanError(f"Host data: the root of the share {data.share} is /volumeN/{data.share}, not {data.root}.")
    return data.root.parent / DSM_HOME


def plan(data: HostData, release: Release) -> Plan:
    """The plan. Raises PlanError."""
    home = home_of(data)
    settings = _settings(data, home / "run", home / "secrets")
    images, recipe = _images(data, release)
    jobs = schedules.wanted(data, settings)
    secrets = secrets_of(data, settings, home / "secrets")
    variables = _variables(data, settings, home, images)
    services = _services(data, settings, (release.id, recipe), variables, _signing(settings, secrets))
    command = root_file(f"{home}/bin/mosis", render("compose/mosis.j2", **variables), "755")
    stamped = variables | {"stamps": {name: own.stamp for name, own in services.items()}, "mosis": command.path}
    scripts = {job.name: f"{home}/bin/job-{job.name}" for job in jobs}
    return Plan(
        data=data,
        settings=settings,
        release=release,
        owner=ACCOUNT,
        config=f"{home}/etc/mosis.toml",
        mosis=command.path,
        offline_command=_offline_command(data, home, images["portal"]),
        binaries="",
        directories=_directories(data, home),
        command=command,
        services=services | {"prometheus": prometheus_of(data, f"{home}/etc/prometheus", data.port)},
        secrets=secrets,
        listeners=(Listener(data.port, "docker-proxy"), Listener(data.litestream_port, "docker-proxy")),
        jobs=jobs,
        bucket=settings.mirror,
        stack=Stack(
            home=str(home),
            user=ACCOUNT,
            images=images,
            recipe=recipe,
            files=(*_scripts(data, jobs, scripts, stamped), _exchange(settings, home, command.path)),
            boot=f"{home}/bin/boot",
            scripts=scripts,
        ),
        checks=_checks(home),
        note=note_of(services["portal"].files[0], data.root),
    )


def _checks(home: Path) -> tuple[str, str]:
    return f"{home}/check.py", f"{home}/etc/declared.json"


def _variables(data: HostData, settings: Settings, home: Path, images: Mapping[str, str]) -> dict[str, object]:
    """Those of every template."""
    return {
        "connections": CONNECTIONS,
        "files_max": FILES,
        "data": data,
        "settings": settings,
        "backup": settings.backup,
        "root": data.root,
        "etc": f"{home}/etc",
        "run": f"{home}/run",
        "secrets": f"{home}/secrets",
        "images": images,
        "nginx_port": NGINX_PORT,
        "memory": memory_of(settings),
        "tasks": tasks_of(settings),
        "path": PATH,
        "checks": _checks(home),
    }


def _exchange(settings: Settings, home: Path, mosis: str) -> File:
    places = {"home": home, "etc": home / "etc", "good": f"{home}/good", "path": PATH}
    return exchange_of("compose", f"{home}/bin/exchange", settings, mosis=mosis, seconds=READY_SECONDS, **places)


def _settings(data: HostData, run: Path, secrets: Path) -> Settings:
    if data.prometheus == "install":
        raise PlanError("Host data: mosis_prometheus = 'install' is for the runtime systemd; compose lays down files.")
    if data.cloudflared and "cloudflare-token" not in data.secrets:
        raise PlanError("Host data: mosis_secrets must say where cloudflare-token comes from.")
    # What asks on the host itself arrives from the engine's gateway.
    metrics = {"metrics_networks": ["127.0.0.0/8", "::1/128", f"{data.subnet[1]}/32"]}
    own = data.model_copy(update={"settings": metrics | data.settings})
    return settings_of(own, secrets, socket=run / "portal.sock", accel=True, proxied=True)


def _images(data: HostData, release: Release) -> tuple[dict[str, str], str]:
    """Names of the images, and what tells builds of the same name apart. nginx's changes with Debian's alone."""
    recipe = digest((CHECKOUT / "files/compose/Dockerfile").read_text(), data.base_image)
    return {"portal": f"mosis:{release.id}", "nginx": f"mosis-nginx:{recipe}"}, recipe


def _signing(settings: Settings, declared: tuple[Secret, ...]) -> tuple[str, ...]:
    """The secret that is a file in the portal's container, which keeps the old one when another takes its name."""
    private = settings.mirror and settings.mirror.private
    return tuple(secret.content for secret in declared if private and secret.path == str(private.signing.credentials))


def _services(
    data: HostData,
    settings: Settings,
    code: tuple[str, str],
    variables: Mapping[str, object],
    signing: tuple[str, ...],
) -> dict[str, Service]:
    """The containers; `code` identifies the release and the recipe of the images."""
    etc, port = variables["etc"], data.litestream_port
    litestream = render("litestream/litestream.yml.j2", root=data.root, port=port, address="0.0.0.0")
    files: dict[str, tuple[File, ...]] = {
        "portal": (root_file(f"{etc}/mosis.toml", settings.to_toml()),),
        "nginx": (
            root_file(f"{etc}/nginx/site.conf", _site(data, settings)),
            root_file(f"{etc}/nginx/nginx.conf", render("compose/nginx.conf.j2", **variables)),
        ),
        "litestream": (root_file(f"{etc}/litestream.yml", litestream),),
        **({"cloudflared": ()} if data.cloudflared else {}),
    }
    # A release restarts the services that run it; nginx reloads a new site.
    unnamed = {"stamps": dict.fromkeys(files, ""), "images": {"portal": "", "nginx": ""}}
    declared, first = (render(f"compose/{name}.yml.j2", **{**variables, **unnamed}) for name in ("compose", "first"))
    made_of = {
        "portal": (*code, *(file.content for file in files["portal"]), *signing),
        "litestream": (*code, litestream),
        "nginx": code[1:],
        "cloudflared": (),
    }
    return {name: Service(own, _stamp(name, declared, first, *made_of[name])) for name, own in files.items()}


def _site(data: HostData, settings: Settings) -> str:
    # What reaches the published port comes from the engine's gateway or from cloudflared.
    inside = {"port": NGINX_PORT, "trusted_proxies": (*data.trusted_proxies, data.subnet)}
    place = {"cache": "/var/cache/nginx/mosis", "log": "/dev/stdout", "addresses": ("0.0.0.0",)}
    return render_nginx("nginx/mosis.conf.j2", data.model_copy(update=inside), settings, **place)


def _stamp(service: str, declared: str, first: str, *made_of: str) -> str:
    """The stamp of a service in the compose file `declared`.

    A service that is defined as in `first`, the file of commit c82cd58, keeps the stamp of that time, which was over
    the whole file: a deploy that recreated nginx because of another service or a comment would fail requests.
    """
    own = definition(declared, service)
    return digest(first if own == definition(first, service) else own, *made_of)


def definition(compose_file: str, service: str) -> str:
    """What compose creates the service's container from: the file without comments, and what other services have.

    Limits of memory and processes are left out: they are no reason to stop nginx, and apply from its next start.
    """
    text = re.sub(r"(?m)^ +(mem|pids)_limit: .*\n|(^|\s+)#.*$", "", compose_file)
    shared, _, rest = text.partition("services:\n")
    services, _, resources = rest.partition("\nvolumes:\n")
    own = [part for part in re.split(r"(?m)^  (?=\w+:)", services) if part.startswith(f"{service}:")]
    others = re.compile(r"(?m)^  (\w+): \{\}$")  # networks of a single service
    joined = others.sub(lambda found: found[0] if f"networks: [{found[1]}]" in "".join(own) else "", resources)
    return "\0".join((shared.strip(), *(part.strip() for part in own), joined.strip()))


def _scripts(
    data: HostData, jobs: tuple[Job, ...], scripts: dict[str, str], variables: Mapping[str, object]
) -> Iterator[File]:
    """The compose file, a script for each job, and what a host without cron.d needs to keep its schedules."""
    etc, home = variables["etc"], str(home_of(data))
    lines = block(jobs, scripts) if data.share else ""
    crontab = f"{home}/bin/crontab" if lines else None
    yield root_file(f"{etc}/compose.yml", render("compose/compose.yml.j2", **variables))
    yield root_file(f"{home}/bin/boot", render("compose/boot.j2", crontab=crontab, **variables), "755")
    for job in jobs:
        command = job.command if job.of_host else f"{variables['mosis']} {job.command}"
        yield root_file(scripts[job.name], render("compose/job.j2", job=job, command=command, **variables), "755")
    if crontab:
        yield root_file(crontab, render("compose/crontab.j2", ours=OURS, **variables), "755")
        yield root_file(f"{etc}/crontab", lines)
    if not data.share:
        yield root_file("/etc/cron.d/mosis", render("compose/cron.j2", jobs=jobs, scripts=scripts))


def _directories(data: HostData, home: Path) -> tuple[Directory, ...]:
    """The deploy's own. Below a share nothing is declared: what is there belongs to its ACL."""
    own = {"": "", "etc": "", "etc/nginx": "", "etc/prometheus": "", "bin": "", "releases": "", "run": ACCOUNT}
    declared = [Directory(str(home / name), "755", owner or "root") for name, owner in own.items()]
    declared += [Directory(f"{home}/{name}", "700", ACCOUNT) for name in ("secrets", "secrets/catalogue")]
    if not data.share:
        declared.append(Directory(str(data.root), "750", ACCOUNT))
    return tuple(declared)


def _offline_command(data: HostData, home: Path, image: str) -> str:
    """Any image of the store will do: the newest, or the one that runs."""
    known = f'{image} "mosis:$(basename "$(readlink {home}/current)")"'
    found = f"docker image inspect --format '{{{{.Id}}}}' {known} 2>/dev/null | head -n 1"
    root = f"--env MOSIS_CONFIG=/dev/null --env MOSIS_ROOT={data.root} --volume {data.root}:{data.root}"
    user = f'--user "$(id -u {ACCOUNT}):$(id -g {ACCOUNT})"'
    run = f"docker run --rm --pull never --network none {user} {root}"
    return f'{ENVIRONMENT}image=$({found}); [ -n "$image" ] && {run} "$image" mosis'
