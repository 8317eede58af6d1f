"""The certificate of a store: files that the host has, or one that certbot obtains by ACME and renews."""

from deploys.plan.data import HostData, PlanError, Tls
from deploys.plan.model import Directory, Service, root_file
from deploys.plan.paths import ACME_CHALLENGES, ACME_RENEWED, TLS
from deploys.plan.render import render

ACME_PORT = 80  # of HTTP-01 (RFC 8555 section 8.3)


def require_possible(data: HostData) -> None:
    """Raises PlanError where the runtime has no certificate, links avoid it, or no authority could check the name."""
    if data.tls is None:
        return
    if data.runtime != "systemd":
        raise PlanError(f"Host data: mosis_tls needs the runtime systemd; with {data.runtime}, put a proxy in front.")
    if str(data.settings.get("public_url", "")).lower().startswith("http:"):
        raise PlanError(
            "Host data: with mosis_tls, public_url must begin with https://, since plain http is only redirected."
        )
    if data.tls.acme is None:
        return
    if without := [name for name in data.server_names if name == "_" or "*" in name]:
        raise PlanError(f"Host data: mosis_tls.acme needs the host's names in mosis_server_names, not {without[0]}.")
    if data.port != ACME_PORT:
        raise PlanError(f"Host data: mosis_tls.acme needs mosis_port = {ACME_PORT}, where the authority asks.")


def directories_of(data: HostData) -> tuple[Directory, ...]:
    """Where the certificate lies, and where nginx finds the answers for the authority."""
    if data.tls is None or data.tls.acme is None:
        return ()
    return Directory(TLS, "700", "root:root"), Directory(ACME_CHALLENGES, "755", "root:root")


def services_of(data: HostData) -> dict[str, Service]:
    """The script that certbot runs when it has a new certificate."""
    if data.tls is None or data.tls.acme is None:
        return {}
    certificate, _ = data.tls.files
    script = render("tls/certificate.j2", certificate=certificate)
    return {"certificate": Service((root_file(ACME_RENEWED, script, "755"),))}


def wanted_of(data: HostData, tls: Tls, *, days: int | None, port: int | None) -> dict[str, object]:
    """What `deploys/remote/certificate.py` is asked; names that stand for several cannot be looked up."""
    certificate, key = tls.files
    names = [name for name in data.server_names if name != "_" and "*" not in name and not name.startswith(".")]
    return {"certificate": certificate, "key": key, "names": names, "days": days, "port": port}
