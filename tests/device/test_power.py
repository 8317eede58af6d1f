"""What was reported survives a power cut."""

from pathlib import Path

from tests.device.conftest import Phone
from tests.device.shelf import FILES, Copy, Shelf
from tests.support.power import disk


def test_what_is_installed_and_seen_is_there_after_a_power_cut(shelf: Shelf, copy: Copy, tmp_path: Path) -> None:
    with disk(tmp_path / "disk") as cut:
        phone = Phone(cut.at / "phone", shelf.catalogue.first_root)
        shelf.publish(1)
        outcome = phone.install(copy)
        cut.cut()
        assert phone.files(outcome) == FILES
        shelf.sign()
        assert phone.install(copy).outcome == "current"
        cut.cut()
        copy.requests.clear()
        assert phone.install(copy).outcome == "current"
        assert "/catalogue/metadata/2.snapshot.json" not in copy.requests, "what protects from a rollback is there"
