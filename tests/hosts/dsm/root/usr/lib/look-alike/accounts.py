"""DSM's own list of users and groups, and the passwd files that are made of it."""

from pathlib import Path

from syno import state

FIRST_UID, FIRST_GID = 1026, 65536
USERS_GID = 100
BUILT_IN = {"administrators": 101, "users": USERS_GID, "http": 1023}
DEFAULTS = Path("/etc.defaults")


def new_user(accounts: dict, name: str, fullname: str, expired: str, mail: str, password: str) -> None:
    users = accounts.setdefault("users", {})
    users[name] = {
        "uid": max((user["uid"] for user in users.values()), default=FIRST_UID - 1) + 1,
        "fullname": fullname,
        "expired": expired == "1",
        "mail": mail,
        "password": password,
        "shell": "/sbin/nologin",
    }


def groups(accounts: dict) -> dict:
    """Groups by name, the built-in ones included."""
    known = accounts.setdefault("groups", {})
    for name, gid in BUILT_IN.items():
        known.setdefault(name, {"gid": gid, "members": []})
    return known


def groups_of(accounts: dict, name: str) -> dict[int, str]:
    member = {group["gid"]: title for title, group in groups(accounts).items() if name in group["members"]}
    return {USERS_GID: "users"} | member


def regenerate() -> None:
    """passwd, shadow and group out of the system's own lines and DSM's list; every other line is gone."""
    with state("accounts") as accounts:
        passwd, shadow, group = [], [], []
        for name, user in accounts.get("users", {}).items():
            shell = "/bin/sh" if name in groups(accounts)["administrators"]["members"] else user["shell"]
            home = f"/var/services/homes/{name}"
            passwd.append(f"{name}:x:{user['uid']}:{USERS_GID}:{user['fullname']}:{home}:{shell}\n")
            shadow.append(f"{name}:{'!' if user['expired'] else ''}{user['password']}:19000:0:99999:7:::\n")
        for title, entry in groups(accounts).items():
            group.append(f"{title}:x:{entry['gid']}:{','.join(entry['members'])}\n")
    for file, lines in {"passwd": passwd, "shadow": shadow, "group": group}.items():
        own = {line.split(":")[0] for line in lines}
        kept = [line for line in _system(file) if line.split(":")[0] not in own]
        (Path("/etc") / file).write_text("".join(lines + kept))  # of two groups with one number the first counts


def _system(file: str) -> list[str]:
    return (DEFAULTS / file).read_text().splitlines(keepends=True)
