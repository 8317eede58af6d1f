"""Runtime `compose` as data: what the containers may do, what a share is never touched by, what restarts what."""

import dataclasses
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from deploys.containers import compose, engine, images
from deploys.containers.compose import Container, State
from deploys.host.files import Digests
from deploys.plan import plan
from deploys.plan.compose import definition
from deploys.plan.data import PlanError
from deploys.plan.model import Plan
from deploys.plan.release import Release
from deploys.plan.render import CHECKOUT
from deploys.synology.shared_folder import SharedFolder
from portal.images.limits import memory_bytes
from portal.settings import MIB

NAS = {"mosis_runtime": "compose", "mosis_share": "mosis", "mosis_root": "/volume1/mosis", "mosis_port": 8080}
DOCKER = {"mosis_runtime": "compose"}
TUNNEL = {"mosis_cloudflared": "cloudflare/cloudflared:1"}
COMPOSE_FILE = "/volume1/@mosis/etc/compose.yml"
DRIVE = {"backup": {"mount": "/volumeUSB1/usbshare", "directory": "/volumeUSB1/usbshare/mosis"}}
MIRROR = {"endpoint": "https://s3.example.org", "bucket": "mosis"}
SECRETS = {"mirror-credentials": "env:MOSIS_TEST_SECRET"}


def token(release: Release) -> dict[str, str]:
    return {"cloudflare-token": f"file:{release.lock}"}


def everything(wanted: Plan) -> dict[str, str]:
    files = [*(f for s in wanted.services.values() for f in s.files), *wanted.stack.files, wanted.command]
    return {file.path: file.content for file in files}


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (NAS | {"mosis_root": "/srv/mosis"}, "root of the share mosis is /volumeN/mosis"),
        (NAS | {"mosis_share": "my share"}, "mosis_share: string should match pattern"),
        (NAS | {"mosis_prometheus": "install"}, "is for the runtime systemd"),
        (NAS | {"mosis_cloudflared": "cloudflare/cloudflared:1"}, "must say where cloudflare-token comes from"),
        (NAS | {"mosis_settings": {"port": 9000}}, "mosis_settings may not set port"),
        (DOCKER | {"mosis_schedules": {"share-snapshot": "0 4 * * *"}}, "not share-snapshot"),
    ],
)
def test_a_bad_inventory_is_one_sentence(data: dict[str, object], sentence: str, release: Release) -> None:
    with pytest.raises(PlanError, match=re.escape(sentence)):
        plan(data, release)


def test_images_may_be_named_by_their_digest(release: Release) -> None:
    digest = f"sha256:{'0' * 64}"
    data = {"mosis_base_image": f"debian@{digest}", "mosis_cloudflared": f"cloudflare/cloudflared@{digest}"}
    wanted = plan(NAS | data | {"mosis_secrets": token(release)}, release)
    assert f"    image: cloudflare/cloudflared@{digest}\n" in everything(wanted)[COMPOSE_FILE]
    assert wanted.stack.recipe != plan(NAS, release).stack.recipe, "another base is another image"


def test_nothing_is_laid_down_below_a_share(release: Release) -> None:
    """chmod and chown delete the ACL of what they are used on, so the plan declares nothing there."""
    wanted = plan(NAS | {"mosis_settings": DRIVE, "mosis_secrets": {"x": f"file:{release.lock}"}}, release)
    declared = [*everything(wanted), *(entry.path for entry in (*wanted.directories, *wanted.secrets))]
    assert len(declared) > 15
    assert not [path for path in declared if path.startswith("/volume1/mosis")]


@pytest.mark.parametrize("word", ["chmod", "chown", "chgrp", "setfacl"])
def test_no_script_of_a_nas_changes_modes(word: str, release: Release) -> None:
    wanted = plan(NAS | {"mosis_settings": DRIVE}, release)
    assert not [path for path, content in everything(wanted).items() if re.search(rf"\b{word}\b", content)]


