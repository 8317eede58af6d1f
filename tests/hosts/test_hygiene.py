"""What a deploy owes its operator on a Debian host: it does what the dry run told, mends what drifted, finishes what a
failed run began, keeps one release to go back to, and tells no secret.

The tests are steps in the life of one host, in this order.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from portal.mirror import lifecycle
from portal.mirror.client import Bucket
from portal.mirror.lifecycle import LIFECYCLE, PUBLIC_DAYS
from portal.mirror.providers import provider_of
from portal.settings import S3
from tests.hosts.checkout import Checkout
from tests.hosts.debian import ROOT, Debian
from tests.hosts.drift import Drift, does_what_the_dry_run_told, drift, edited, is_mended
from tests.hosts.forward import forwarded
from tests.hosts.machine import Machine
from tests.hosts.secrecy import secrets_of, unreadable, untold
from tests.hosts.shell import Say
from tests.mirror.seaweed import ACCESS_KEY, SECRET_KEY, seaweed

pytestmark = pytest.mark.seconds(850)

S3_PORT = 8333  # where the bucket is reached from the host
RELEASES = "/opt/mosis/releases"


SITE = "/etc/nginx/sites-available/mosis.conf"
DRIFTS = {
    "files and links": (
        Drift("rm /etc/cron.d/mosis", "test -s /etc/cron.d/mosis", ("Schedules | File /etc/cron.d/mosis",)),
        Drift(
            edited(SITE),
            f"! grep '# x$' {SITE}",
            (f"nginx | File {SITE}", "nginx | nginx serves the site as declared"),
        ),
        Drift("rm /usr/local/bin/mosis", "/usr/local/bin/mosis status --help", ("Portal | File /usr/local/bin/mosis",)),
        Drift(
            f"chmod 755 {ROOT}/secrets",
            f'test "$(stat -c %a {ROOT}/secrets)" = 700',
            (f"Base | Directory {ROOT}/secrets",),
        ),
        Drift(
            "systemctl stop mosis-litestream",
            "systemctl is-active mosis-litestream",
            ("Litestream | Litestream runs as declared",),
        ),
        Drift(
            "systemctl disable mosis-portal",
            "systemctl is-enabled mosis-portal",
            ("Portal | Portal runs as declared",),
        ),
    ),
    "services and accounts": (
        Drift(
            "rm /etc/mosis/mosis.toml",
            "test -s /etc/mosis/mosis.toml",
            ("Portal | File /etc/mosis/mosis.toml", "Portal | Portal runs as declared"),
            "/etc/mosis/mosis.toml is missing",
        ),
        Drift(
            "rm -r /etc/mosis/prometheus",
            "test -s /etc/mosis/prometheus/rules.yml",
            (
                "Base | Directory /etc/mosis/prometheus",
                "Prometheus | File /etc/mosis/prometheus/prometheus.yml",
                "Prometheus | File /etc/mosis/prometheus/rules.yml",
                "Prometheus | Prometheus runs as declared",
            ),
            "/rules.yml is missing",
        ),
        Drift(
            "echo >>/etc/systemd/system/mosis-litestream.service",
            "systemctl is-active mosis-litestream",
            (
                "Litestream | File /etc/systemd/system/mosis-litestream.service",
                "Litestream | Litestream runs as declared",
            ),
            "mosis-litestream.service not as declared",
        ),
        Drift(
            "systemctl stop nginx",
            "systemctl is-active nginx",
            ("nginx | nginx serves the site as declared",),
            "nginx.service stopped",
        ),
        Drift(
            "gpasswd -d www-data mosis",
            "id -nG www-data | grep -w mosis",
            ("Base | nginx in group mosis",),
        ),
    ),
    "a release that is not there": (
        Drift(
            "ln -sfn releases/none /opt/mosis/current",
            "readlink -e /opt/mosis/current && test ! -e /opt/mosis/previous",
            (
                "Release | Make the release the current one",
                "Litestream | Litestream runs as declared",
                "Portal | Portal runs as declared",
            ),
            "release",
        ),
        Drift(
            "rm -r /opt/mosis/good /etc/nginx/sites-enabled/mosis.conf",
            "test -s /opt/mosis/good/etc/mosis/mosis.toml && test -e /etc/nginx/sites-enabled/mosis.conf",
            (
                "Portal | Keep the portal's files",
                "nginx | Site mosis enabled",
                "nginx | nginx serves the site as declared",
            ),
        ),
        Drift(
            f"chmod 644 {ROOT}/secrets/test",
            f'test "$(stat -c %a {ROOT}/secrets/test)" = 600',
            (f"Secrets | Secret {ROOT}/secrets/test",),
        ),
    ),
}


@pytest.fixture(scope="module")
def debian(boot: Callable[[], Machine], tmp_path_factory: pytest.TempPathFactory, say: Say) -> Debian:
    return Debian(boot(), tmp_path_factory.mktemp("inventory"), say)


@pytest.fixture(scope="module")
def host(debian: Debian) -> Machine:
    return debian.machine


@pytest.fixture(scope="module")
def bucket(host: Machine) -> Iterator[S3]:
    """An S3 engine of this machine, in reach of the host."""
    with seaweed() as engine, forwarded((gateway(host), S3_PORT), ("127.0.0.1", engine.endpoint.port)):
        yield engine


def gateway(host: Machine) -> str:
    """This machine's address in the host's network."""
    return host.ssh("echo $SSH_CONNECTION").split()[0]


def portal(host: Machine) -> str:
    """Main process of the portal."""
    return host.ssh("systemctl show --property=MainPID --value mosis-portal")


def test_a_fresh_host_gets_what_the_dry_run_told(debian: Debian) -> None:
    does_what_the_dry_run_told(debian.deploy)
    debian.all_units_run()


@pytest.mark.parametrize("drifts", DRIFTS.values(), ids=DRIFTS)
def test_drift_is_shown_by_a_dry_run_and_mended_by_a_run(
    debian: Debian, host: Machine, drifts: tuple[Drift, ...]
) -> None:
    drift(host, drifts)
    status = host.try_ssh("sudo mosis status")
    assert status.returncode
    for each in drifts:
        assert each.named in status.stdout
    is_mended(host, debian.deploy, drifts)
    debian.all_units_run()


def test_a_failed_upgrade_is_finished_by_the_next_run(
    debian: Debian, host: Machine, checkout: Checkout, tmp_path: Path
) -> None:
    before, released = portal(host), host.ssh("readlink /opt/mosis/current")
    checkout.change("second")
    failed = debian.deploy(checkout=checkout.path, check=False, mosis_wheelhouse=str(tmp_path))
    assert failed.returncode and "No matching distribution found" in failed.output
    assert (portal(host), host.ssh("readlink /opt/mosis/current")) == (before, released)
    does_what_the_dry_run_told(debian.deploy, checkout=checkout.path)
    assert portal(host) != before
    assert host.ssh("readlink /opt/mosis/previous") == released


def test_another_upgrade_keeps_one_release_to_go_back_to(debian: Debian, host: Machine, checkout: Checkout) -> None:
    second = host.ssh("readlink /opt/mosis/current")
    checkout.change("third")
    does_what_the_dry_run_told(debian.deploy, checkout=checkout.path)
    assert host.ssh("readlink /opt/mosis/previous") == second
    kept = {Path(host.ssh(f"readlink /opt/mosis/{link}").strip()).name for link in ("current", "previous")}
    assert set(host.ssh(f"ls {RELEASES}").split()) == kept


def test_a_bucket_gets_its_rules_and_keeps_them(
    debian: Debian, host: Machine, checkout: Checkout, bucket: S3, tmp_path: Path, say: Say
) -> None:
    credentials = tmp_path / "credentials"
    credentials.write_text(f"{ACCESS_KEY}\n{SECRET_KEY}\n")
    mirror = {"endpoint": f"http://{gateway(host)}:{S3_PORT}", "bucket": bucket.bucket, "region": bucket.region}
    data = {
        "mosis_settings": {"mirror": mirror},
        "mosis_secrets": {"mirror-credentials": f"file:{credentials}"},
    }
    opened, own = Bucket(bucket), lifecycle.wanted(provider_of(bucket), PUBLIC_DAYS)
    theirs = {"ID": "logs", "Status": "Enabled", "Filter": {"Prefix": "logs/"}, "Expiration": {"Days": 90}}
    opened.call("put_bucket_lifecycle_configuration", LifecycleConfiguration={"Rules": [theirs]})
    does_what_the_dry_run_told(debian.deploy, checkout=checkout.path, **data)
    rules = LIFECYCLE.current(opened)
    assert LIFECYCLE.canonical(rules) == LIFECYCLE.canonical([theirs, *own])
    for rule in rules:
        rule["Expiration"]["Days"] += 1
    opened.call("put_bucket_lifecycle_configuration", LifecycleConfiguration={"Rules": rules})
    drifted = debian.deploy(dry=True, checkout=checkout.path, **data)
    assert "change mosis-temp" in drifted.output and "keep logs (not ours)" in drifted.output
    does_what_the_dry_run_told(debian.deploy, checkout=checkout.path, **data)
    theirs["Expiration"] = {"Days": 91}
    assert LIFECYCLE.canonical(LIFECYCLE.current(opened)) == LIFECYCLE.canonical([theirs, *own])
    assert debian.deploy(checkout=checkout.path, **data).changed == ()
    say(f"a bucket of {len(own)} rules of ours: set, drifted, mended, beside one of somebody else")


def test_no_secret_is_told_or_readable(debian: Debian, host: Machine, say: Say) -> None:
    path = f"{ROOT}/secrets/test"
    host.ssh(f"sudo rm {path}")
    for dry in (True, False):
        assert f"Secrets | Secret {path}" in debian.deploy(dry=dry, options=("--debug", "--diff")).changed
    secrets = {debian.secret, SECRET_KEY} | secrets_of(host, f"{ROOT}/secrets")
    journal = host.ssh("sudo journalctl --no-pager --output=cat")
    assert "COMMAND=" in journal  # sudo's word for what each operation ran
    untold(secrets, [*debian.printed, journal, host.ssh("sudo cat /proc/[0-9]*/cmdline | tr '\\0' ' '")])
    unreadable(host, secrets, "/etc", "/opt", "/srv", "/var", "/home", "/run")
    say(f"{len(secrets)} secrets looked for in {len(debian.printed)} texts, the journal and files")
