"""Counting never fails what is counted: without room for its file a worker counts in private memory."""

import subprocess
import sys
from pathlib import Path

import pytest

from portal import metrics_files
from portal.metrics_files import BYTES_MIN, WorkerFile

LIMITED = """
import resource, sys
from pathlib import Path
from portal.metrics_files import WorkerFile
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
counts = WorkerFile(sys.argv[1])
for number in range(5000):
    counts.write_value(f"key {number}", number, 0)
assert [counts.read_value(f"key {number}")[0] for number in range(5000)] == list(range(5000))
print(len(list(WorkerFile.read_all_values_from_file(sys.argv[1]))) if Path(sys.argv[1]).exists() else 0)
"""


def test_blocks_exist_before_they_are_mapped(tmp_path: Path) -> None:
    path = tmp_path / "counter_1.db"
    counts = WorkerFile(str(path))
    for number in range(5000):
        counts.write_value(f"key {number}", number, 0)
    counts.close()
    size = path.stat().st_size
    assert size > BYTES_MIN
    assert path.stat().st_blocks * 512 >= size
    assert {key: value for key, value, *_ in WorkerFile.read_all_values_from_file(path)} == {
        f"key {number}": number for number in range(5000)
    }


@pytest.mark.parametrize(("limit", "shared"), [(0, range(1)), (BYTES_MIN, range(1, 5000))])
def test_without_room_values_are_kept_in_private_memory(tmp_path: Path, limit: int, shared: range) -> None:
    """A limit of the file's size (setrlimit(2)) refuses blocks as a full disk does, and needs no root."""
    path = tmp_path / "counter_1.db"
    ran = subprocess.run([sys.executable, "-c", LIMITED, path, str(limit)], capture_output=True, text=True, check=True)
    assert int(ran.stdout) in shared
    assert "counts separately from now on" in ran.stderr
    assert len(ran.stderr.splitlines()) == 1
    assert path.exists() == bool(limit)
    assert path.with_suffix(metrics_files.PRIVATE).exists()
