"""What backup and restore report."""

from portal.faults import Fault


class BackupError(Fault):
    """A backup was not made, or a copy cannot be used; the message names cause and remedy."""
