"""What backup and restore report."""


class BackupError(RuntimeError):
    """A backup was not made, or a copy cannot be used; the message names cause and remedy."""