def test_containers_may_do_little(release: Release) -> None:
    compose_file = everything(plan(NAS, release))["/volume1/@mosis/etc/compose.yml"]
    services = re.split(r"(?m)^  (?=\w+:$)", compose_file.split("services:\n")[1].split("\nvolumes:")[0])[1:]
    assert [service.split(":")[0] for service in services] == ["portal", "nginx", "litestream"]
    for service in services:
        assert "<<: *hardened" in service and "healthcheck:" in service
    for rule in ("read_only: true", "cap_drop: [ALL]", "no-new-privileges:true", 'user: "${MOSIS_UID:?}', "json-file"):
        assert rule in compose_file.split("services:")[0]
    assert not re.search(r"^ +cpus:", compose_file, re.MULTILINE)
    assert set(re.findall(r'"([\d.]+):\d+:\d+"', compose_file)) == {"127.0.0.1"}
    sources = re.findall(r'source: "([^"]+)"', compose_file)
    assert sources and all(Path(source).is_absolute() for source in sources)
    assert compose_file.count("type: bind") == compose_file.count("create_host_path: false")


def test_memory_and_processes_of_a_container_are_bounded(release: Release) -> None:
    """The portal's by what its images may take; every service that has no limit of its own has the shared ones."""
    settings = {"workers": 3, "threads": 100, "image_max_pixels": 1_000_000}
    compose_file = everything(plan(NAS | {"mosis_settings": settings}, release))[COMPOSE_FILE]
    shared, services = compose_file.split("services:\n", 1)
    assert {"mem_limit: 1g", "pids_limit: 256"} <= {line.strip() for line in shared.splitlines()}
    portal, others = services.split("\n  nginx:\n")
    assert f"mem_limit: {256 * MIB + 3 * (256 * MIB + memory_bytes(1_000_000))}\n" in portal
    assert "pids_limit: 812\n" in portal
    assert "_limit:" not in others


def test_the_tunnel_does_not_reach_litestream(release: Release) -> None:
    """Its port for metrics serves Go's profiles too."""
    compose_file = everything(plan(NAS | TUNNEL | {"mosis_secrets": token(release)}, release))[COMPOSE_FILE]
    assert "    networks: [metrics]" in definition(compose_file, "litestream")
    assert "networks:" not in definition(compose_file, "cloudflared").partition("cache:")[0]
    assert "  metrics: {}" in compose_file.split("\nnetworks:\n")[1]


