#!/usr/bin/python3
"""Imitates DSM's synouser."""

import re
import subprocess

from accounts import USERS_GID, groups, groups_of, new_user, regenerate
from syno import dispatch, fail, one_of, refuse, state


def get(name: str) -> None:
    with state("accounts") as accounts:
        _print(accounts, name)


def getuid(uid: str) -> None:
    with state("accounts") as accounts:
        _print(
            accounts, next((name for name, user in accounts.get("users", {}).items() if str(user["uid"]) == uid), uid)
        )


def _print(accounts: dict, name: str) -> None:
    if not (user := accounts.get("users", {}).get(name)):
        fail(f"SYNOUserGet failed, user [{name}], synoerr=[0x1D00]")
    member = groups_of(accounts, name)
    shell = "/bin/sh" if "administrators" in member.values() else user["shell"]
    print(f"User Name   : [{name}]\nUser Type   : [AUTH_LOCAL]\nUser uid    : [{user['uid']}]")
    print(f"Primary gid : [{USERS_GID}]\nFullname    : [{user['fullname']}]")
    print(f"User Dir    : [/var/services/homes/{name}]\nUser Shell  : [{shell}]")
    print(f"Expired     : [{str(user['expired']).lower()}]\nUser Mail   : [{user['mail']}]\nAlloc Size  : [128]")
    print(f"Member Of   : [{len(member)}]")
    for gid, title in member.items():
        print(f"({gid}) {title}")


def add(name: str, password: str, fullname: str, expired: str, mail: str, privilege: str) -> None:
    if not re.fullmatch(r"[A-Za-z_][\w.-]{0,63}", name, re.ASCII):
        refuse(f"{name!r} is no user name")
    one_of(expired, ("0", "1"), "expired")
    one_of(privilege, ("", "0"), "privilege")  # a bit mask of services, only none is known here
    with state("accounts") as accounts:
        if name in accounts.get("users", {}):
            fail(f"User [{name}] exists")
        new_user(accounts, name, fullname, expired, mail, _hashed(password))
    regenerate()


def _hashed(password: str) -> str:
    words = ["openssl", "passwd", "-6", "-stdin"]
    return subprocess.run(words, input=password, capture_output=True, text=True, check=True).stdout.strip()


def modify(name: str, fullname: str, expired: str, mail: str) -> None:
    one_of(expired, ("0", "1"), "expired")
    with state("accounts") as accounts:
        if name not in accounts.get("users", {}):
            fail(f"SYNOUserGet failed, user [{name}], synoerr=[0x1D00]")
        accounts["users"][name] |= {"fullname": fullname, "expired": expired == "1", "mail": mail}
    regenerate()


def setpw(name: str, password: str) -> None:
    with state("accounts") as accounts:
        if name not in accounts.get("users", {}):
            fail(f"SYNOUserGet failed, user [{name}], synoerr=[0x1D00]")
        accounts["users"][name]["password"] = _hashed(password)
    regenerate()


def delete(*names: str) -> None:
    with state("accounts") as accounts:
        for name in names:
            if not accounts.get("users", {}).pop(name, None):
                fail(f"SYNOUserGet failed, user [{name}], synoerr=[0x1D00]")
            for group in groups(accounts).values():
                group["members"] = [member for member in group["members"] if member != name]
    regenerate()


def enum(kind: str) -> None:
    one_of(kind, ("local", "all"), "kind")
    with state("accounts") as accounts:
        names = [*accounts.get("users", {})]
    print(f"{len(names)} User Listed:", *names, sep="\n")


if __name__ == "__main__":
    dispatch(
        {
            "--get": (range(1, 2), get),
            "--getuid": (range(1, 2), getuid),
            "--add": (range(6, 7), add),
            "--modify": (range(4, 5), modify),
            "--setpw": (range(2, 3), setpw),
            "--del": (range(1, 100), delete),
            "--enum": (range(1, 2), enum),
        }
    )
