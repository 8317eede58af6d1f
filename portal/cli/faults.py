"""What went wrong, in one or two sentences: cause and remedy."""

import re
import sqlite3

from portal.faults import Fault, sentence
from portal.packages.errors import PackageRejected
from portal.store.errors import Refused

FAULTS = (PackageRejected, Refused, Fault, OSError, sqlite3.Error)


VALUES = (
    (r"^Value error, ", ""),
    (r"^Input should be a valid integer.*", "must be a whole number."),
    (r"^Input should be a valid number.*", "must be a number."),
    (r"^Input should be (.*?)\.?$", r"must be \1."),
)
"""What is wrong with a value, as pydantic says it and as a person does."""


def plainly(message: str) -> str:
    """The message of a wrong usage in plain words."""
    for pattern, words in VALUES:
        message = re.sub(pattern, words, message)
    return message


def sentences(fault: Exception) -> str:
    """The text for standard error; several lines only where a package is rejected for several reasons."""
    if isinstance(fault, PackageRejected):
        return "\n".join(fault.errors)
    if isinstance(fault, Refused):
        return f"{fault.code}: {fault.detail}"
    return sentence(fault)