def test_compose_takes_the_file(release: Release, tmp_path: Path) -> None:
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], capture_output=True).returncode:
        pytest.skip("docker compose is not installed")
    compose_file = everything(plan(NAS, release))["/volume1/@mosis/etc/compose.yml"]
    (tmp_path / "compose.yml").write_text(compose_file)
    (tmp_path / ".env").write_text("MOSIS_UID=1027\nMOSIS_GID=100\n")
    done = subprocess.run([docker, "compose", "config", "--quiet"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("data", [NAS | {"mosis_schedules": {"cleanup": "7 1 1 * *"}, "mosis_settings": DRIVE}, DOCKER])
def test_scripts_are_of_any_shell(data: dict[str, object], release: Release, tmp_path: Path) -> None:
    if shutil.which("dash") is None:
        pytest.skip("dash is not installed")
    scripts = [text for text in everything(plan(data, release)).values() if text.startswith("#!/bin/sh\n")]
    assert len(scripts) >= 5
    for text in scripts:
        (tmp_path / "script").write_text(text)
        subprocess.run(["dash", "-n", tmp_path / "script"], check=True)


def ran(script: str, mounts: str, directory: Path, *words: str) -> str:
    """What the mosis command tells docker, with this table of mounts."""
    (directory / "docker").write_text('#!/bin/sh\necho "$@"\n')
    (directory / "docker").chmod(0o755)
    (directory / ".env").write_text("MOSIS_UID=1027\nMOSIS_GID=100\n")
    (directory / "mounts").write_text(mounts)
    own = script.replace("/proc/mounts", str(directory / "mounts")).replace(
        "/volume1/@mosis/etc/.env", str(directory / ".env")
    )
    own = re.sub(r"export PATH=(.*)", rf"export PATH={directory}:\1", own)
    return subprocess.run(["sh", "-c", own, "mosis", *words], capture_output=True, text=True, check=True).stdout


def test_the_drive_is_only_given_to_a_container_when_it_is_there(release: Release, tmp_path: Path) -> None:
    """The guard of the mosis command, run against a table of mounts and a docker that tells its arguments."""
    script = everything(plan(NAS | {"mosis_settings": DRIVE}, release))["/volume1/@mosis/bin/mosis"]
    for table, given in (
        ("/dev/sdq1 /volumeUSB1/usbshare ext4 rw 0 0\n", True),
        ("/dev/md0 /volumeUSB1 ext4 rw 0 0\n", False),
    ):
        output = ran(script, table, tmp_path, "backup", "packages")
        assert ("dst=/volumeUSB1/usbshare" in output) is given
        assert output.rstrip().endswith("mosis backup packages") and "--user 1027:100" in output


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize(
    "command", ["mirror", "collect", "lifecycle show", "scrub --repair", "restore", "cleanup", "token list", ""]
)
def test_only_what_talks_to_the_bucket_has_a_network(
    command: str, release: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, mirrored: bool
) -> None:
    monkeypatch.setenv("MOSIS_TEST_SECRET", "AKIA\nhunter2")
    data = {"mosis_settings": {"mirror": MIRROR}, "mosis_secrets": SECRETS} if mirrored else {}
    script = everything(plan(NAS | data, release))["/volume1/@mosis/bin/mosis"]
    output = ran(script, "", tmp_path, *command.split())
    talks = mirrored and command.startswith(("mirror", "collect", "lifecycle", "scrub", "restore"))
    assert f" --network {'mosis_default' if talks else 'none'} " in output


@pytest.mark.parametrize(("webhooks", "talks"), [("off", False), ("public", True)])
def test_what_sends_webhooks_has_a_network(release: Release, tmp_path: Path, webhooks: str, *, talks: bool) -> None:
    script = everything(plan(NAS | {"mosis_settings": {"webhooks": webhooks}}, release))["/volume1/@mosis/bin/mosis"]
    output = ran(script, "", tmp_path, "notify")
    assert f" --network {'mosis_default' if talks else 'none'} " in output


ISSUERS = {"issuers": [{"issuer": "https://ci.test", "jwks_url": "https://ci.test/jwks"}], "audience": "https://a.test"}


@pytest.mark.parametrize(("settings", "talks"), [({}, False), (ISSUERS, True)])
def test_what_fetches_keys_of_ci_services_has_a_network(
    release: Release, tmp_path: Path, settings: dict[str, object], *, talks: bool
) -> None:
    script = everything(plan(NAS | {"mosis_settings": settings}, release))["/volume1/@mosis/bin/mosis"]
    output = ran(script, "", tmp_path, "issuers")
    assert f" --network {'mosis_default' if talks else 'none'} " in output


def test_a_release_restarts_what_runs_it_and_not_nginx(release: Release) -> None:
    before, after = plan(NAS, release), plan(NAS, dataclasses.replace(release, id="ffffffffffff"))
    changed = {name for name, service in before.services.items() if service.stamp != after.services[name].stamp}
    assert changed == {"portal", "litestream"}
    assert before.stack.images["nginx"] == after.stack.images["nginx"]


@pytest.mark.parametrize(
    ("old", "new", "recreated"),
    [
        ("# Managed by pyinfra", "# Written by somebody else", set()),
        ("pull_policy: never  # it is built here", "pull_policy: never", set()),
        ("command: [mosis, serve]", "command: [mosis, serve, --fast]", {"portal"}),
        ("stop_grace_period: 30s", "stop_grace_period: 31s", {"litestream"}),
        ("stop_signal: SIGQUIT", "stop_signal: SIGTERM", {"nginx"}),
        ("command: [tunnel,", "command: [tunnel, --quiet,", {"cloudflared"}),
        ("mem_limit: 1g", "mem_limit: 2g", set()),
        ("pids_limit: 256", "pids_limit: 512", set()),
        ("  metrics: {}\n", "", {"litestream"}),
        ("cap_drop: [ALL]", "cap_drop: []", {"portal", "nginx", "litestream", "cloudflared"}),
        ("  cache:\n", "  cache: {external: true}\n", {"portal", "nginx", "litestream", "cloudflared"}),
    ],
)
def test_a_service_is_recreated_for_its_own_definition_only(
    old: str, new: str, recreated: set[str], release: Release
) -> None:
    """nginx stops answering while it is recreated: a comment, or another service, was reason enough."""
    compose_file = everything(plan(NAS | TUNNEL | {"mosis_secrets": token(release)}, release))[COMPOSE_FILE]
    assert old in compose_file
    changed = compose_file.replace(old, new)
    names = ("portal", "nginx", "litestream", "cloudflared")
    assert {name for name in names if definition(changed, name) != definition(compose_file, name)} == recreated


def test_what_takes_requests_keeps_the_stamp_that_c82cd58_gave_it(release: Release) -> None:
    """Its plan computed these. Where one must change, an upgrade from there has a second without nginx: say so."""
    assert plan(NAS, release).services["nginx"].stamp == "070f5046b7d4fd97"
    tunnelled = plan(NAS | TUNNEL | {"mosis_secrets": token(release)}, release).services
    assert (tunnelled["nginx"].stamp, tunnelled["cloudflared"].stamp) == ("8b2e721119c98031", "063f45c874bdd27c")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, []),
        ({"running": False}, ["portal"]),
        ({"stamp": "another"}, ["portal"]),
        ({"health": "unhealthy"}, ["portal"]),
        ({"health": "starting"}, []),
        ({"started": 50.0}, ["portal"]),  # the settings were written at 100
    ],
)
def test_what_differs_is_found(change: dict[str, object], expected: list[str], release: Release) -> None:
    wanted = plan(NAS, release)
    running = {
        name: Container(service.stamp, True, "healthy", 200.0)
        for name, service in compose.running_services(wanted).items()
    }
    running["portal"] = dataclasses.replace(running["portal"], **change)
    files = dict.fromkeys((path for service in wanted.services.values() for path in service.paths), 100)
    assert compose.differing(wanted, State(running, files)) == expected


