"""Why a device installs nothing: one reason for programs, one or two sentences for people."""

import errno
from typing import Literal

Reason = Literal[
    "unreachable",  # no base URL answered
    "malformed",  # not what the protocol describes
    "forged",  # not signed by the keys of the store
    "expired",  # signed too long ago
    "rolled-back",  # older than what this device has seen
    "mixed",  # parts of different catalogues
    "no-root",  # nothing to begin trust with
    "unknown-app",  # the catalogue does not have it
    "no-release",  # the catalogue has none for this device
    "withdrawn",  # the store withdrew every version that would suit
    "wrong-digest",  # not the package that the catalogue names
    "bad-package",  # cannot be unpacked safely
    "bad-signature",  # not what the developer signed
    "key-changed",  # signed with a key that this device has no proof for
    "storage",  # this device's own disk
    "busy",  # another installation is running
]

STORAGE = {
    errno.ENOSPC: "The disk of {} is full: free space on it, and run the command again.",
    errno.EDQUOT: "The disk quota of {} is used up: free space, and run the command again.",
    errno.EROFS: "{} is on a read-only file system: name a directory that can be written with --into.",
    errno.EACCES: "{} may not be written by this user: change its mode, or run the command as its owner.",
}


class Refused(Exception):
    """Nothing was changed; `reason` is for programs, the message for people: cause and remedy."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason: Reason = reason


def storage(error: OSError, directory: object) -> Refused:
    """What an error of this device's disk means."""
    place = error.filename or directory
    meaning = STORAGE.get(error.errno or 0, "{}: " + (error.strerror or str(error)) + ".")
    return Refused("storage", meaning.format(place))
