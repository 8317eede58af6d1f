"""An app is installed and updated whole, or not at all."""

import json
import shutil
from pathlib import Path

import pytest

from mosis_device.device import EPOCH, Device, Options
from mosis_device.refusals import Refused
from tests.device.conftest import Phone
from tests.device.shelf import FILES, Copy, Shelf, serving
from tests.packages.samples import APP_ID
from tests.support.pages import block

NOBODY = "http://127.0.0.1:9"  # the port of discard(7), which nobody serves here


def test_an_app_is_installed_with_its_files_and_their_modes(shelf: Shelf, copy: Copy, phone: Phone) -> None:
    shelf.publish(1)
    outcome = phone.install(copy)
    assert (outcome.outcome, outcome.version_code) == ("installed", 1), outcome
    assert phone.files(outcome) == FILES
    assert (Path(outcome.path) / "bin/reader").stat().st_mode & 0o777 == 0o755
    assert (Path(outcome.path) / "lib/reader.txt").stat().st_mode & 0o777 == 0o644


def test_a_higher_version_is_an_update_and_the_one_before_stays(shelf: Shelf, copy: Copy, phone: Phone) -> None:
    for code in (1, 2, 3):
        shelf.publish(code)
        outcome = phone.install(copy)
        assert outcome.version_code == code
    assert outcome.outcome == "updated"
    assert {path.name for path in (phone.directory / "apps" / APP_ID).iterdir()} == {"app.json", "2", "3"}


def test_an_installed_version_is_current_without_a_download(shelf: Shelf, copy: Copy, phone: Phone) -> None:
    shelf.publish(1)
    phone.install(copy)
    copy.requests.clear()
    assert phone.install(copy).outcome == "current"
    assert copy.requests == ["/catalogue/metadata/2.root.json", "/catalogue/metadata/timestamp.json"]


def test_a_version_whose_files_are_lost_is_installed_again(shelf: Shelf, copy: Copy, phone: Phone) -> None:
    for code in (1, 2):
        shelf.publish(code)
        outcome = phone.install(copy)
    record = (phone.directory / "apps" / APP_ID / "app.json").read_bytes()
    shutil.rmtree(outcome.path)
    outcome = phone.install(copy)
    assert (outcome.outcome, outcome.version_code) == ("installed", 2)
    assert phone.files(outcome) == FILES
    assert (phone.directory / "apps" / APP_ID / "app.json").read_bytes() == record
    shutil.rmtree(outcome.path)
    shelf.documents[APP_ID]["releases"].clear()
    shelf.publish(1)
    outcome = phone.install(copy)
    assert (outcome.outcome, outcome.reason) == ("refused", "storage")
    assert "are lost" in str(outcome.detail)


@pytest.mark.parametrize("damaged", [b"", b"{}", b"null", b"[]", b'{"secret": "zz", "seen": "x", "version_code": "x"}'])
def test_damaged_records_are_made_again_or_named(damaged: bytes, shelf: Shelf, copy: Copy, phone: Phone) -> None:
    shelf.publish(1)
    phone.install(copy)
    (phone.directory / "device.json").write_bytes(damaged)
    assert phone.install(copy).outcome == "current"
    (phone.directory / "apps" / APP_ID / "app.json").write_bytes(damaged)
    outcome = phone.install(copy)
    assert outcome.reason == "storage"
    assert "app.json is damaged" in str(outcome.detail)
    (phone.directory / "root.json").write_bytes(damaged)
    with pytest.raises(Refused, match=r"root\.json is damaged: delete it"):
        phone.install(copy)


def test_a_lower_version_is_never_installed(shelf: Shelf, copy: Copy, phone: Phone) -> None:
    shelf.publish(2)
    phone.install(copy)
    shelf.documents[APP_ID]["releases"].clear()
    shelf.publish(1)
    outcome = phone.install(copy)
    assert (outcome.outcome, outcome.version_code) == ("current", 2)


@pytest.mark.parametrize("damage", ["", "[]", "null", "{}", '{"version_code": []}'])
def test_an_app_with_a_damaged_record_holds_up_no_other(
    damage: str, shelf: Shelf, copy: Copy, phone: Phone
) -> None:  # fmt: skip
    other = "org.example.writer"
    shelf.publish(1)
    shelf.publish(1, app_id=other)
    phone.install(copy)
    phone.install(copy, app_id=other)
    (phone.directory / "apps" / APP_ID / "app.json").write_text(damage)
    assert set(phone.device.installed()) == {APP_ID, other}
    outcomes = phone.device.install(phone.device.installed())
    assert [(one.outcome, one.reason) for one in outcomes] == [("refused", "storage"), ("current", None)]


