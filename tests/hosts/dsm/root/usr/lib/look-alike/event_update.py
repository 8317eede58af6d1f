#!/usr/bin/python3
"""What a DSM update does, as harsh as the reports have it; the update reboots, which is left to the caller.

Shares, users, tasks, images and containers stay. Packages' containers are stopped, and the boot that follows does not
run the event tasks.
"""

import shutil
from pathlib import Path

from syno import STATE
from tasks import rewrite_crontab

EMPTIED = ("opt", "etc/cron.d", "etc/cron.daily", "etc/cron.hourly", "etc/ssh/sshd_config.d", "usr/local/etc/rc.d")
UNITS = Path("/etc/systemd/system")
OWN_UNITS = Path("/etc.defaults/units")


def main() -> None:
    for directory in (Path("/") / name for name in EMPTIED):
        for path in directory.glob("*"):
            _remove(path)
    own = OWN_UNITS.read_text().splitlines()
    for path in UNITS.rglob("*"):
        if str(path) not in own:
            _remove(path)
    rewrite_crontab()
    for version in (Path("/etc/VERSION"), Path("/etc.defaults/VERSION")):
        version.write_text(version.read_text().replace('smallfixnumber="0"', 'smallfixnumber="1"'))
    (STATE / "updated").touch()


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
