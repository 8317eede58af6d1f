"""What goes wrong on a developer's machine ends in a sentence, and nothing half is left."""

import json
import os
import signal
import subprocess
import time

import pytest

from tests.developer.conftest import Developer
from tests.support.cutting import CuttingProxy
from tests.support.portal import MOSIS
from tests.support.small_disk import SmallDisk

SOME = 9_000_000  # bytes; more than a client sends at once


@pytest.fixture
def signed_in(developer: Developer) -> Developer:
    developer.sign_in()
    return developer


def test_the_disk_of_temporary_files_is_full(signed_in: Developer, small_disk: SmallDisk) -> None:
    small_disk.fill()
    small_disk.run(
        "truncate", "--size=-200K", small_disk.path / "fill"
    )  # Python looks elsewhere if there is no room at all
    app = signed_in.app(signed_in.developer_id, payload=os.urandom(1_000_000))
    refused = signed_in.failed(1, "push", app, TMPDIR=str(small_disk.seen))
    assert refused.endswith("free space on it.\n")
    assert list(small_disk.seen.glob("mosis-*")) == []


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda app: (app / "link").symlink_to("/etc/passwd"), "is a link or a device"),
        (lambda app: os.mkfifo(app / "pipe"), "is a link or a device"),
        (lambda app: (app / "manifest.json").write_bytes(b"\xef\xbb\xbf{}"), "byte order mark"),
        (lambda app: (app / "manifest.json").write_text("{"), "is not JSON"),
        (lambda app: (app / "manifest.json").unlink(), "run `mosis init "),
        (lambda app: (app / "key.pem").write_text("-----BEGIN PRIVATE KEY-----\n"), "has a private key"),
        (lambda app: (app / "aux").write_text(""), "device name on Windows"),
        (lambda app: os.truncate(app / "payload.bin", 600 * 1024 * 1024), ", more than the 536870912 (537 MB) allowed"),
        (lambda app: app.rename(app.with_name("away")), "does not exist"),
    ],
)
def test_a_directory_that_is_no_app(signed_in: Developer, spoil, reason: str) -> None:
    app = signed_in.app(signed_in.developer_id)
    spoil(app)
    refused = signed_in.failed(1, "push", app)
    assert reason in refused and str(app) in refused
    assert signed_in.done("apps") == ""


class Dying(CuttingProxy):
    """A network that brings nothing any more once it has carried some bytes."""

    def _count(self, *, cut: int = 0, carried: int = 0) -> None:
        super()._count(cut=cut, carried=carried)
        if self.carried >= SOME:
            self._after = 1


def test_ctrl_c_in_the_middle_and_the_same_command_again(signed_in: Developer) -> None:
    """With --bump too: the version that was raised is the one that is continued."""
    app = signed_in.app(signed_in.developer_id)
    signed_in.done("push", app)
    (app / "payload.bin").write_bytes(os.urandom(40_000_000))
    port = int(signed_in.url.rpartition(":")[2])
    with Dying(port, cuts=10**6, after=SOME) as network:
        process = subprocess.Popen(
            [MOSIS, "push", app, "--bump", "patch", "--url", network.url], stderr=subprocess.PIPE, text=True,
            env=signed_in.environ(MOSIS_TOKEN=signed_in.token, MOSIS_KEY=str(signed_in.config / "key.pem")),
        )  # fmt: skip
        while network.carried < SOME and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=120)
        network.cuts_left = 0
        before = network.carried
        assert process.returncode == 130
        assert said.endswith("Interrupted: the same command continues the upload.\n")
        pushed = json.loads(
            signed_in.done("push", app, "--bump", "patch", "--json", "--url", network.url, MOSIS_TOKEN=signed_in.token,
                           MOSIS_KEY=str(signed_in.config / "key.pem"))
        )  # fmt: skip
    assert (pushed["version_code"], pushed["status"]) == (2, "draft")
    assert network.carried - before < 40_000_000, "the upload began anew"


def test_a_pipe_that_is_closed_ends_quietly(signed_in: Developer) -> None:
    signed_in.done("push", signed_in.app(signed_in.developer_id))
    read, write = os.pipe()
    os.close(read)
    ran = subprocess.run([MOSIS, "apps"], env=signed_in.environ(), stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert "Traceback" not in ran.stderr


def test_without_a_key_of_ones_own_the_remedy_is_named(developer: Developer) -> None:
    developer.done("pack", developer.app("hello"), "hello.mosis")
    for words in (("sign", "hello.mosis"), ("key", "proof", "--developer", "acme")):
        assert "`mosis key generate` makes one" in developer.failed(1, *words)
