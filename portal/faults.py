"""What ends a command with one or two sentences instead of a traceback."""


class Fault(Exception):
    """Something that a person must mend; the message names cause and remedy."""
