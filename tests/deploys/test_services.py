"""What the plan writes, judged by the programs that read it."""

import re
import shutil
import subprocess
from fnmatch import fnmatch
from pathlib import Path

import pytest

from deploys.plan import plan
from deploys.plan.release import Release
from deploys.services.base import PACKAGES

EXPOSURE_MAX = 2.0  # of systemd-analyze security, 10 is the worst


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not shutil.which(program), reason=f"{program} is not installed")


def run(*words: str | Path) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def services(release: Release, **data: object) -> dict[str, str]:
    wanted = plan({"mosis_runtime": "systemd", **data}, release)
    return {Path(file.path).name: file.content for service in wanted.services.values() for file in service.files}


@needs("nginx")
def test_nginx_takes_the_site(release: Release, tmp_path: Path) -> None:
    site = services(release, mosis_port=58080)["mosis.conf"]
    (tmp_path / "site.conf").write_text(site.replace("/var/log/nginx/", f"{tmp_path}/"))
    main = f"pid {tmp_path}/nginx.pid; error_log stderr; events {{}} http {{ include {tmp_path}/site.conf; }}\n"
    (tmp_path / "nginx.conf").write_text(main)
    assert "test is successful" in run("nginx", "-t", "-p", tmp_path, "-c", tmp_path / "nginx.conf")


def test_debian_rotates_what_nginx_logs(release: Release) -> None:
    """By a rule of the package nginx-common, which does not depend on what reads the rule."""
    logs = re.findall(r"^ *access_log (?!off)(\S+)", services(release)["mosis.conf"], re.MULTILINE)
    assert logs and all(fnmatch(log, "/var/log/nginx/*.log") for log in logs)
    assert "logrotate" in PACKAGES


@needs("nginx")
def test_nginx_takes_the_configuration_of_a_local_store(release: Release, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    data = {
        "mosis_runtime": "local",
        "mosis_root": str(tmp_path),
        "mosis_port": 58080,
        "mosis_nginx": "/usr/sbin/nginx",
    }
    (tmp_path / "log").mkdir()
    wanted = plan(data, release)
    (main,) = [file for file in wanted.services["nginx"].files if file.path.endswith("nginx-main.conf")]
    (tmp_path / "nginx.conf").write_text(main.content)
    assert "test is successful" in run("nginx", "-t", "-c", tmp_path / "nginx.conf")


@needs("promtool")
@pytest.mark.parametrize("mode", ["files", "install"])
def test_prometheus_takes_its_files(mode: str, release: Release, tmp_path: Path) -> None:
    for name, content in services(release, mosis_prometheus=mode).items():
        (tmp_path / name).write_text(content)
    assert "rules found" in run("promtool", "check", "config", tmp_path / "prometheus.yml")


@needs("systemd-analyze")
@pytest.mark.parametrize("unit", ["mosis-portal.service", "mosis-litestream.service"])
def test_a_unit_is_hardened(unit: str, release: Release, tmp_path: Path) -> None:
    (tmp_path / unit).write_text(services(release)[unit])
    report = run("systemd-analyze", "security", "--offline=yes", "--no-pager", tmp_path / unit)
    exposure = float(report.rsplit("Overall exposure level for", 1)[1].split(": ")[1].split()[0])
    assert exposure <= EXPOSURE_MAX


@needs("dash")
@pytest.mark.parametrize(
    "data", [{"mosis_runtime": "systemd"}, {"mosis_runtime": "local", "mosis_root": "/home/dev/mosis"}]
)
def test_the_command_is_a_shell_script(data: dict[str, object], release: Release, tmp_path: Path) -> None:
    (tmp_path / "mosis").write_text(plan(data, release).command.content)
    run("dash", "-n", tmp_path / "mosis")
