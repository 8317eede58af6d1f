"""What went wrong, in one or two sentences: cause and remedy."""

import errno
import os
import sqlite3
from pathlib import Path

from portal.faults import Fault
from portal.packages.errors import PackageRejected
from portal.store.errors import Refused

FAULTS = (PackageRejected, Refused, Fault, OSError, sqlite3.Error)

OS = {
    errno.ENOENT: "{} does not exist: check the path.",
    errno.EEXIST: "{} exists already: delete it, or name another file.",
    errno.EACCES: "{} may not be read or written by this user: change its mode, or run the command as its owner.",
    errno.EPERM: "{} may not be changed by this user: run the command as its owner.",
    errno.EISDIR: "{} is a directory: name a file.",
    errno.ENOTDIR: "{} is not a directory: name one.",
    errno.ENOTEMPTY: "{} is not empty: empty it, or name another directory.",
    errno.ENAMETOOLONG: "{} is too long a name: choose a shorter one.",
    errno.ELOOP: "{} is a loop of symbolic links: mend them.",
    errno.ENOSPC: "The disk of {} is full: free space on it.",
    errno.EDQUOT: "The disk quota of {} is used up: free space, or raise the quota.",
    errno.EROFS: "{} is on a read-only file system: mount it read-write.",
    errno.EIO: "The disk of {} reports an input/output error: check it before anything else.",
}
SQLITE = {
    sqlite3.SQLITE_FULL: "The store's disk is full: free space on it.",
    sqlite3.SQLITE_READONLY: "The database may not be written: run the command as the store's user, or mount its disk"
    " read-write.",
    sqlite3.SQLITE_BUSY: "Another program is writing to the database: try again later.",
    sqlite3.SQLITE_CANTOPEN: "The database cannot be opened: check that its disk is mounted, has room, and that the"
    " command runs as the store's user.",
    sqlite3.SQLITE_CORRUPT: "The database is damaged: stop the portal, then run `mosis restore --replace-database`.",
    sqlite3.SQLITE_NOTADB: "The database is damaged: stop the portal, then run `mosis restore --replace-database`.",
}
PRIMARY = 0xFF  # of an extended result code (sqlite3.h)


def _capitalized(text: str) -> str:
    return text[:1].upper() + text[1:]


def sentences(fault: Exception) -> str:
    """The text for standard error; several lines only where a package is rejected for several reasons."""
    if isinstance(fault, PackageRejected):
        return "\n".join(fault.errors)
    if isinstance(fault, Refused):
        return f"{fault.code}: {fault.detail}"
    if isinstance(fault, sqlite3.Error) and not isinstance(fault, Fault):
        code = getattr(fault, "sqlite_errorcode", 0) & PRIMARY
        return SQLITE.get(code, f"The database failed: {fault}.")
    if isinstance(fault, OSError) and fault.strerror:
        meaning = OS.get(fault.errno or 0, f"{{}}: {fault.strerror}.")
        return meaning.format(_named(fault)) if fault.filename else _capitalized(meaning.format("a file"))
    return str(fault)


def _named(fault: OSError) -> str:
    """The path at fault: of a missing one, the first directory that is missing, for a new file is missing anyway."""
    path = Path(str(fault.filename))
    above = [parent for parent in path.parents if fault.errno == errno.ENOENT and not os.path.lexists(parent)]
    return str(above[-1] if above else path)
