"""Runtime `compose`: the image of a release, and containers that run with exactly its files and stamps."""

from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from shlex import join, quote

from pyinfra import host
from pyinfra.api import FactBase, operation
from pyinfra.operations import files as pyinfra_files

from deploys.containers import images
from deploys.host import files
from deploys.host.deploy import deploy
from deploys.host.releases import switched
from deploys.plan.compose import READY_SECONDS
from deploys.plan.model import Plan, Service, Stack
from deploys.plan.paths import ENVIRONMENT


@dataclass(frozen=True)
class Container:
    """A service's container: stamp, whether it runs, health in Docker's words, start in seconds since 1970."""

    stamp: str
    running: bool
    health: str
    started: float

    @property
    def healthy(self) -> bool:
        return self.health == "healthy"


@dataclass(frozen=True)
class State:
    """Service to container, file to its modification time, seconds since 1970. `bridge`: a second portal exists."""

    containers: Mapping[str, Container]
    files: Mapping[str, int]
    bridge: bool = False


class Containers(FactBase[State]):
    """The containers of the compose project, and the modification times of the files that they read."""

    def command(self, files: list[str]) -> str:
        fields = (
            '{{index .Config.Labels "com.docker.compose.service"}}',
            '{{index .Config.Labels "mosis.stamp"}}',
            "{{.State.Status}}",
            "{{with .State.Health}}{{.Status}}{{else}}healthy{{end}}",
            "{{.State.StartedAt}}",
        )
        mine = "--filter label=com.docker.compose.project=mosis --filter label=com.docker.compose.oneoff=False"
        return (
            f"{ENVIRONMENT}found=$(docker ps --all --quiet {mine} 2>/dev/null); "
            f'[ -z "$found" ] || docker inspect --format {quote("container|" + "|".join(fields))} $found; '
            "docker ps --all --filter name=mosis-bridge --format bridge; "
            f"stat -c 'file|%Y|%n' {join(files)} 2>/dev/null; true"
        )

    @staticmethod
    def default() -> State:
        return State({}, {})

    def process(self, output: list[str]) -> State:
        containers, found = {}, {}
        for kind, *fields in (line.split("|") for line in output):
            if kind == "file":
                found[fields[1]] = int(fields[0])
            elif kind == "container":
                service, stamp, status, health, started = fields
                since = datetime.fromisoformat(f"{started[:19]}+00:00").timestamp()
                containers[service] = Container(stamp, status == "running", health, since)
        return State(containers, found, "bridge" in output)


def loaded(stack: Stack) -> str:
    """A file that is touched whenever nginx reloads."""
    return f"{stack.home}/run/nginx.loaded"


def observed(plan: Plan, stack: Stack) -> State:
    """The current state; a file whose content is not as declared counts as missing, because a run replaces it."""
    environment = f"{stack.etc}/.env"
    paths = [path for name in running_services(plan) for path in plan.services[name].paths]
    state = host.get_fact(Containers, files=[*paths, environment, loaded(stack)])
    other = files.drifted(file for service in running_services(plan).values() for file in service.files)
    return replace(state, files={path: age for path, age in state.files.items() if path not in other})


def running_services(plan: Plan) -> dict[str, Service]:
    """The services that are containers."""
    return {name: service for name, service in plan.services.items() if service.stamp}


def differing(plan: Plan, state: State) -> list[str]:
    """Services that do not run with their stamp, are unhealthy, or read a file that is missing or younger than them."""
    return [
        name
        for name, service in running_services(plan).items()
        if (found := state.containers.get(name)) is None
        or not found.running
        or found.stamp != service.stamp
        or found.health == "unhealthy"
        or (name != "nginx" and _stale(service, state, found.started))
    ]


def _stale(service: Service, state: State, since: float) -> bool:
    return any(state.files.get(path, since + 1) > since for path in service.paths)


def nginx_stale(plan: Plan, stack: Stack, state: State) -> bool:
    """Whether nginx, which reloads instead of restarting, has not loaded its newest files."""
    found = state.containers.get("nginx")
    since = max(found.started if found else 0, state.files.get(loaded(stack), 0))
    return _stale(plan.services["nginx"], state, since)


