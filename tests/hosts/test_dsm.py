"""Runtime `compose` on a booted look-alike of a Synology NAS: deployed, used, booted, updated, and right again.

The tests are steps in the life of one host, in this order.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.hosts.drift import Drift, does_what_the_dry_run_told, drift, edited, is_mended
from tests.hosts.dsm.deployed import BACKUP, HOME, HOMES, PORT, ROOT, Deployed
from tests.hosts.dsm.nas import OWNER, PASSWORD, USB, Nas
from tests.hosts.forward import forwarded
from tests.hosts.pyinfra_run import Result
from tests.hosts.secrecy import secrets_of, unreadable, untold
from tests.hosts.shell import Say, until
from tests.hosts.store import Store, Upload

pytestmark = pytest.mark.seconds(400)

FRONT = 8000  # where the reverse proxy in front of the store listens
MEGABYTES = {1: 1, 2: 17}  # version_code: size of the package
SERVICES = {"portal", "nginx", "litestream"}
BACKED_UP = 'mosis_backup_last_success_timestamp_seconds{kind="packages"}'
CRON_SECONDS = 150  # two turns of a schedule of every minute, and the work itself


DOCKER = "/usr/local/bin/docker"
DRIFTS = {
    "files, lines and modes": (
        Drift(
            edited(f"{HOME}/etc/compose.yml"),
            f"! grep '# x$' {HOME}/etc/compose.yml",
            (f"Compose | File {HOME}/etc/compose.yml",),
        ),
        Drift(
            edited(f"{HOME}/etc/nginx/site.conf"),
            f"! grep '# x$' {HOME}/etc/nginx/site.conf",
            (f"Compose | File {HOME}/etc/nginx/site.conf", "Compose | Containers run as declared"),
        ),
        Drift(
            f"rm -r {HOME}/good", f"test -s {HOME}/good{HOME}/etc/compose.yml", ("Compose | Keep the files that run",)
        ),
        Drift("rm /usr/local/bin/mosis", "test -x /usr/local/bin/mosis", ("Compose | Command mosis",)),
        Drift(
            "sed -i s/job-backup-packages/job-other/ /etc/crontab",
            "grep job-backup-packages /etc/crontab",
            ("Schedules | Lines in /etc/crontab",),
        ),
        Drift(f"chmod 777 {HOME}/etc", f'test "$(stat -c %a {HOME}/etc)" = 755', (f"Base | Directory {HOME}/etc",)),
        Drift(
            f"chmod 644 {HOME}/secrets/test",
            f'test "$(stat -c %a {HOME}/secrets/test)" = 600',
            (f"Secrets | Secret {HOME}/secrets/test",),
        ),
    ),
    "containers and images": (
        Drift(
            f"{DOCKER} image rm --force $({DOCKER} images --format '{{{{.Repository}}}}:{{{{.Tag}}}}' mosis)",
            f'test -n "$({DOCKER} images -q mosis)"',
            ("Compose | Images of the release",),
        ),
        Drift(
            f"ln -sfn releases/none {HOME}/current",
            f"readlink -e {HOME}/current && test ! -e {HOME}/previous",
            ("Compose | Make the release the current one",),
        ),
        Drift(
            f"{DOCKER} stop mosis-litestream-1",
            f"{DOCKER} inspect --format '{{{{.State.Status}}}}' mosis-litestream-1 | grep running",
            ("Compose | Containers run as declared",),
        ),
        Drift(
            f"sed -i s/UID=/UID=1/ {HOME}/etc/.env",
            f'grep -x "MOSIS_UID=$(id -u mosis)" {HOME}/etc/.env',
            ("Compose | uid and gid of the account",),
        ),
    ),
}


@pytest.fixture(scope="module")
def nas(boot_nas: Callable[[], Nas]) -> Iterator[Nas]:
    nas = boot_nas()
    with forwarded((nas.address, FRONT), ("127.0.0.1", PORT), nas.name):
        yield nas


@pytest.fixture(scope="module")
def deployed(nas: Nas, tmp_path_factory: pytest.TempPathFactory, say: Say) -> Deployed:
    return Deployed(nas, tmp_path_factory.mktemp("inventory"), say)


@pytest.fixture(scope="module")
def first(deployed: Deployed) -> Result:
    deployed.bootstrap()
    return does_what_the_dry_run_told(deployed.deploy)


@pytest.fixture(scope="module")
def store(nas: Nas, first: Result, tmp_path_factory: pytest.TempPathFactory) -> Store:
    admin = nas.ssh(f"sudo cat {ROOT}/secrets/admin-token").strip()
    store = Store(nas, ROOT, admin, url=f"http://{nas.address}:{FRONT}", inside=f"http://127.0.0.1:{PORT}")
    store.wait_ready()
    store.join(tmp_path_factory.mktemp("developer") / "key.pem")
    return store


@pytest.fixture(scope="module")
def published(store: Store, tmp_path_factory: pytest.TempPathFactory, say: Say) -> dict[int, Upload]:
    directory, uploads = tmp_path_factory.mktemp("packages"), {}
    for code, megabytes in MEGABYTES.items():
        uploads[code] = store.upload(directory, code, megabytes)
        store.publish(code)
        say(f"published {uploads[code].version_name} of {len(uploads[code].content) / 1e6:.1f} MB")
    store.icon()
    return uploads


def running(nas: Nas) -> set[str]:
    label = "label=com.docker.compose.project=mosis"
    listed = nas.docker(f"ps --filter {label} --format '{{{{.Label \"com.docker.compose.service\"}}}}|{{{{.Status}}}}'")
    return {line.split("|")[0] for line in listed.splitlines() if line.endswith("(healthy)")}


def test_without_a_home_bootstrap_tells_what_to_click(deployed: Deployed, nas: Nas) -> None:
    nas.ssh(f"sudo mv {HOMES} {HOMES}.off")
    refused = deployed.bootstrap(check=False)
    nas.ssh(f"sudo mv {HOMES}.off {HOMES}")
    assert refused.returncode and "User Home" in refused.output


def test_bootstrap_needs_the_password_once(deployed: Deployed, nas: Nas) -> None:
    done = deployed.bootstrap()
    assert done.changed and "Container Manager" in done.output
    assert deployed.bootstrap().changed == ()
    assert nas.ssh(f"sudo stat -c '%U %a' /etc/sudoers.d/mosis-{OWNER}") == "root 440\n"
    assert deployed.bootstrap(undo=True).changed == ("Bootstrap | sudo with a password",)
    assert nas.ssh("sudo ls /etc/sudoers.d").find(f"mosis-{OWNER}") == -1
    assert deployed.bootstrap().changed == ("Bootstrap | sudo without a password",)


def test_one_command_makes_the_store_that_its_dry_run_told(nas: Nas, first: Result) -> None:
    assert first.hosts == {"nas"}
    assert running(nas) == SERVICES
    assert nas.refused() == ""


def test_containers_are_hardened_users_of_the_nas(nas: Nas, first: Result) -> None:
    uid = nas.ssh("id -u mosis").strip()
    asked = "{{.Config.User}} {{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} {{.HostConfig.LogConfig.Type}}"
    for line in nas.docker(f"inspect --format '{asked}' $(sudo /usr/local/bin/docker ps -q)").splitlines():
        assert line.startswith(f"{uid}:") and line.endswith("true [ALL] json-file")


def test_a_package_goes_from_developer_to_device(store: Store, published: dict[int, Upload], say: Say) -> None:
    store.serves(published)
    say("uploaded, published and downloaded byte for byte")


def test_schedules_fire(deployed: Deployed, nas: Nas, store: Store, published: dict[int, Upload], say: Say) -> None:
    nas.attach(deployed.drive, USB)
    nas.ssh(f"sudo mkdir {BACKUP} && sudo touch {BACKUP}/.mosis-backup && sudo chown -R mosis {BACKUP}")
    fired = {
        "packages are on the drive": lambda: store.copied(BACKUP, published),
        "the copy is noted": lambda: store.metric(BACKED_UP) > 0,
        "the database has a snapshot with every version": lambda: store.snapshot_has(published),
    }
    for effect, seen in fired.items():
        until(effect, seen, seconds=CRON_SECONDS, every=2)
        say(effect)


def test_without_its_drive_a_backup_fails_and_writes_nothing(deployed: Deployed, nas: Nas, store: Store) -> None:
    nas.detach(USB)
    until("the end of cron's own backup", lambda: "not mounted" in deployed.backup().stderr)
    before = store.metric(BACKED_UP)
    assert deployed.backup().returncode == 1
    assert nas.ssh(f"sudo find {USB} -mindepth 1") == ""
    assert store.metric(BACKED_UP) == before


def test_all_is_as_declared(deployed: Deployed, nas: Nas, store: Store) -> None:
    nas.attach(deployed.drive, USB)
    until("a copy", lambda: deployed.backup().returncode == 0)
    assert deployed.verify() == ()


@pytest.mark.parametrize("drifts", DRIFTS.values(), ids=DRIFTS)
def test_drift_is_shown_by_a_dry_run_and_mended_by_a_run(
    deployed: Deployed, nas: Nas, store: Store, drifts: tuple[Drift, ...]
) -> None:
    drift(nas, drifts)
    is_mended(nas, deployed.deploy, drifts)
    assert running(nas) == SERVICES


def test_after_a_boot_all_is_back_without_a_deploy(
    deployed: Deployed, nas: Nas, store: Store, published: dict[int, Upload], say: Say
) -> None:
    before = deployed.schedules()
    nas.reboot()
    until("every container", lambda: running(nas) == SERVICES, seconds=180, every=1)
    store.wait_ready()
    store.serves(published)
    until("the schedules", lambda: deployed.schedules() == before)
    say("after the boot: containers, schedules and packages are there")
    assert deployed.deploy().changed == ()


def test_after_an_update_verify_tells_what_is_gone_and_a_deploy_mends_it(
    deployed: Deployed, nas: Nas, store: Store, published: dict[int, Upload], say: Say
) -> None:
    before = deployed.schedules()
    nas.update()
    nas.wait_engine()
    assert running(nas) == set()
    gone = deployed.verify()
    say(f"verify names: {'; '.join(gone)}")
    assert [line for line in gone if "/etc/crontab" in line]
    for service in SERVICES:
        assert f"container: {service} stopped" in gone
    assert deployed.deploy().changed
    store.wait_ready()
    store.serves(published)
    assert deployed.schedules() == before
    assert deployed.verify() == ()
    assert deployed.deploy().changed == ()


def test_dsm_was_left_alone(nas: Nas) -> None:
    assert nas.refused() == ""
    own = Path(__file__).parent / "dsm/root/etc/nginx/nginx.conf"
    assert nas.ssh("cat /etc/nginx/nginx.conf") == own.read_text()
    assert nas.fetch("http://127.0.0.1:5000/") == "DSM\n"


def test_no_secret_is_told_or_readable(deployed: Deployed, nas: Nas, store: Store, say: Say) -> None:
    path = f"{HOME}/secrets/test"
    nas.ssh(f"sudo rm {path}")
    for dry in (True, False):
        assert deployed.deploy(dry=dry, options=("--debug", "--diff")).changed == (f"Secrets | Secret {path}",)
    secrets = {store.admin, store.developer, deployed.secret, PASSWORD}
    secrets |= secrets_of(nas, f"{HOME}/secrets", f"{ROOT}/secrets")
    journal = nas.journal("--output=cat")
    assert "COMMAND=" in journal  # sudo's word for what each operation ran
    containers = nas.docker("inspect $(sudo /usr/local/bin/docker ps -aq)")
    processes = nas.ssh("sudo cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
    untold(secrets, [*deployed.printed, journal, containers, processes])
    unreadable(nas, secrets - {PASSWORD}, "/etc", "/volume1", "/var", "/usr/local", "/home", "/run")
    say(f"{len(secrets)} secrets looked for in {len(deployed.printed)} texts, the journal, containers and files")
