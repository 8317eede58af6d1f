from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mosis_device.device import Device, Options, Outcome
from tests.device.shelf import Copy, Shelf, serving
from tests.packages.samples import APP_ID


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "shelf")


@pytest.fixture
def copy(shelf: Shelf) -> Iterator[Copy]:
    """A server of the shelf."""
    with serving(shelf.place) as running:
        yield running


class Phone:
    """A device that trusts the root of a shelf."""

    def __init__(self, directory: Path, root: bytes) -> None:
        self.directory = directory
        self.said: list[str] = []
        self.device = Device(directory, [], Options())
        self.device.trust(root)

    def install(self, *bases: Copy | str, app_id: str = APP_ID, **options: object) -> Outcome:
        """Install one app, or refuse to."""
        urls = [base.url if isinstance(base, Copy) else base for base in bases]
        self.device = Device(self.directory, urls, Options(**options), self.said.append)
        [outcome] = self.device.install([app_id])
        return outcome

    def refusal(self, *bases: Copy | str, **options: object) -> str | None:
        """The reason why nothing was installed."""
        from mosis_device.refusals import Refused

        try:
            return self.install(*bases, **options).reason
        except Refused as refused:
            return refused.reason

    def files(self, outcome: Outcome) -> dict[str, bytes]:
        """The files of an installed version, without what describes it."""
        root = Path(outcome.path)
        found = {path.relative_to(root).as_posix(): path for path in root.rglob("*") if path.is_file()}
        return {name: path.read_bytes() for name, path in found.items() if "/" in name and "META" not in name}


@pytest.fixture
def phone(tmp_path: Path, shelf: Shelf) -> Phone:
    return Phone(tmp_path / "phone", shelf.catalogue.first_root)


@pytest.fixture
def another(tmp_path: Path, shelf: Shelf) -> Callable[[], Phone]:
    """Makes further devices."""
    made = iter(range(100))
    return lambda: Phone(tmp_path / f"phone-{next(made)}", shelf.catalogue.first_root)
