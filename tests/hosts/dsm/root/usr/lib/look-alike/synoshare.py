#!/usr/bin/python3
"""Imitates DSM's synoshare. A grant is a POSIX ACL here, which the kernel enforces and a chmod destroys."""

import uuid
from pathlib import Path

from accounts import groups
from syno import REAL, VOLUME, dispatch, fail, one_of, refuse, run, state

LISTS = {"NA": "na", "RW": "rw", "RO": "ro"}
RIGHTS = {"na": "---", "ro": "r-x", "rw": "rwx"}
RESERVED = ("global", "homes", "home", "printers", "surveillance", "usbbackup", "usbshare", "esatashare")


def get(name: str) -> None:
    with state("shares") as shares:
        share = _share(shares, name)
    print("SYNOSHARE data dump:")
    rows = {
        "Name": name,
        "Comment": share["desc"],
        "Path": share["path"],
        "Deny list": ",".join(share["na"]),
        "RW list": ",".join(share["rw"]),
        "RO list": ",".join(share["ro"]),
        "fType": "2",
        "FTPPrivilege": share["privilege"],
        "Status": "0x9400",
        "Encryption": "no",
        "UUID": share["uuid"],
    }
    for title, value in rows.items():
        print(f"\t {title} ".ljust(14, ".") + f"[{value}]")


def _share(shares: dict, name: str) -> dict:
    if name not in shares:
        fail(f"SYNOShareGet failed, share [{name}], synoerr=[0x1400]")
    return shares[name]


def add(name: str, desc: str, path: str, na: str, rw: str, ro: str, browse: str, privilege: str) -> None:
    one_of(browse, ("0", "1"), "is_browseable")
    one_of(privilege, tuple("01234567"), "adv_privilege")
    if name in RESERVED or path != f"{VOLUME}/{name}":
        refuse(f"share {name} at {path}: shares lie at the root of a volume under their own name")
    with state("shares") as shares:
        if name in shares:
            fail(f"Share [{name}] exists")
        if Path(path).exists():
            fail(f"{path} exists and is no share; a directory cannot be promoted to one")
        run("btrfs", "subvolume", "create", path)
        lists = {"na": _principals(na), "rw": _principals(rw), "ro": _principals(ro)}
        shares[name] = {"desc": desc, "path": path, "privilege": privilege, "uuid": str(uuid.uuid4()), **lists}
        _grant(shares[name])


def setuser(name: str, level: str, operator: str, listed: str) -> None:
    chosen = LISTS[one_of(level, tuple(LISTS), "user_auth")]
    one_of(operator, ("+", "-", "="), "operator")
    with state("shares") as shares:
        share, named = _share(shares, name), _principals(listed)
        if operator == "=":
            share[chosen] = named
        else:
            for kind in LISTS.values():
                share[kind] = [principal for principal in share[kind] if principal not in named]
            share[chosen] += named if operator == "+" else []
        _grant(share)


def _principals(listed: str) -> list[str]:
    with state("accounts") as accounts:
        known = {*accounts.get("users", {}), *(f"@{name}" for name in groups(accounts))}
    named = [name for name in listed.split(",") if name]
    if unknown := [name for name in named if name not in known]:
        fail(f"no such user or group: {','.join(unknown)}")
    return named


def _grant(share: dict) -> None:
    """The share's lists as access and inherited entries on all that is in it; its mode is 0, as DSM shows it."""
    named = [
        f"{'g' if name.startswith('@') else 'u'}:{name.lstrip('@')}:{rights}"
        for kind, rights in RIGHTS.items()
        for name in share[kind]
    ]
    inherited = [f"d:{entry}" for entry in ("u::rwx", "g::---", "o::---", "m::rwx", *named)]
    run(REAL / "setfacl", "-R", "-P", "-b", share["path"])
    run(REAL / "setfacl", "-R", "-P", "-m", ",".join(["m::rwx", *named, *inherited]), share["path"])
    run(REAL / "setfacl", "-m", "u::---,g::---,o::---", share["path"])


def delete(data: str, *names: str) -> None:
    one_of(data, ("TRUE", "FALSE"), "del_rule")
    with state("shares") as shares:
        for name in names:
            path = _share(shares, name)["path"]
            del shares[name]
            if data == "TRUE":
                run("btrfs", "subvolume", "delete", path)


def enum(kind: str) -> None:
    one_of(kind, ("ALL", "LOCAL"), "kind")
    with state("shares") as shares:
        names = [*shares]
    print(f"Share Enum Arguments: [0xFF0F] {kind}\n{len(names)} Listed:", *names, sep="\n")


if __name__ == "__main__":
    dispatch(
        {
            "--get": (range(1, 2), get),
            "--add": (range(8, 9), add),
            "--setuser": (range(4, 5), setuser),
            "--del": (range(2, 100), delete),
            "--enum": (range(1, 2), enum),
        }
    )
