"""Debian packages, the store's account, directories."""

from collections.abc import Generator
from shlex import join

from pyinfra import host
from pyinfra.api import operation
from pyinfra.facts.deb import DebPackages
from pyinfra.operations import server

from deploys.host import files
from deploys.host.deploy import deploy
from deploys.plan.model import Plan

PACKAGES = ("ca-certificates", "cron", "logrotate", "nginx-light", "procps", "python3-venv", "rsync")
NO_LOGIN = "/usr/sbin/nologin"


@operation()
def packages_present(packages: tuple[str, ...]) -> Generator[str]:
    """The packages are installed; package lists are only updated if the cached ones do not suffice."""
    if missing := [package for package in packages if package not in host.get_fact(DebPackages)]:
        install = f"DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends {join(missing)}"
        yield f"{install} || {{ apt-get update -q && {install}; }}"


@deploy("Base")
def system(plan: Plan, shell: str) -> None:
    """Packages, and the account with the login shell `shell`; nginx is a member of its group."""
    extra: tuple[str, ...] = ("prometheus",) if plan.data.prometheus == "install" else ()
    extra += ("openssh-client",) if plan.data.follows else ()
    extra += ("certbot",) if plan.data.tls and plan.data.tls.acme else ()
    packages_present(name="Debian packages", packages=(*PACKAGES, *extra))
    server.group(name="Group mosis", group="mosis", system=True)
    server.user(
        name="User mosis",
        user="mosis",
        group="mosis",
        home=str(plan.settings.root),
        shell=shell,
        system=True,
        ensure_home=False,
    )
    server.user(name="nginx in group mosis", user="www-data", groups=["mosis"], append=True, ensure_home=False)


@deploy("Base")
def account(user: str) -> None:
    """The account that containers run as, on hosts other than a NAS, where DSM creates it."""
    server.group(name=f"Group {user}", group=user, system=True)
    server.user(
        name=f"User {user}", user=user, group=user, shell=NO_LOGIN, system=True, ensure_home=False
    )  # fmt: skip


@deploy("Base")
def directories(plan: Plan) -> None:
    files.directories(plan.directories)