def test_files_that_were_lost_are_installed_again(shelf: Shelf, copy: Copy, phone: Phone) -> None:
    shelf.publish(1)
    shutil.rmtree(phone.install(copy).path)
    assert phone.files(phone.install(copy)) == FILES


def test_the_next_base_is_asked_where_one_fails_and_back(shelf: Shelf, copy: Copy, phone: Phone) -> None:
    shelf.publish(1)
    with serving(shelf.place, status=503) as down:
        assert phone.install(NOBODY, down, copy).outcome == "installed"
        shelf.publish(2)
        down.status = None
        assert phone.install(down, copy).version_code == 2
        assert f"/packages/acme/{APP_ID}/2/package.mosis" in down.requests


def test_a_store_is_asked_where_it_has_its_downloads(shelf: Shelf, copy: Copy, phone: Phone) -> None:
    shelf.publish(1)
    (shelf.place / "packages").rename(shelf.place / "downloads")
    assert phone.install(copy).outcome == "installed"


def test_a_download_that_a_store_redirects_is_followed(
    shelf: Shelf, copy: Copy, phone: Phone, tmp_path: Path
) -> None:  # fmt: skip
    shelf.publish(1)
    with serving(shelf.place, redirects=copy.url) as store:
        assert phone.install(store).outcome == "installed"
        assert store.ranges == []
        assert len(copy.ranges) == 1


def test_the_library_does_what_the_page_shows(
    shelf: Shelf, copy: Copy, phone: Phone, capsys: pytest.CaptureFixture[str]
) -> None:
    shelf.publish(1)
    phone.install(copy)
    shelf.publish(2)
    printed = block("docs/device-protocol.md", "library", "python")
    here = printed.replace("/var/lib/apps", str(phone.directory)).replace("https://cdn.example.org", NOBODY)
    exec(here.replace("https://store.example.org", copy.url))
    assert capsys.readouterr().out == f"{APP_ID} updated None\n"


def test_a_redirect_without_end_is_left_for_the_next_base(shelf: Shelf, copy: Copy, phone: Phone) -> None:
    shelf.publish(1)
    with serving(shelf.place) as circle:
        circle.redirects = circle.url
        assert phone.install(circle, copy).outcome == "installed"
        assert phone.device.fetcher.bases[0].rstrip("/") == circle.url, "its catalogue is good"


@pytest.mark.parametrize("damage", ["", "{}", "[]", '{"secret": 1'])
def test_a_damaged_file_of_the_device_is_made_anew(shelf: Shelf, copy: Copy, phone: Phone, damage: str) -> None:
    shelf.publish(1)
    phone.install(copy)
    (phone.directory / "device.json").write_text(damage)
    assert phone.install(copy).outcome == "current"


@pytest.mark.parametrize("lost", ["root", "secret"])
def test_a_member_that_is_lost_takes_no_other_with_it(shelf: Shelf, copy: Copy, phone: Phone, lost: str) -> None:
    """The time that protects from an old catalogue, above all."""
    shelf.publish(1)
    phone.install(copy)
    path = phone.directory / "device.json"
    before = json.loads(path.read_bytes())
    path.write_text(json.dumps({name: value for name, value in before.items() if name != lost}))
    assert phone.refusal(NOBODY) == "unreachable"
    after = json.loads(path.read_bytes())
    assert {name for name in before if after[name] != before[name]} <= {lost} - {"root"}
    assert after["seen"] == before["seen"] != EPOCH


def test_trust_in_a_store_that_is_away_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="Check the URL and the network"):
        Device(tmp_path / "phone", [NOBODY], Options()).trust()


def test_a_store_that_restarts_is_no_wrong_url(tmp_path: Path) -> None:
    """nginx answers so while the portal is away."""
    with serving(tmp_path, status=503) as down, pytest.raises(Refused, match=r"answered 503: it is busy or restarting"):
        Device(tmp_path / "phone", [down.url], Options()).trust()
