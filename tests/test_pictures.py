"""The pictures of the pages in README.md and docs/, and the command that takes them."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from docs.pictures import PICTURES
from tests.support.browsing import CHROMIUM
from tests.support.nginx import NGINX
from tests.support.pages import REPOSITORY

PLACE = REPOSITORY / "docs/screenshots"
LARGEST, LARGEST_SUM = 100_000, 600_000  # bytes, since each clone takes them along


def test_the_pictures_are_small_and_those_of_the_command() -> None:
    sizes = {path.name: path.stat().st_size for path in PLACE.iterdir()}
    assert sizes.keys() == {f"{name}.webp" for name in PICTURES}
    assert max(sizes.values()) < LARGEST
    assert sum(sizes.values()) < LARGEST_SUM


def test_each_picture_is_shown_somewhere_with_a_text_for_those_who_do_not_see_it() -> None:
    shown = set()
    for page in (REPOSITORY / "README.md", *REPOSITORY.glob("docs/*.md")):
        for text, path in re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", page.read_text()):
            assert text, (page, path)
            assert (page.parent / path).is_file(), (page, path)
            shown.add((page.parent / path).resolve().name)
    assert {path.name for path in PLACE.iterdir()} <= shown


def test_the_command_takes_a_picture_of_an_upload_in_progress(tmp_path: Path) -> None:
    for name, program in (("nginx", NGINX), ("chromium", CHROMIUM)):
        if program is None:
            pytest.skip(f"{name} is not installed")
    subprocess.run([sys.executable, "-m", "docs.pictures", tmp_path, "upload"], check=True, cwd=REPOSITORY)
    with Image.open(tmp_path / "upload.webp") as picture:
        assert (picture.format, picture.size) == ("WEBP", PICTURES["upload"].size)