@operation()
def stack_running(plan: Plan, stack: Stack) -> Generator[str]:
    """Every service runs as declared and is healthy; only those that differ are touched."""
    state = observed(plan, stack)
    compose = f"{ENVIRONMENT}cd {stack.etc} && docker compose"
    services = running_services(plan)
    names = differing(plan, state)
    orphans = state.containers.keys() - services.keys()
    # A running portal is replaced without a failed request; everything else stops and starts.
    portal = state.containers.get("portal")
    exchanged = "portal" in names and portal is not None and portal.running
    plain = [name for name in names if not (exchanged and name == "portal")]
    if exchanged:
        yield f"{stack.home}/bin/exchange"
    if plain:
        yield f"{compose} up --detach --no-deps --force-recreate {join(plain)}"
    if "nginx" not in names and nginx_stale(plan, stack, state):
        yield f"{compose} exec -T nginx nginx -t -q -e stderr -c {stack.etc}/nginx/nginx.conf"
        yield f"{compose} kill --signal HUP nginx && touch {loaded(stack)}"
    if orphans:
        yield f"{compose} up --detach --remove-orphans"
    for name, found in state.containers.items():
        if name in services and name not in names and not found.healthy:
            yield awaited(stack, name)
    for name in plain:
        yield awaited(stack, name)
    if state.bridge and not exchanged:
        yield f"{stack.home}/bin/exchange --end"


def awaited(stack: Stack, service: str) -> str:
    """A command that waits until the service's container is healthy, or prints the end of its log and fails."""
    compose = f"docker compose --project-directory {stack.etc}"
    health = "{{with .State.Health}}{{.Status}}{{else}}healthy{{end}}"
    return (
        f"{ENVIRONMENT}waited=0; until "
        f'[ "$(docker inspect --format {quote(health)} "$({compose} ps --quiet {service})")" = healthy ]; do '
        f"if [ $waited -ge {READY_SECONDS} ]; then {compose} logs --no-color --tail 20 {service} >&2; "
        f'echo "{service} was not ready within {READY_SECONDS} s." >&2; exit 1; fi; '
        "sleep 1; waited=$((waited + 1)); done"
    )


class Environment(FactBase[tuple[str, ...]]):
    """The content that `etc/.env` should have, empty while the account is missing, and the content it has."""

    default = tuple

    def command(self, user: str, path: str) -> str:
        return (
            f'if id {user} >/dev/null 2>&1; then echo "MOSIS_UID=$(id -u {user}) MOSIS_GID=$(id -g {user})"; '
            f"else echo; fi; cat {quote(path)} 2>/dev/null | tr '\\n' ' '"
        )

    def process(self, output: list[str]) -> tuple[str, ...]:
        return tuple(line.strip() for line in output)


@operation()
def environment_written(user: str, path: str) -> Generator[str]:
    """The file passes the uid and gid of the store's account to compose; each host assigns its own."""
    found = host.get_fact(Environment, user=user, path=path)
    if len(found) == 2 and found[0] and found[0] == found[1]:
        return
    numbers = f'"$(id -u {user})" "$(id -g {user})"'
    yield f"printf 'MOSIS_UID=%s\\nMOSIS_GID=%s\\n' {numbers} >{quote(path)}.new && mv {quote(path)}.new {quote(path)}"


@deploy("Compose")
def configured(plan: Plan, stack: Stack) -> None:
    """The image, and every file that containers read."""
    images.images_built(name="Images of the release", plan=plan, stack=stack)
    environment_written(name="uid and gid of the account", user=stack.user, path=f"{stack.etc}/.env")
    declared = [file for service in plan.services.values() for file in service.files]
    files.written((*declared, *stack.files, plan.command))
    pyinfra_files.link(name="Command mosis", path="/usr/local/bin/mosis", target=plan.mosis)


@deploy("Compose")
def running(plan: Plan, stack: Stack) -> None:
    stack_running(name="Containers run as declared", plan=plan, stack=stack)
    switched(name="Make the release the current one", release=plan.release, home=stack.home)
    mine = (
        *(file for service in running_services(plan).values() for file in service.files),
        *stack.files,
        plan.command,
    )
    links = (f"{stack.home}/current", f"{stack.etc}/.env")
    files.kept(name="Keep the files that run", wanted=mine, links=links, good=f"{stack.home}/good")
    images.images_pruned(name="Remove images older than the previous one", release=plan.release, home=stack.home)
