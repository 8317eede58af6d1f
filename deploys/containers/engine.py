"""Whether a host can run a store's containers: its DSM version, if any, and its Docker engine."""

from pyinfra.api import FactBase

from deploys.plan.model import Plan
from deploys.plan.paths import ENVIRONMENT
from deploys.synology.shared_folder import SharedFolder

DSM_MIN = (7, 2)
COMPOSE_MIN = (2, 9)
ARCHITECTURES = ("x86_64", "aarch64")


class Engine(FactBase[dict[str, str]]):
    """uid, machine, dsm (its version), paths of cron and docker, versions of engine and compose; empty if missing."""

    default = dict

    def command(self) -> str:
        return ENVIRONMENT + "; ".join(
            (
                "echo uid=$(id -u)",
                "echo machine=$(uname -m)",
                "echo dsm=$(sed -n 's/^productversion=\"\\(.*\\)\"$/\\1/p' /etc.defaults/VERSION 2>/dev/null)",
                "echo cron=$(command -v cron || command -v crond)",
                "echo docker=$(command -v docker)",
                "echo engine=$(docker info --format '{{.ServerVersion}}' 2>/dev/null)",
                "echo compose=$(docker compose version --short 2>/dev/null)",
            )
        )

    def process(self, output: list[str]) -> dict[str, str]:
        return dict(line.split("=", 1) for line in output)


def fault(plan: Plan, found: dict[str, str], share: SharedFolder | None) -> str | None:
    """One sentence if the host cannot run the plan, else None."""
    if found.get("uid") != "0":
        return "The runtime compose needs root: set _sudo = True in the inventory; bootstrap.py installs the sudo rule."
    wrong = _dsm_fault(plan, found, share) if found["dsm"] or plan.data.share else None
    return wrong or _engine_fault(found)


def _dsm_fault(plan: Plan, found: dict[str, str], share: SharedFolder | None) -> str | None:
    if not found["dsm"]:
        return "mosis_share is for a Synology NAS, and this host has no DSM; leave it out."
    if not plan.data.share:
        return "This is a Synology NAS: set mosis_share, because DSM may remove plain directories beside shares."
    if _version(found["dsm"]) < DSM_MIN:
        return f"DSM {found['dsm']} is too old; Mosis needs 7.2 or newer (Control Panel > Update & Restore)."
    if found["machine"] not in ARCHITECTURES:
        return f"This NAS is an {found['machine']}: Container Manager does not exist for it."
    if share and share.path != str(plan.data.root):
        return f"The shared folder {plan.data.share} is at {share.path}: set mosis_root = {share.path!r}."
    return None


def _engine_fault(found: dict[str, str]) -> str | None:
    if not found["dsm"] and not found["cron"]:
        return "cron, which keeps the schedules, is missing on this host; install it first (apt-get install cron)."
    where = "Package Center > Container Manager" if found["dsm"] else "package docker.io or docker-ce"
    if not found["docker"]:
        return f"Docker is not installed; install it first ({where})."
    if not found["engine"]:
        return f"Docker does not answer; start it first ({where})."
    if _version(found["compose"]) < COMPOSE_MIN:
        return f"docker compose is {found['compose'] or 'missing'}; Mosis needs 2.9 or newer ({where})."
    return None


def _version(text: str) -> tuple[int, ...]:
    """Major and minor; (0,) for no version."""
    return tuple(int(part) for part in text.lstrip("v").split("-")[0].split(".")[:2] if part.isdigit()) or (0,)
