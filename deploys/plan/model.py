"""The words a plan is written in: plain values, nothing that touches a host."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from deploys.plan.data import HostData
from deploys.plan.release import Release
from deploys.plan.schedules import Job
from portal.settings import S3, Settings


@dataclass(frozen=True)
class File:
    """A file as a host must have it; `owner` is USER:GROUP, empty for the user that deploys."""

    path: str
    content: str
    mode: str
    owner: str = ""


def root_file(path: str, content: str, mode: str = "644") -> File:
    """A file of root, which all users of the host may read."""
    return File(path, content, mode, "root:root")


@dataclass(frozen=True)
class Directory:
    """A directory as a host must have it; `owner` is USER:GROUP, empty for the user that deploys."""

    path: str
    mode: str
    owner: str = ""


@dataclass(frozen=True)
class Service:
    """A program that is kept up: its files, the stamp that the running process carries in MOSIS_STAMP, and what it
    reads besides its files."""

    files: tuple[File, ...]
    stamp: str = ""
    reads: tuple[str, ...] = ()

    @property
    def paths(self) -> list[str]:
        """All that must be older than the process."""
        return [*(file.path for file in self.files), *self.reads]


@dataclass(frozen=True)
class Secret:
    """A file of mode 600 whose content never leaves this object by printing it."""

    path: str
    content: str = field(repr=False)


@dataclass(frozen=True)
class Listener:
    """A port the host must have free, or held by the program `owner` of an earlier deploy."""

    port: int
    owner: str


@dataclass(frozen=True)
class Stack:
    """Where and of what the containers of the runtime `compose` are made.

    `home` is the directory of all that the deploy lays down, beside the store's root and never below it; `images` names
    the image of each stage of the Dockerfile, `recipe` tells builds apart that have the same name; `files` are the
    compose file and the scripts; `boot` and `jobs` are paths of scripts.
    """

    home: str
    user: str
    images: Mapping[str, str]
    recipe: str
    files: tuple[File, ...]
    boot: str
    scripts: Mapping[str, str]

    @property
    def etc(self) -> str:
        """Directory of everything that containers read."""
        return f"{self.home}/etc"


@dataclass(frozen=True)
class Plan:
    """Everything a host gets. `owner` is USER:GROUP of the store, empty for the user that deploys.

    `mosis` is the path of the command, `offline_command` a shell prefix that runs it without any file of the deploy,
    because such a file may be what is missing; `binaries` is the directory of the release's programs; `checks` are the
    paths of the script and of the values by which `mosis status` checks the host, if it does; `bucket` is where the
    deploy sets lifecycle rules; `note` says, outside the root, that a store lives here (None: settings lie inside).
    """

    data: HostData
    settings: Settings
    release: Release
    owner: str
    config: str
    mosis: str
    offline_command: str
    binaries: str
    directories: tuple[Directory, ...]
    command: File
    services: Mapping[str, Service]
    secrets: tuple[Secret, ...]
    listeners: tuple[Listener, ...]
    jobs: tuple[Job, ...] = ()
    bucket: S3 | None = None
    stack: Stack | None = None
    checks: tuple[str, str] | None = None
    note: File | None = None

    @property
    def runtime(self) -> str:
        return self.data.runtime

    @property
    def admin_token(self) -> str:
        """Path of the first admin token."""
        return f"{self.settings.root}/secrets/admin-token"
