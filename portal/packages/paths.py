"""Names of entries: a package unpacks to the same tree on every file system, or it is refused."""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from portal.packages import characters
from portal.packages.errors import quote
from portal.packages.identifiers import DEVICE_NAME

LONGEST_PATH = 512  # bytes
LONGEST_COMPONENT = 255  # bytes, the limit of common file systems
DEEPEST = 32

SYSTEM_NAMES = frozenset(
    {
        "@eadir", "@tmp", "#recycle", "#snapshot", "synofile_thumb",  # Synology DSM
        "__macosx", ".ds_store", ".appledouble", ".spotlight-v100", ".trashes", ".fseventsd", ".apdisk",  # macOS
        "thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "system volume information",  # Windows
        "lost+found", ".directory", ".trash-1000",  # Linux
    }
)  # fmt: skip

_UNPORTABLE = re.compile(r'[<>:"|?*]')
_VMS_VERSION = re.compile(";[0-9]*$")


def faults(path: str) -> Iterator[str]:
    """Faults in the name of one entry, as predicates. A name that ends with `/` is a directory."""
    if len(path.encode()) > LONGEST_PATH:
        yield f"is longer than {LONGEST_PATH} bytes"
        return
    if "\\" in path:
        yield "contains a backslash: separate directories with `/`, as `mosis pack` and PowerShell 7 do"
    if path.startswith("/"):
        yield "is absolute"
    if fault := characters.fault(path):
        yield fault
    if not unicodedata.is_normalized("NFC", path):
        yield "is not in Unicode normalization form NFC"
    if _UNPORTABLE.search(path):
        yield 'contains a drive or one of the characters < > : " | ? *'
    components = path.removeprefix("/").removesuffix("/").split("/")
    if len(components) > DEEPEST:
        yield f"is more than {DEEPEST} directories deep"
    yield from dict.fromkeys(fault for component in components for fault in _component_faults(component))


@dataclass(slots=True)
class _Node:
    """A file or directory of the tree that the names describe."""

    number: int
    spelling: str
    kind: str
    listed: bool = False


def collisions(paths: Iterable[str]) -> Iterator[str]:
    """Sentences about names that denote the same file on a file system that ignores case or Unicode normalization.

    Names longer or deeper than `faults` allows are skipped. Each component is folded once, as a node below its parent,
    so the work is linear in the length of all names.
    """
    nodes: dict[tuple[int, str], _Node] = {}
    for path in paths:
        name = path.removesuffix("/")
        components = name.split("/")
        if len(components) > DEEPEST or len(path.encode()) > LONGEST_PATH:
            continue
        parent = 0
        for depth, component in enumerate(components, start=1):
            leaf = depth == len(components)
            kind = "file" if leaf and name == path else "directory"
            node = nodes.setdefault((parent, characters.fold(component)), _Node(len(nodes) + 1, component, kind))
            if node.spelling != component:
                here = "/".join(components[:depth])
                known = "/".join([*components[: depth - 1], node.spelling])
                difference = characters.difference(node.spelling, component)
                yield f"{quote(here)} and {quote(known)} differ only in {difference}."
                break
            if node.kind != kind:
                yield f"{quote('/'.join(components[:depth]))} is both a file and a directory."
                break
            if leaf and node.listed:
                yield f"{quote(path)} is listed twice."
            node.listed |= leaf
            parent = node.number


def is_system_name(component: str) -> bool:
    """Whether operating systems create files or directories of this name by themselves."""
    return component.casefold() in SYSTEM_NAMES or component.startswith("._")


def _component_faults(component: str) -> Iterator[str]:
    if component == "":
        yield "has an empty component"
    elif component == ".":
        yield "has a `.` component: pack `*`, not `.`"
    elif component == "..":
        yield "has a `..` component"
    elif component.endswith((".", " ")) or component.startswith(" "):
        yield "has a component that begins with a space or ends with a space or a dot"
    elif DEVICE_NAME.fullmatch(component.partition(".")[0].rstrip()):
        yield "has a component that is a device name on Windows"
    elif _VMS_VERSION.search(component):
        yield "has a component that ends with a semicolon and a number, which unzip cuts off"
    elif is_system_name(component):
        yield "has a component reserved by an operating system: leave it out, as `mosis pack` does"
    if len(component.encode()) > LONGEST_COMPONENT:
        yield f"has a component longer than {LONGEST_COMPONENT} bytes"