def test_containers_are_read_from_docker() -> None:
    output = [
        "container|portal|abc|running|healthy|2026-11-23T14:51:12.123456789Z",
        "file|1795445000|/x/mosis.toml",
        "bridge",
    ]
    found = compose.Containers().process(output)
    assert found.files == {"/x/mosis.toml": 1795445000}
    assert found.bridge
    portal = found.containers["portal"]
    assert (portal.stamp, portal.running, portal.healthy, portal.started) == ("abc", True, True, 1795445472.0)


@pytest.mark.parametrize(
    ("data", "found", "sentence"),
    [
        (NAS, {"uid": "1026"}, "needs root"),
        (NAS, {"dsm": ""}, "this host has no DSM"),
        (DOCKER, {}, "set mosis_share"),
        (NAS, {"dsm": "7.1.1"}, "DSM 7.1.1 is too old"),
        (NAS, {"machine": "armv7l"}, "Container Manager does not exist for it"),
        (NAS, {"docker": ""}, "Package Center > Container Manager"),
        (NAS, {"engine": ""}, "Docker does not answer"),
        (NAS, {"compose": "2.5.1"}, "docker compose is 2.5.1"),
        (NAS, {}, None),
        (NAS, {"compose": "v2.20.1-6047-g6817716"}, None),
        (DOCKER, {"dsm": ""}, None),
        (DOCKER, {"dsm": "", "cron": ""}, "cron, which keeps the schedules, is missing"),
    ],
)
def test_what_is_not_supported_is_refused(
    data: dict[str, object], found: dict[str, str], sentence: str | None, release: Release
) -> None:
    fine = {"uid": "0", "machine": "x86_64", "dsm": "7.2.1", "docker": "/usr/local/bin/docker"}
    fine |= {"engine": "24.0.2", "compose": "v2.20.1", "cron": "/usr/sbin/cron"}
    share = SharedFolder("/volume1/mosis", ("mosis",))
    told = engine.fault(plan(data, release), fine | found, share)
    assert (told is None) if sentence is None else sentence in told


