#!/usr/bin/python3
"""Imitates the reading half of DSM's synoacltool; what it reports is what the kernel lets the user do."""

import os
import sys
from pathlib import Path

from accounts import USERS_GID, groups_of
from syno import REAL, dispatch, fail, run, state

RIGHTS = {os.R_OK: "r-x---a-R-c--", os.R_OK | os.W_OK: "rwxpdDaARWc--", os.W_OK: "-w-pdD-A-W---", 0: "-" * 13}
LETTERS = {"rwx": "rwxpdDaARWc--", "r-x": "r-x---a-R-c--", "---": "-" * 13}


def _entries(path: str) -> list[str]:
    if not Path(path).exists():
        fail(f"(synoacltool.c, 334)No such file or directory [{path}]")
    lines = run(REAL / "getfacl", "-c", "-p", path).splitlines()
    return [line.partition("\t")[0] for line in lines if line.startswith(("user:", "group:")) and "::" not in line]


def get(path: str) -> None:
    entries = _entries(path)
    if not entries:
        print("(synoacltool.c, 350)It's Linux mode")
        sys.exit(255)
    print("ACL version: 1\nArchive: has_ACL,is_support_ACL\nOwner: [root(user)]\n---------------------")
    for number, entry in enumerate(entries):
        kind, name, rights = entry.split(":")
        verdict = "deny" if rights == "---" else "allow"
        print(f"\t [{number}] {kind}:{name}:{verdict}:{LETTERS.get(rights, rights)}:fd-- (level:0)")


def get_perm(path: str, name: str) -> None:
    _entries(path)
    with state("accounts") as accounts:
        user = accounts.get("users", {}).get(name) or fail(f"No such user [{name}]")
        member = groups_of(accounts, name)
    sys.stdout.flush()
    if (child := os.fork()) == 0:
        os.setgroups(list(member))
        os.setgid(USERS_GID)
        os.setuid(user["uid"])
        os._exit(sum(right for right in (os.R_OK, os.W_OK) if os.access(path, right)))
    allowed = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print(f"User/Group: [{name}]\nFinal permission: [{RIGHTS[allowed]}]")


if __name__ == "__main__":
    dispatch({"-get": (range(1, 2), get), "-get-perm": (range(2, 3), get_perm)})
