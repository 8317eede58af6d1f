"""Claims on keys, of threads and of processes."""

import multiprocessing
import os
import signal
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Thread

import pytest

from portal.store.claims import claim

NOBODY = 65534


def hold_for_ever(path: Path, key: str, ready: Connection) -> None:
    with claim(path, key) as free:
        ready.send(free)
        signal.pause()


def is_free(path: Path, key: str) -> bool:
    with claim(path, key) as free:
        return free


def test_a_key_has_one_holder_and_other_keys_are_free(tmp_path: Path) -> None:
    path = tmp_path / "claims.lock"
    with claim(path, "a") as free:
        assert free
        assert not is_free(path, "a")
        assert is_free(path, "b")
    assert is_free(path, "a")
    assert path.stat().st_size == 0


def test_threads_of_one_process_exclude_each_other(tmp_path: Path) -> None:
    path, found = tmp_path / "claims.lock", []
    with claim(path, "a"):
        other = Thread(target=lambda: found.append(is_free(path, "a")))
        other.start()
        other.join()
    assert found == [False]


def test_a_claim_ends_with_its_block_though_a_child_has_the_file_open(tmp_path: Path) -> None:
    path = tmp_path / "claims.lock"
    ours, theirs = os.pipe()
    with claim(path, "a"):
        child = os.fork()
        if child == 0:
            os.close(theirs)
            os.read(ours, 1)
            os._exit(0)
    free = is_free(path, "a")
    os.close(ours)
    os.close(theirs)
    os.waitpid(child, 0)
    assert free


def test_a_claim_ends_with_the_process_that_holds_it(tmp_path: Path) -> None:
    path = tmp_path / "claims.lock"
    ours, theirs = multiprocessing.Pipe()
    holder = multiprocessing.get_context("spawn").Process(target=hold_for_ever, args=(path, "a", theirs))
    holder.start()
    with ours, theirs:
        assert ours.recv()
        assert not is_free(path, "a")
        os.kill(holder.pid, signal.SIGKILL)
        holder.join()
    assert is_free(path, "a")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files for others")
def test_a_command_of_root_leaves_a_file_that_the_portal_can_open(tmp_path: Path) -> None:
    os.chown(tmp_path, NOBODY, NOBODY)
    with claim(tmp_path / "claims.lock", "key"):
        assert (tmp_path / "claims.lock").stat().st_uid == NOBODY


def test_another_holder_can_be_waited_for(tmp_path: Path) -> None:
    path, order = tmp_path / "claims.lock", []

    def wait() -> None:
        with claim(path, "key", wait=True) as free:
            order.append(free)

    waiting = Thread(target=wait)
    with claim(path, "key"):
        waiting.start()
        waiting.join(0.1)
        order.append("released")
    waiting.join()
    assert order == ["released", True]
