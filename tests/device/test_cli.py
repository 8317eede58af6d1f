"""The command: what it prints, where, and how it exits."""

import hashlib
import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mosis_device import cli
from mosis_device.device import Outcome
from portal.jobs import table
from tests.device.shelf import Copy, Shelf
from tests.device.test_device import NOBODY
from tests.packages.samples import APP_ID
from tests.support.portal import MOSIS
from tests.support.small_disk import SmallDisk

ALONE = [sys.executable, "-m", "mosis_device"]
REPOSITORY = Path(__file__).parents[2]


def run(*words: str | Path, prefix: tuple[str, ...] = (), alone: bool = True) -> subprocess.CompletedProcess[str]:
    command = [*prefix, *(ALONE if alone else [MOSIS, "install"]), *words]
    return subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY)


@pytest.fixture
def root(tmp_path: Path, shelf: Shelf) -> Path:
    """The root that the operator gave out."""
    shelf.publish(1)
    path = tmp_path / "given.json"
    path.write_bytes(shelf.catalogue.first_root)
    return path


@pytest.mark.parametrize("alone", [True, False], ids=["mosis-install", "mosis install"])
def test_installed_apps_are_plain_lines(copy: Copy, root: Path, tmp_path: Path, alone: bool) -> None:
    done = run(APP_ID, "--from", NOBODY, "--from", copy.url, "--into", tmp_path / "phone", "--root", root, alone=alone)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{APP_ID} 1.0.0 (1) is installed: {tmp_path}/phone/apps/{APP_ID}/1\n"
    assert done.stderr == ""


def test_one_json_object_per_app(copy: Copy, root: Path, tmp_path: Path) -> None:
    done = run(APP_ID, "org.example.unknown", "--from", copy.url, "--into", tmp_path / "p", "--root", root, "--json")
    installed, refused = map(json.loads, done.stdout.splitlines())
    assert done.returncode == 1
    assert installed == {
        "app_id": APP_ID, "outcome": "installed", "version_code": 1, "version_name": "1.0.0",
        "path": f"{tmp_path}/p/apps/{APP_ID}/1",
    }  # fmt: skip
    assert refused["reason"] == "unknown-app"


def test_an_app_that_was_just_published_is_worth_another_try_when_the_schedules_have_run(
    copy: Copy, root: Path, tmp_path: Path
) -> None:
    assert (table.BY_NAME["catalogue"].time, table.BY_NAME["mirror"].time) == ("* * * * *", "*/5 * * * *")
    done = run("org.example.unknown", "--from", copy.url, "--into", tmp_path / "p", "--root", root)
    assert "run the command again in a minute, or in seven if it asks a mirror or a CDN." in done.stdout + done.stderr


def test_the_root_is_remembered_and_all_apps_are_updated(copy: Copy, root: Path, tmp_path: Path, shelf: Shelf) -> None:
    into = ("--from", copy.url, "--into", str(tmp_path / "phone"))
    shelf.publish(1, app_id="org.example.writer")
    assert run(APP_ID, "org.example.writer", *into, "--root", root).returncode == 0
    shelf.publish(2)
    done = run("--all", *into)
    assert [line.partition(":")[0] for line in done.stdout.splitlines()] == [
        f"{APP_ID} 2.0.0 (2) is updated", "org.example.writer 1.0.0 (1) is current"
    ]  # fmt: skip


def test_trust_on_first_use_is_asked_for_and_shows_the_fingerprint(copy: Copy, root: Path, tmp_path: Path) -> None:
    words = (APP_ID, "--from", copy.url, "--into", str(tmp_path / "phone"))
    done = run(*words)
    assert done.returncode == 1
    assert "--trust-first-use" in done.stderr
    done = run(*words, "--trust-first-use")
    assert done.returncode == 0
    assert hashlib.sha256(root.read_bytes()).hexdigest() in done.stderr
    assert run(*words, "--trust-first-use").stderr == "", "it is trusted already"


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["--from", NOBODY], 2, "name apps, or give --all"),
        ([APP_ID, "--all", "--from", NOBODY], 2, "name apps, or give --all"),
        ([APP_ID], 2, "--from"),
        ([APP_ID, "--from", "nowhere"], 2, "begin it with https://"),
        ([APP_ID, "--from", "http://"], 1, "No host specified"),
        (["../../etc", "--from", NOBODY], 1, "is not an app ID"),
        ([APP_ID, "--from", NOBODY], 1, "2.root.json cannot be reached: Connection refused. Check"),
        ([APP_ID, "--from", NOBODY, "--root", "/nowhere/root.json"], 1, "/nowhere/root.json"),
        ([APP_ID, "--from", NOBODY, "--root", "/dev/null"], 1, "not root metadata"),
        ([APP_ID, "--from", NOBODY, "--into", "/dev/null/apps"], 1, "/dev/null/apps"),
    ],
)
def test_what_is_wrong_is_one_line(root: Path, tmp_path: Path, words: list[str], status: int, said: str) -> None:
    given = [*words, *([] if "--into" in words else ["--into", str(tmp_path / "phone")])]
    done = run(*given, *([] if "--root" in words else ["--root", str(root)]))
    assert done.returncode == status, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert status == 2 or len(done.stderr.splitlines()) == 1


