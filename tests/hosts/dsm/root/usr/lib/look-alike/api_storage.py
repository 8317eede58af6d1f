"""SYNO.Core.Share.Snapshot, with snapshots that are really taken, and the home service's switch."""

import time
from pathlib import Path

from syno import VOLUME, run, state
from webapi import Call, Unknown, check

SNAPSHOTS = VOLUME / "@sharesnap"


def _create(given: dict) -> str:
    check("snapinfo", given.get("snapinfo", {}), {}, {"desc": str, "lock": bool})
    share, name = _share(given), time.strftime("GMT+00-%Y.%m.%d-%H.%M.%S", time.gmtime())
    place = SNAPSHOTS / given["name"]
    place.mkdir(parents=True, exist_ok=True)
    run("btrfs", "subvolume", "snapshot", "-r", share["path"], place / name)
    return name


def _list(given: dict) -> dict:
    _share(given)
    names = sorted(path.name for path in (SNAPSHOTS / given["name"]).glob("GMT*"))
    return {"snapshots": [{"time": name} for name in names], "total": len(names)}


def _share(given: dict) -> dict:
    with state("shares") as shares:
        if given["name"] not in shares:
            raise Unknown
        return shares[given["name"]]


def _home(given: dict) -> dict:
    enabled = Path("/var/services/homes").is_symlink()
    return {"enable": enabled, "enable_domain": False, "enable_ldap": False, "location": str(VOLUME)}


CALLS = {
    "SYNO.Core.Share.Snapshot": {
        "create": Call(1, _create, {"name": str}, {"snapinfo": dict}),
        "list": Call(2, _list, {"name": str}, {"offset": int, "limit": int}),
    },
    "SYNO.Core.User.Home": {"get": Call(1, _home)},
}
