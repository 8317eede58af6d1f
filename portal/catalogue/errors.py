"""Faults of the catalogue, for those who only report them."""

from portal.faults import Fault


class KeysError(Fault):
    """The keys of the catalogue are missing or unusable; the message names the remedy."""
