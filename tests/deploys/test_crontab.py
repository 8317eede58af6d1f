"""Files of others that a deploy edits: run on private copies, every foreign line stays byte for byte."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deploys.plan import plan
from deploys.plan.dsm_times import OURS
from deploys.plan.release import Release
from deploys.synology import bootstrap, task_scheduler

NAS = {"mosis_runtime": "compose", "mosis_share": "mosis", "mosis_root": "/volume1/mosis"}
UNEXPRESSIBLE = {"mosis_schedules": {"cleanup": "7 1 1 * *", "drill": "0 3,15 * * *"}}
SHELLS = [shell for shell in ("dash", "bash") if shutil.which(shell)]
FOREIGN = b"0\t5\t*\t*\t*\troot\t/usr/syno/bin/synoschedtask --run id=7"
OLD = b"9\t9\t9\t*\t*\troot\t/volume2/@mosis/bin/job-cleanup"


class Etc:
    """A private /etc with the script of a NAS, and a synosystemctl that does nothing."""

    def __init__(self, directory: Path, release: Release) -> None:
        files = {file.path: file.content for file in plan(NAS | UNEXPRESSIBLE, release).stack.files}
        script = files["/volume1/@mosis/bin/crontab"]
        script = re.sub(r"export PATH=\S+", lambda found: f"{found[0]}:{directory}/bin", script)
        self.crontab, self.script = directory / "crontab", directory / "script"
        self.block = files["/volume1/@mosis/etc/crontab"].encode()
        (directory / "block").write_bytes(self.block)
        (directory / "bin").mkdir()
        (directory / "bin/synosystemctl").write_text("#!/bin/sh\n")
        (directory / "bin/synosystemctl").chmod(0o755)
        script = script.replace("/volume1/@mosis/etc/crontab", f"{directory}/block")
        self.script.write_text(script.replace("/etc/crontab", str(self.crontab)))

    def run(self, shell: str, before: bytes) -> bytes:
        self.crontab.write_bytes(before)
        self.crontab.chmod(0o640)
        done = subprocess.run([shell, self.script], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        assert self.crontab.stat().st_mode & 0o777 == 0o640
        return self.crontab.read_bytes()

    def current(self, shell: str) -> bool:
        return not subprocess.run([shell, self.script, "--check"], check=False).returncode


@pytest.fixture
def etc(tmp_path: Path, release: Release) -> Etc:
    return Etc(tmp_path, release)


def others(content: bytes) -> list[bytes]:
    """The lines that are not the store's."""
    lines = content.split(b"\n")
    return [line for line in lines[: len(lines) - (lines[-1] == b"")] if not re.fullmatch(OURS[1:-1].encode(), line)]


CASES = {
    "empty": b"",
    "only others": FOREIGN + b"\n",
    "last line without a newline": FOREIGN,
    "end is missing": b"# BEGIN mosis\n" + OLD + b"\n" + FOREIGN + b"\n",
    "begin is missing": OLD + b"\n# END mosis\n" + FOREIGN + b"\n",
    "others in the middle": b"# BEGIN mosis\n" + FOREIGN + b"\n" + OLD + b"\n# END mosis\n",
    "two blocks": 2 * (b"# BEGIN mosis\n" + OLD + b"\n# END mosis\n" + FOREIGN + b"\n"),
    "a marker glued to a command": FOREIGN + b"# BEGIN mosis\n" + OLD + b"\n# END mosis\n",
    "lines of Windows": b"# BEGIN mosis\r\n" + FOREIGN + b"\r\n",
    "no UTF-8": b"# caf\xe9 \xff\n" + FOREIGN + b"\n",
}


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("before", CASES.values(), ids=CASES)
def test_the_store_s_lines_are_there_once_and_those_of_others_as_they_were(before: bytes, shell: str, etc: Etc) -> None:
    after = etc.run(shell, before)
    assert others(after) == others(before)
    assert after.endswith(etc.block) and after.count(b"job-cleanup") == 1
    assert etc.current(shell)


LINES = st.one_of(
    st.binary(max_size=30).map(lambda line: line.translate(None, b"\n\0")),
    st.sampled_from(
        [FOREIGN, FOREIGN + b"# BEGIN mosis", b"#" + OLD, OLD + b" --more", b"# BEGIN mosis ", b"%", b"\\"]
    ),
    st.sampled_from([b"# BEGIN mosis", b"# END mosis", OLD]),
)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(lines=st.lists(LINES, max_size=8), ended=st.booleans())
def test_whatever_stands_there_others_keep_their_lines(lines: list[bytes], ended: bool, etc: Etc) -> None:
    before = b"\n".join(lines) + (b"\n" if ended else b"")
    after = etc.run(SHELLS[0], before)
    assert others(after) == others(before)
    assert after.endswith(etc.block) and etc.current(SHELLS[0])
    etc.crontab.write_bytes(before)  # where a marker may be missing
    removed = task_scheduler.lines_removed(str(etc.crontab))
    subprocess.run(["sh", "-c", removed], check=True)
    assert etc.crontab.read_bytes().removesuffix(b"\n") == b"\n".join(others(before))


def test_a_check_changes_nothing(etc: Etc) -> None:
    etc.crontab.write_bytes(FOREIGN)
    assert not etc.current("sh")
    assert etc.crontab.read_bytes() == FOREIGN


@pytest.mark.parametrize("before", [None, b"", b"ssh-ed25519 AAAA other\n", b"ssh-ed25519 AAAA other"])
@pytest.mark.parametrize("shell", SHELLS)
def test_a_key_is_added_on_a_line_of_its_own(before: bytes | None, shell: str, tmp_path: Path) -> None:
    keys = tmp_path / "authorized_keys"
    if before is not None:
        keys.write_bytes(before)
    subprocess.run([shell, "-c", bootstrap.line_added("ssh-ed25519 BBBB own", str(keys))], check=True)
    assert keys.read_bytes().splitlines() == [*(before or b"").splitlines(), b"ssh-ed25519 BBBB own"]
