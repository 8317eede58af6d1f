"""No death of the server is lost in a fork, which under load takes long enough for one to come."""

import os
import subprocess
import sys

FORKED = """
import os, signal, sys
entered, told = map(int, sys.argv[1:])

def early_in_the_child():
    os.write(entered, b"entered ")
    os.read(told, 1)

os.register_at_fork(after_in_child=early_in_the_child)
from portal.server import forking; forking.end_with_server()
if os.fork():
    signal.pause()
os.write(entered, b"outlived its server")
"""


def test_a_server_that_is_killed_during_the_fork_leaves_no_worker() -> None:
    (heard, entered), (told, tell) = os.pipe(), os.pipe()
    server = subprocess.Popen([sys.executable, "-c", FORKED, str(entered), str(told)], pass_fds=(entered, told))
    os.close(entered)
    os.close(told)
    with os.fdopen(heard, "rb", buffering=0) as worker, os.fdopen(tell, "wb", buffering=0) as telling:
        assert worker.read(8) == b"entered "
        server.kill()
        server.wait()
        telling.write(b"x")
        assert worker.read() == b""
