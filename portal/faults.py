"""What ends a command with one or two sentences instead of a traceback, and those sentences."""

import errno
import os
import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class Fault(Exception):
    """Something that a person must mend; the message names cause and remedy."""

    exit_status = 1  # of the command that it ends


@contextmanager
def afterwards(work: Callable[[], object]) -> Iterator[None]:
    """Do `work` after the block, however that ends; an error of `work` never hides one of the block."""
    try:
        yield
    except BaseException:
        with suppress(Exception):
            work()
        raise
    work()


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
UNNAMED = {
    errno.ENOSPC: "A disk is full, of the store or of temporary files: free space on it.",
    errno.EDQUOT: "A disk quota is used up, of the store or of temporary files: free space, or raise it.",
    errno.EROFS: "A file system is read-only, of the store or of temporary files: mount it read-write.",
    errno.EIO: "A disk reports an input/output error: the system's log names it; check it before anything else.",
    errno.EMFILE: "This program has as many open files as it may: try again, or raise its limit (ulimit -n).",
    errno.ENFILE: "The system has as many open files as it may: try again, or raise fs.file-max.",
}
"""The same where the system does not name the file, as of a write to an open one."""
NETWORK = frozenset(
    number
    for number, name in errno.errorcode.items()
    if name.startswith(("ECONN", "ENET", "EHOST", "ETIMEDOUT", "EADDR"))
)
"""What connections fail with; no file is at fault."""
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


def sentence(error: Exception) -> str:
    """What an error of the system or of SQLite means, and the remedy; the text of any other error."""
    if isinstance(error, sqlite3.Error) and not isinstance(error, Fault):
        code = getattr(error, "sqlite_errorcode", 0) & PRIMARY
        return SQLITE.get(code) or (str(error) if str(error).endswith(".") else f"The database failed: {error}.")
    if isinstance(error, socket.gaierror) or (isinstance(error, OSError) and error.errno in NETWORK):
        return _capitalized(f"{error.strerror}.")
    if isinstance(error, OSError) and error.strerror:
        meaning = OS.get(error.errno or 0, f"{{}}: {error.strerror}.")
        if error.filename:
            return meaning.format(_named(error))
        return UNNAMED.get(error.errno or 0) or _capitalized(meaning.format("a file"))
    return str(error)


def _capitalized(text: str) -> str:
    return text[:1].upper() + text[1:]


def _named(error: OSError) -> str:
    """The path at fault: of a missing one, the first directory that is missing, for a new file is missing anyway."""
    path = Path(str(error.filename))
    above = [parent for parent in path.parents if error.errno == errno.ENOENT and not os.path.lexists(parent)]
    return str(above[-1] if above else path)
