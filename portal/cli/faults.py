"""What went wrong, in one or two sentences: cause and remedy."""

import sqlite3

from portal.faults import Fault, sentence
from portal.packages.errors import PackageRejected
from portal.store.errors import Refused

FAULTS = (PackageRejected, Refused, Fault, OSError, sqlite3.Error)


def sentences(fault: Exception) -> str:
    """The text for standard error; several lines only where a package is rejected for several reasons."""
    if isinstance(fault, PackageRejected):
        return "\n".join(fault.errors)
    if isinstance(fault, Refused):
        return f"{fault.code}: {fault.detail}"
    return sentence(fault)
