"""The certificate of a Debian host by ACME: certbot obtains it once, and the timer of Debian's package renews it.

nginx has to run before an authority can check the name, and needs a certificate to run: the first one is self-signed.
"""

from collections.abc import Generator
from shlex import join, quote

from pyinfra import host
from pyinfra.api import operation
from pyinfra.api.exceptions import DeployError
from pyinfra.facts.files import File

from deploys.host import files
from deploys.host.deploy import deploy
from deploys.host.processes import Succeeds
from deploys.plan.data import HostData, Tls
from deploys.plan.model import Plan
from deploys.plan.paths import ACME_CHALLENGES, ACME_RENEWED, TLS
from deploys.plan.render import digest

NAME = "mosis"  # certbot's for the certificate
OBTAINED = f"{TLS}/obtained"
PLACEHOLDER_DAYS = 3650  # nobody trusts it; it only has to let nginx start


@operation()
def placeholder(certificate: str, key: str, of: str) -> Generator[str]:
    """There is a certificate, self-signed if there is no other, so that nginx starts."""
    if not host.get_fact(File, path=certificate):
        made = join(
            [
                *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
                *("-days", str(PLACEHOLDER_DAYS), "-subj", f"/CN={of}", "-keyout", key, "-out", certificate),
            ]
        )
        yield f"umask 077 && {made} 2>/dev/null"


@operation()
def obtained(tls: Tls, names: tuple[str, ...]) -> Generator[str]:
    """The authority of `tls` has certified `names`; asked again only when one of them changes, or the address."""
    seal = digest(tls.directory, tls.acme or "", *names)
    if host.get_fact(Succeeds, command=f"grep -qFx {seal} {OBTAINED}"):
        return
    asked = join(
        [
            *("certbot", "certonly", "--quiet", "--non-interactive", "--agree-tos", "--email", tls.acme or ""),
            *("--server", tls.directory, "--webroot", "--webroot-path", ACME_CHALLENGES, "--cert-name", NAME),
            *("--renew-with-new-domains", "--force-renewal", "--deploy-hook", ACME_RENEWED),
            *("--domains", ",".join(names)),
        ]
    )
    # certbot ends with 0 where the hook failed: only a certificate that has taken its place counts.
    placed = f"cmp /etc/letsencrypt/live/{NAME}/fullchain.pem {quote(tls.files[0])}"
    yield f"{asked} && {placed} && echo {seal} >{OBTAINED}"


def check(plan: Plan) -> None:
    """Raises DeployError, before anything is changed, where a file that the inventory names is not on the host."""
    tls = plan.data.tls
    if tls is None or tls.acme or plan.data.follows:
        return
    for path in tls.files:
        if not host.get_fact(Succeeds, command=f"test -s {quote(path)}"):
            raise DeployError(
                f"{host.name}: {path}, which mosis_tls names, is missing on this host; copy it there first."
            )


def _by_acme(data: HostData) -> Tls | None:
    return data.tls if data.tls and data.tls.acme and not data.follows else None


@deploy("Certificate")
def prepared(plan: Plan) -> None:
    """What nginx needs to start, and what takes a new certificate to it."""
    if tls := _by_acme(plan.data):
        files.written(plan.services["certificate"].files)
        certificate, key = tls.files
        placeholder(name="First certificate", certificate=certificate, key=key, of=plan.data.server_names[0])


@deploy("Certificate")
def by_acme(plan: Plan) -> None:
    """Needs nginx: the authority asks it for the answer to its challenge."""
    if tls := _by_acme(plan.data):
        obtained(name="Certificate of the authority", tls=tls, names=plan.data.server_names)
