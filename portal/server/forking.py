"""A worker ends with its server, also when that is killed in the middle of forking it.

A worker that outlives a killed server would keep the port, and the server's restart would fail.
"""

import os

from portal.jobs.child import end_with


def end_with_server() -> None:
    """From now on children of this process end with it, from their first instruction on."""
    parent = [0]
    os.register_at_fork(before=lambda: parent.__setitem__(0, os.getpid()), after_in_child=lambda: end_with(parent[0]))
