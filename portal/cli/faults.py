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
    (r"^Missing argument '(.*)'\.$", r"\1 is missing: give it as the usage above shows."),
    (r"^Missing option '(.*)'\.$", r"\1 is missing: this command requires it."),
    (r"^No such option: (\S+) \(Possible options: (.*)\)$", r"There is no option \1: do you mean \2?"),
    (r"^No such option: (\S+)$", r"There is no option \1: check its spelling."),
    (r"^No such command '(.*)'\.$", r"There is no command \1: check its spelling."),
    (r"^Got unexpected extra argument(?:s|\(s\))? \((.*)\)$", r"Too many arguments: leave \1 out, or quote spaces."),
    (r"^Option '(.*)' requires (an argument|\d+ arguments)\.$", r"\1 requires a value: write it after the option."),
)
"""What is wrong with a command line, as pydantic or click says it and as a person does, with the remedy."""


def plainly(message: str) -> str:
    """The message of a wrong usage in plain words."""
    for pattern, words in VALUES:
        message = re.sub(pattern, words, message)
    return message


def sentences(fault: Exception) -> str:
    """The text for standard error; several lines only where a package is rejected: its reasons, then the remedies."""
    if isinstance(fault, PackageRejected):
        return "\n".join([*fault.errors, *fault.remedies])
    if isinstance(fault, Refused):
        return f"{fault.code}: {fault.detail}"
    return sentence(fault)