def test_a_terminal_shows_a_bar(copy: Copy, root: Path, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    command = [*ALONE, APP_ID, "--from", copy.url, "--into", str(tmp_path / "phone"), "--root", str(root)]
    subprocess.run(command, stderr=theirs, stdout=subprocess.PIPE, check=True, cwd=REPOSITORY)
    os.close(theirs)
    shown = os.read(ours, 4096).decode()
    os.close(ours)
    assert "of 0.0 MB" in shown
    assert "[##############################]" in shown


def test_another_installation_is_not_disturbed(copy: Copy, root: Path, tmp_path: Path) -> None:
    words = (APP_ID, "--from", copy.url, "--into", str(tmp_path / "phone"))
    second: list[subprocess.CompletedProcess[str]] = []

    def meanwhile(path: str) -> None:
        if path.endswith("timestamp.json") and not second:
            second.append(run(*words))

    copy.before = meanwhile
    assert run(*words, "--root", root).returncode == 0
    assert second[0].returncode == 1
    assert "is running" in second[0].stderr


def test_a_full_disk_is_said_and_keeps_what_is_installed(
    copy: Copy, root: Path, shelf: Shelf, small_disk: SmallDisk
) -> None:
    inside = tuple(small_disk.inside())
    words = (APP_ID, "--from", copy.url, "--into", str(small_disk.path / "phone"))
    assert run(*words, "--root", root, prefix=inside).returncode == 0
    shelf.publish(2, files={"lib/noise.bin": os.urandom(1_000_000)})
    small_disk.fill()
    done = run(*words, prefix=inside)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("The disk of ") or done.stderr.startswith(f"{APP_ID}: The disk of "), done.stderr
    small_disk.run("rm", small_disk.path / "fill")
    done = run(*words, prefix=inside)
    assert "2.0.0 (2) is updated" in done.stdout, done.stderr


def test_a_directory_that_cannot_be_written_is_said(copy: Copy, root: Path, small_disk: SmallDisk) -> None:
    small_disk.run("mount", "-o", "remount,ro", small_disk.path)
    words = (APP_ID, "--from", copy.url, "--into", str(small_disk.path / "phone"), "--root", root)
    done = run(*words, prefix=tuple(small_disk.inside()))
    assert done.returncode == 1
    assert "read-only file system" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_page_of_a_network_that_asks_to_log_in_is_not_trusted(copy: Copy, root: Path, tmp_path: Path) -> None:
    (copy.root / "catalogue/metadata/1.root.json").write_text("<html>Log in</html>")
    words = (APP_ID, "--from", copy.url, "--into", str(tmp_path / "phone"), "--trust-first-use")
    assert run(*words).returncode == 1
    assert not (tmp_path / "phone/root.json").exists()


def test_words_of_strangers_do_not_drive_the_terminal(copy: Copy, root: Path, tmp_path: Path, shelf: Shelf) -> None:
    words = (APP_ID, "--from", copy.url, "--into", str(tmp_path / "phone"))
    assert run(*words, "--root", root).returncode == 0
    shelf.documents[APP_ID]["withdrawn"] = [{"version_code": 1, "reason": "It\x1b[2J crashes.\r\nAll is well."}]
    shelf.sign()
    done = run(*words)
    assert done.stderr == f"The installed version 1 of {APP_ID} is withdrawn: It [2J crashes.  All is well.\n"


def test_an_interrupted_command_says_that_it_continues(copy: Copy, root: Path, tmp_path: Path) -> None:
    process: list[subprocess.Popen[str]] = []

    def interrupt(path: str) -> None:
        if path.endswith(".mosis"):
            process[0].send_signal(signal.SIGINT)
            process[0].wait()  # it would be too late once the answer is there

    copy.before = interrupt
    listening = ["env", "--default-signal=INT"]  # whatever this process does with the signal
    command = [*listening, *ALONE, APP_ID, "--from", copy.url, "--into", tmp_path / "phone", "--root", root]
    process.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=REPOSITORY))
    _, shown = process[0].communicate()
    assert process[0].returncode == 1
    assert shown == "Interrupted: run the command again, and it continues.\n"


@pytest.mark.parametrize(
    "outcome",
    [
        Outcome(APP_ID, "installed", 1, "1.0\x1b[2J\u202e\n", "/apps/a"),
        Outcome(APP_ID, "refused", reason="malformed", detail="Bad \x1b]0;owned\x07\r name."),
    ],
)
def test_what_others_wrote_controls_no_terminal(outcome: Outcome, capsys: pytest.CaptureFixture[str]) -> None:
    for as_json in (False, True):
        cli._print(outcome, as_json=as_json)
        out, err = capsys.readouterr()
        assert (out + err)[:-1].isprintable()