def test_a_share_elsewhere_is_refused(release: Release) -> None:
    fine = {"uid": "0", "machine": "x86_64", "dsm": "7.2.1", "docker": "/d", "engine": "24.0.2", "compose": "2.20.1"}
    assert "/volume2/mosis" in engine.fault(plan(NAS, release), fine, SharedFolder("/volume2/mosis", ()))


def test_facts_read_what_hosts_print() -> None:
    assert images.Recipes().process(["mosis:abc 0123", "mosis-nginx:x "]) == {"mosis:abc": "0123"}
    assert Digests().process(["aa  /etc/x", "bb  /etc/y"]) == {"/etc/x": "aa", "/etc/y": "bb"}


def test_the_dockerfile_needs_no_buildkit() -> None:
    text = (CHECKOUT / "files/compose/Dockerfile").read_text()
    assert "--mount" not in text and "<<" not in text and "syntax=" not in text
    assert text.count("USER ") == 1 and not re.search(r"USER (root|0)\b", text)


def test_secrets_stand_outside_the_share_and_in_no_file(release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOSIS_TEST_SECRET", "AKIA\nhunter2")
    wanted = plan(NAS | {"mosis_settings": {"mirror": MIRROR}, "mosis_secrets": SECRETS}, release)
    assert (
        wanted.secrets[0].path
        == str(wanted.settings.mirror.credentials)
        == "/volume1/@mosis/secrets/mirror-credentials"
    )
    assert "hunter2" not in json.dumps(everything(wanted)) + repr(wanted)


def test_the_portal_signs_urls_of_the_private_bucket_without_a_network(
    release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has one secret, which a rotation replaces by a rename: only a new container sees the new file."""
    monkeypatch.setenv("MOSIS_TEST_SECRET", "AKIA\nhunter2")
    uploads = {"mirror": MIRROR | {"private_bucket": "mosis-private"}}
    secrets = SECRETS | {"mirror-upload-credentials": "env:MOSIS_TEST_UPLOAD"}
    monkeypatch.setenv("MOSIS_TEST_UPLOAD", "AKIB\nhunter3")
    before = plan(NAS | {"mosis_settings": uploads, "mosis_secrets": secrets}, release)
    own = definition(everything(before)[COMPOSE_FILE], "portal")
    assert "network_mode: none" in own
    assert re.findall("/secrets/[a-z-]+", own) == ["/secrets/mirror-upload-credentials"] * 2
    assert "collect" in before.stack.scripts
    monkeypatch.setenv("MOSIS_TEST_UPLOAD", "AKIC\nhunter4")
    after = plan(NAS | {"mosis_settings": uploads, "mosis_secrets": secrets}, release)
    assert [name for name in after.services if before.services[name] != after.services[name]] == ["portal"]
    assert not re.search("hunter[0-9]", json.dumps(everything(after)) + repr(after))


def test_without_a_private_bucket_the_portal_has_no_secret(release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOSIS_TEST_SECRET", "AKIA\nhunter2")
    wanted = plan(NAS | {"mosis_settings": {"mirror": MIRROR}, "mosis_secrets": SECRETS}, release)
    assert "secrets" not in definition(everything(wanted)[COMPOSE_FILE], "portal")
