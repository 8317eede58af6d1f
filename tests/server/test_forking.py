"""No SIGTERM is lost in a fork, which under load takes long enough for one to come."""

import signal
import subprocess
import sys

FORKED = """
import os, signal
entered, told = os.pipe(), os.pipe()

def early_in_the_child():
    os.write(entered[1], b"x")
    os.read(told[0], 1)

os.register_at_fork(after_in_child=early_in_the_child)
{hooks}
signal.signal(signal.SIGTERM, lambda *_: None)  # as the server has it, for itself
child = os.fork()
if not child:
    os._exit(7)  # it has not heard that it is to stop
os.read(entered[0], 1)
os.kill(child, signal.SIGTERM)
os.write(told[1], b"x")
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print(signal.SIGTERM in signal.pthread_sigmask(signal.SIG_BLOCK, ()))
"""
OURS = "from portal.server import forking; forking.keep_signals()"
ONLY_A_HANDLER = "os.register_at_fork(after_in_child=lambda: signal.signal(signal.SIGTERM, signal.SIG_DFL))"


def forked(hooks: str) -> list[str]:
    """How the child ended, and whether the parent blocks the signal afterwards."""
    program = FORKED.format(hooks=hooks)
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()


def test_a_signal_during_the_fork_ends_the_child() -> None:
    assert forked(OURS) == [str(-signal.SIGTERM), "False"]


def test_a_handler_alone_would_lose_it() -> None:
    assert forked(ONLY_A_HANDLER) == ["7", "False"]
