"""Only names that the catalogue has lead to files, and only the timestamp changes."""

from pathlib import Path

import pytest

from portal.store import catalogue_files
from portal.store.layout import Layout

DIGEST = "0" * 64


@pytest.mark.parametrize(
    ("name", "cache"),
    [
        ("metadata/timestamp.json", "public, max-age=60"),
        ("metadata/1.root.json", "public, max-age=31536000, immutable"),
        ("metadata/1790000000.snapshot.json", "public, max-age=31536000, immutable"),
        ("metadata/1790000000.3ff.json", "public, max-age=31536000, immutable"),
        (f"targets/apps/{DIGEST}.org.example.reader-2.json", "public, max-age=31536000, immutable"),
    ],
)
def test_a_file_has_its_place_and_its_time_in_caches(tmp_path: Path, name: str, cache: str) -> None:
    assert catalogue_files.path(Layout(tmp_path), name) == tmp_path / "catalogue" / name
    assert catalogue_files.cache_control(name) == cache


@pytest.mark.parametrize(
    "name",
    ["", "timestamp.json", "metadata/timestamp.json.new", "metadata/root.json", "metadata/0.root.json",
     "metadata/../../data/portal.db", "metadata/1.3FF.json", "metadata/timestamp.json\n", "/etc/passwd",
     f"targets/apps/{DIGEST[1:]}.org.example.app.json", f"targets/apps/{DIGEST}.../x.json"],
)  # fmt: skip
def test_no_other_name_leads_anywhere(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="is no file of the catalogue"):
        catalogue_files.path(Layout(tmp_path), name)
