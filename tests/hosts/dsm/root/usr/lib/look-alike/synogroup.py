#!/usr/bin/python3
"""Imitates DSM's synogroup."""

from accounts import FIRST_GID, groups, regenerate
from syno import dispatch, fail, one_of, state


def get(name: str) -> None:
    with state("accounts") as accounts:
        group = _group(accounts, name)
    print(f"Group Name: [{name}]\nGroup Type: [AUTH_LOCAL]\nGroup ID:   [{group['gid']}]\nGroup Members: ")
    for number, member in enumerate(group["members"]):
        print(f"{number}:[{member}]")


def _group(accounts: dict, name: str) -> dict:
    if name not in groups(accounts):
        fail(f"SYNOGroupGet failed, group [{name}], synoerr=[0x1800]")
    return groups(accounts)[name]


def _members(accounts: dict, names: tuple[str, ...]) -> list[str]:
    for name in names:
        if name not in accounts.get("users", {}):
            fail(f"SYNOUserGet failed, user [{name}], synoerr=[0x1D00]")
    return list(dict.fromkeys(names))


def add(name: str, *names: str) -> None:
    with state("accounts") as accounts:
        known = groups(accounts)
        if name in known:
            fail(f"Group [{name}] exists")
        gid = max([FIRST_GID - 1, *(group["gid"] for group in known.values())]) + 1
        known[name] = {"gid": gid, "members": _members(accounts, names)}
    regenerate()


def member(name: str, *names: str) -> None:
    with state("accounts") as accounts:
        _group(accounts, name)["members"] = _members(accounts, names)
    regenerate()


def memberadd(name: str, *names: str) -> None:
    with state("accounts") as accounts:
        group = _group(accounts, name)
        group["members"] = _members(accounts, (*group["members"], *names))
    regenerate()


def delete(*names: str) -> None:
    with state("accounts") as accounts:
        for name in names:
            _group(accounts, name)
            del groups(accounts)[name]
    regenerate()


def enum(kind: str) -> None:
    one_of(kind, ("local", "all"), "kind")
    with state("accounts") as accounts:
        names = [*groups(accounts)]
    print(f"{len(names)} Group Listed:", *names, sep="\n")


if __name__ == "__main__":
    dispatch(
        {
            "--get": (range(1, 2), get),
            "--add": (range(1, 100), add),
            "--member": (range(1, 100), member),
            "--memberadd": (range(2, 100), memberadd),
            "--del": (range(1, 100), delete),
            "--enum": (range(1, 2), enum),
        }
    )
