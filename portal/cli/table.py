"""The commands: where each is declared, its line in `mosis --help`, and who reads it."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec

DEVELOPER = "For developers and reviewers"
DEVICE = "For devices"
OPERATOR = "For operators"
HOST = "Run by the deploy and its schedules"
INTERRUPTED = 130  # the exit status of a command that Ctrl-C ended
NEEDS = {
    DEVICE: ("./mosis[device]", "tuf"),
    OPERATOR: ("./mosis[server]", "bottle"),
    HOST: ("./mosis[server]", "bottle"),
}
"""What is installed for whose commands, and a module by which that is noticed: a clone, since no index has Mosis."""
OWN = ("portal", "mosis_device")


@dataclass(frozen=True)
class Command:
    """`mosis NAME`, declared in `portal.cli.MODULE`, which is imported only when the command is needed."""

    name: str
    module: str
    reader: str
    help: str


COMMANDS = (
    Command("login", "login", DEVELOPER, "Sign in to a store, and keep the token."),
    Command("logout", "login", DEVELOPER, "Forget the token of a store."),
    Command("init", "init", DEVELOPER, "Write the manifest.json of a new app."),
    Command("push", "push", DEVELOPER, "Pack, sign and upload an app, and submit it for review."),
    Command("apps", "apps", DEVELOPER, "List your apps."),
    Command("versions", "apps", DEVELOPER, "List the versions of an app."),
    Command("review", "reviews", DEVELOPER, "Reviews: their state and reasons, and for reviewers the queue."),
    Command("yank", "apps", DEVELOPER, "Withdraw a published version from the store."),
    Command("trust", "trust", DEVELOPER, "Let CI jobs publish an app without a stored token."),
    Command("pack", "packages", DEVELOPER, "Make an unsigned package of a directory."),
    Command("sign", "packages", DEVELOPER, "Sign a package."),
    Command("statement", "packages", DEVELOPER, "Print what a signature of a package signs."),
    Command("verify", "packages", DEVELOPER, "Check a package and its signature."),
    Command("key", "keys", DEVELOPER, "Your signing keys, on this machine and in the store."),
    Command("install", "install", DEVICE, "Install or update an app on this device."),
    Command("status", "status", OPERATOR, "Show the state of the store."),
    Command("restore", "recovery", OPERATOR, "Restore the database and every missing or damaged file."),
    Command("rebuild", "rebuild", OPERATOR, "Make the database again from the records beside the packages."),
    Command("developer", "accounts", OPERATOR, "People who publish."),
    Command("app", "store_apps", OPERATOR, "The apps of the store."),
    Command("queue", "queue", OPERATOR, "The versions that wait for a review."),
    Command("token", "accounts", OPERATOR, "Tokens for the API."),
    Command("audit", "audit", OPERATOR, "The log of every change."),
    Command("presign", "presign", OPERATOR, "Keys that sign upload URLs."),
    Command("catalogue", "catalogue", OPERATOR, "Sign the catalogue of what is published, and its keys."),
    Command("mirror", "mirror", OPERATOR, "Copy what is published to the mirror's bucket."),
    Command("cost", "cost", OPERATOR, "Estimate what the mirror costs a month."),
    Command(
        "lifecycle", "lifecycle", OPERATOR, "Rules of the mirror's buckets: expiry, and which web pages may upload."
    ),
    Command("backup", "recovery", OPERATOR, "Make a backup now."),
    Command("drill", "recovery", OPERATOR, "Rehearse a restore from every copy."),
    Command("scrub", "recovery", OPERATOR, "Read every file, and mend what is damaged."),
    Command("cleanup", "jobs", OPERATOR, "Delete versions and uploads whose retention has ended."),
    Command("setup", "setup", HOST, "Create the store, or migrate its database."),
    Command("serve", "serve", HOST, "Run the portal in the foreground until SIGTERM."),
    Command("replicate", "replicate", HOST, "Run Litestream and prove its replica, until SIGTERM."),
    Command("follow", "standby", HOST, "Copy the store that this standby follows, once."),
    Command("collect", "collect", HOST, "Fetch packages that were uploaded to the mirror's private bucket."),
    Command("notify", "notify", HOST, "Send what waits for webhooks."),
    Command("issuers", "issuers", HOST, "Fetch the keys of the CI services that may publish."),
    Command("promote", "standby", HOST, "Make a standby's copy a store of its own."),
    Command("schedule", "schedules", HOST, "Run jobs at their times, on a host without cron."),
    Command("rotate", "schedules", HOST, "Rotate nginx's log, on a host without logrotate."),
)


def shown() -> list[Command]:
    """The commands in `mosis --help`: those that can run here, without those that only programs run."""
    return [row for row in COMMANDS if row.reader != HOST and _installed(row.reader)]


def needed_extra(module: str | None, words: Sequence[str]) -> str:
    """What to install so that the command line `words` finds `module`; empty for what no extra brings."""
    row = next((row for row in COMMANDS if row.name in words[:1]), None)
    if row is None or row.reader not in NEEDS or (module or "").partition(".")[0] in OWN:
        return ""
    extra, _ = NEEDS[row.reader]
    part = "more packages" if row.reader == DEVICE else "the server"
    return f"'mosis {row.name}' needs {part}: run this beside the clone of Mosis: pip install '{extra}'"


def _installed(reader: str) -> bool:
    return reader not in NEEDS or find_spec(NEEDS[reader][1]) is not None
