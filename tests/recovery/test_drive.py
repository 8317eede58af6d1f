"""The external drive is recognized by its mount point, whatever characters it has."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deploys.remote import check

NAMES = [b"Sauvegarde \xc3\xa9t\xc3\xa9", b"My Drive", b"back\\slash", b"not \xe9 UTF-8"]
# In a mount namespace of its own: a file system at "$1", then the program.
MOUNTED = 'mount -t tmpfs tmpfs "$1" && shift && exec "$@"'
FOUND = """import sys; from pathlib import Path; from portal.recovery import drive; from portal.settings import Backup
place = Path(sys.argv[1]); (place / ".mosis-backup").touch(); print(drive.mounts() >= {str(place)})"""
CHECKED = """import sys; from pathlib import Path; from deploys.remote import check
Path(sys.argv[1], ".mosis-backup").touch()
print([row["ok"] for row in check.drive({"mount": sys.argv[1], "directory": sys.argv[1], "uuid": None})] == [True])"""


@pytest.mark.parametrize("name", NAMES, ids=repr)
@pytest.mark.parametrize("program", [FOUND, CHECKED], ids=["the job", "the status of the host"])
def test_a_mount_point_is_found_by_its_name(program: str, name: bytes, tmp_path: Path) -> None:
    place = tmp_path / os.fsdecode(name)
    place.mkdir()
    assert in_a_namespace(place, program) == ("True\n", "")


def in_a_namespace(place: Path, program: str) -> tuple[str, str]:
    """What the program prints where a file system is mounted at `place`."""
    words = ["unshare", "--mount", "--map-root-user", "sh", "-c", MOUNTED, "sh", place, sys.executable, "-c", program]
    if not shutil.which("unshare"):
        pytest.skip("unshare is not installed")
    done = subprocess.run([*words, place], capture_output=True, text=True, check=False)
    if "Operation not permitted" in done.stderr:
        pytest.skip("this machine lets nobody mount anything in a namespace")
    return done.stdout, done.stderr


MOVED = """import sys; from pathlib import Path
from deploys.remote import check; from portal.recovery import drive; from portal.recovery.errors import BackupError
from portal.settings import Backup
place = Path(sys.argv[1]); (place / "mosis").mkdir(); (place / "mosis/.mosis-backup").touch()
mount = place.parents[1] / "volumeUSB1" / place.name
try: drive.require(Backup(mount=mount, directory=mount / "mosis"))
except BackupError as error: print(f"a marked drive is at {place}" in str(error))
[row] = check.drive({"mount": str(mount), "directory": f"{mount}/mosis", "uuid": None})
print(f"a marked drive is at {place}" in row["text"])"""


def test_a_drive_at_another_port_is_found_by_its_marker(tmp_path: Path) -> None:
    place = tmp_path / "volumeUSB2" / "usbshare"
    place.mkdir(parents=True)
    assert in_a_namespace(place, MOVED) == ("True\nTrue\n", "")


def test_a_field_of_the_table_of_mounts_is_read_as_proc_5_says() -> None:
    assert check.unescaped(r"/mnt/a\040b\134c\011d\012é") == "/mnt/a b\\c\td\né"
