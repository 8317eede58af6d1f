"""Wrong usage that is no matter of one value."""

from typer._click.exceptions import UsageError


class WrongUsage(UsageError):
    """Exit status 2 with a whole sentence: click puts "Invalid value for" before that of a BadParameter."""
