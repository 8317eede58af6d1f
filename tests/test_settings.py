"""Settings: a file, overridden by variables; what is wrong is one sentence."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from portal import settings
from portal.settings import SettingsError


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "mosis.toml"
    path.write_text("root = '/srv/mosis'\nport = 8081\n[backup]\nmount = '/mnt/usb'\ndirectory = '/mnt/usb/mosis'\n")
    monkeypatch.setenv("MOSIS_CONFIG", str(path))
    return path


@pytest.mark.usefixtures("config")
def test_the_file_alone() -> None:
    chosen = settings.load()
    assert (str(chosen.root), chosen.port) == ("/srv/mosis", 8081)


@pytest.mark.usefixtures("config")
@pytest.mark.parametrize(
    ("variable", "value", "setting", "expected"),
    [
        ("MOSIS_PORT", "9000", "port", 9000),
        ("mosis_port", "9000", "port", 9000),
        ("MOSIS_SOCKET", "/run/bridge.sock", "socket", Path("/run/bridge.sock")),
        ("MOSIS_LITESTREAM", "false", "litestream", False),
        ("MOSIS_METRICS_NETWORKS", '["10.0.0.0/8"]', "metrics_networks", settings.parse(
            {"root": "/", "metrics_networks": ["10.0.0.0/8"]}).metrics_networks),
    ],
)  # fmt: skip
def test_a_variable_overrides_one_setting(
    variable: str, value: str, setting: str, expected: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    chosen = settings.load()
    assert getattr(chosen, setting) == expected
    assert str(chosen.root) == "/srv/mosis"


@pytest.mark.parametrize("url", ["", "http://[::1]:8080", "https://store.example.org", "https://example.org/apps"])
def test_a_public_url_has_no_slash_at_its_end(url: str) -> None:
    assert {settings.parse({"root": "/srv", "public_url": given}).public_url for given in (url, f"{url}/")} == {url}


@pytest.mark.usefixtures("config")
def test_a_variable_overrides_a_part_of_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOSIS_BACKUP__MOUNT", "/mnt/other")
    backup = settings.load().backup
    assert backup and (str(backup.mount), str(backup.directory)) == ("/mnt/other", "/mnt/usb/mosis")


def test_variables_alone_need_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOSIS_CONFIG", str(tmp_path / "none.toml"))
    monkeypatch.setenv("MOSIS_PORT", "9000")
    with pytest.raises(SettingsError, match=r"none\.toml does not exist\. Use <root>/bin/mosis"):
        settings.load()
    monkeypatch.setenv("MOSIS_ROOT", "/srv/mosis")
    assert settings.load().port == 9000


@pytest.mark.usefixtures("config")
def test_other_variables_of_the_deploy_override_nothing_and_cost_nothing() -> None:
    program = "import sys; from portal import settings; settings.load(); print(*sys.modules)"
    environment = os.environ | {"MOSIS_STAMP": "x"}
    ran = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert "pydantic_settings" not in ran.stdout.split()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("root = ", "is not TOML"),
        ("root = 'srv'", "root: must be an absolute path"),
        ("root = '/srv'\nissuers = [{issuer = 'https://ci.test', jwks_file = '/k'}]", "mosis.toml: issuers require"),
        ("root = '/srv'\ncolour = 'red'", "colour: there is no such setting: check its spelling"),
    ],
)
def test_what_is_wrong_is_named_with_the_file(config: Path, text: str, sentence: str) -> None:
    config.write_text(text)
    with pytest.raises(SettingsError) as refused:
        settings.load()
    assert str(config) in str(refused.value) and sentence in str(refused.value)


def test_the_private_bucket_is_another_one_and_uploads_have_a_key_of_their_own() -> None:
    mirror = {"endpoint": "https://s3.example.org", "bucket": "mosis", "credentials": "/run/both"}
    public = settings.parse({"root": "/srv/mosis", "mirror": mirror | {"public_url": "https://cdn.example.org"}}).mirror
    assert public
    assert public.private is None
    with pytest.raises(SettingsError, match=r"^settings: mirror\.private_bucket: must be another bucket than mirror"):
        settings.parse({"root": "/srv/mosis", "mirror": mirror | {"private_bucket": "mosis"}})
    for own, credentials in (({}, "/run/both"), ({"upload_credentials": "/run/uploads"}, "/run/uploads")):
        whole = settings.parse(
            {"root": "/srv/mosis", "mirror": mirror | own | {"private_bucket": "mosis-private"}}
        ).mirror
        assert whole
        private = whole.private
        assert private
        assert (private.bucket, str(private.credentials)) == ("mosis-private", "/run/both")
        assert (private.signing.bucket, str(private.signing.credentials)) == ("mosis-private", credentials)
        assert (private.public_url, private.private) == ("", None)


def test_a_fault_is_not_reported_as_another_one_too() -> None:
    mirror = {"endpoint": "http://x", "bucket": 5, "credentials": "/c", "public_url": "https://cdn.example.org"}
    with pytest.raises(SettingsError, match=r"^settings: mirror\.bucket: [^;]*\.$"):
        settings.parse({"root": "/srv/mosis", "mirror": mirror, "download": "redirect"})
