"""The certificate of a Debian host by ACME: certbot obtains it once, and the timer of Debian's package renews it.

nginx has to run before an authority can check the name, and needs a certificate to run: the first one is self-signed.
"""

import inspect
import json
from collections.abc import Generator, Mapping
from shlex import join

from pyinfra import host
from pyinfra.api import FactBase, operation
from pyinfra.api.exceptions import DeployError

from deploys.host import files
from deploys.host.deploy import deploy
from deploys.host.processes import Succeeds
from deploys.plan.data import HostData, Tls
from deploys.plan.model import Plan
from deploys.plan.paths import ACME_CHALLENGES, ACME_RENEWED, TLS
from deploys.plan.render import digest
from deploys.plan.tls import wanted_of
from deploys.remote import certificate

NAME = "mosis"  # certbot's for the certificate
LINEAGE = f"/etc/letsencrypt/live/{NAME}"
KEPT = f"test -s {LINEAGE}/privkey.pem && test -s {LINEAGE}/fullchain.pem"
SHOWN = f"cat {LINEAGE}/privkey.pem {LINEAGE}/fullchain.pem"
OBTAINED = f"{TLS}/obtained"
PLACEHOLDER_DAYS = 1  # nobody trusts it; it only has to let nginx start, and an alert reports what stays


class Fault(FactBase[str]):
    """What `deploys/remote/certificate.py` finds wrong with a certificate of the host, empty if nothing is."""

    default = str

    def command(self, wanted: Mapping[str, object]) -> str:
        return f"python3 -c {join([inspect.getsource(certificate), json.dumps(wanted)])}"

    def process(self, output: list[str]) -> str:
        fault: str = json.loads(output[-1])["fault"]
        return fault


@operation()
def placeholder(wanted: Mapping[str, object]) -> Generator[str]:
    """There is a certificate, so that nginx starts: what certbot has, else a self-signed one."""
    if host.get_fact(Fault, wanted=wanted):
        both = str(wanted["certificate"])
        made = join(
            [
                *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
                *("-days", f"{PLACEHOLDER_DAYS}", "-subj", "/CN=mosis", "-keyout", both, "-out", both),
            ]
        )
        yield f"umask 077 && if {KEPT}; then {SHOWN} >{both}; else {made} 2>/dev/null; fi"


@operation()
def obtained(tls: Tls, names: tuple[str, ...]) -> Generator[str]:
    """nginx has the certificate of `names` by the authority of `tls`."""
    is_so, made_so = request(tls, names)
    if not host.get_fact(Succeeds, command=is_so):
        yield made_so


def request(tls: Tls, names: tuple[str, ...]) -> tuple[str, str]:
    """Two shell commands: one succeeds where nginx has the certificate, one obtains it.

    The authority is asked only if the names, the address or the authority changed since, or if certbot has lost what it
    obtained; what nginx alone has lost is put back.
    """
    seal = digest(tls.directory, tls.acme or "", *names)
    asked = join(
        [
            *("certbot", "certonly", "--quiet", "--non-interactive", "--agree-tos", "--email", tls.acme or ""),
            *("--server", tls.directory, "--webroot", "--webroot-path", ACME_CHALLENGES, "--cert-name", NAME),
            *("--renew-with-new-domains", "--force-renewal", "--deploy-hook", ACME_RENEWED),
            *("--domains", ",".join(names)),
        ]
    )
    sealed = f"grep -qsFx {seal} {OBTAINED}"
    # certbot ends with 0 where the hook failed: only a certificate that has taken its place counts.
    placed = f"{SHOWN} | cmp - {tls.files[0]}"
    put_back = f"RENEWED_LINEAGE={LINEAGE} {ACME_RENEWED} && {placed}"
    obtained = f"{asked} && {placed} && echo {seal} >{OBTAINED}"
    return f"{sealed} && {placed}", f"if {sealed} && {KEPT}; then {put_back}; else {obtained}; fi"


def check(plan: Plan) -> None:
    """Raises DeployError, before anything is changed, where clients would refuse what the inventory names."""
    data = plan.data
    if data.tls is None or data.tls.acme or data.follows:
        return
    if fault := host.get_fact(Fault, wanted=wanted_of(data, data.tls, days=0, port=None)):
        raise DeployError(
            f"{host.name}: {data.tls.files[0]}, the certificate of mosis_tls, {fault.rstrip('.')}. Nothing was changed."
        )


def _by_acme(data: HostData) -> Tls | None:
    return data.tls if data.tls and data.tls.acme and not data.follows else None


@deploy("Certificate")
def prepared(plan: Plan) -> None:
    """What nginx needs to start, and what takes a new certificate to it."""
    if tls := _by_acme(plan.data):
        files.written(plan.services["certificate"].files)
        pair = {**wanted_of(plan.data, tls, days=None, port=None), "names": []}
        placeholder(name="First certificate", wanted=pair)


@deploy("Certificate")
def by_acme(plan: Plan) -> None:
    """Needs nginx: the authority asks it for the answer to its challenge."""
    if tls := _by_acme(plan.data):
        obtained(name="Certificate of the authority", tls=tls, names=plan.data.server_names)
