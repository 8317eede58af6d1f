"""The walk-throughs of README.md and docs/ run word for word, in one store, in the order of a reader."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.browsing import CHROMIUM
from tests.support.pages import REPOSITORY, block, steps
from tests.support.portal import free_port

pytestmark = pytest.mark.seconds(90)

WALKTHROUGHS = (
    ("README.md", "walkthrough"),
    ("README.md", "package"),
    ("README.md", "device"),
    ("docs/publishing.md", "update"),
    ("docs/publishing-http.md", "http"),
    ("docs/publishing-http.md", "publishing"),
    ("docs/devices.md", "updates"),
    ("docs/devices.md", "devices"),
    ("docs/install-local.md", "again"),
    ("docs/operations.md", "move"),
)
# What a shell has itself, and what Debian's essential packages bring to every machine.
EVERYWHERE = set(re.findall(r"\S+", "case cd cp do done echo esac mkdir printf umask cat cmp head sed sha256sum stat"))
NO_PROGRAM = r"<<'END'\n[\s\S]*?^END$|'[^']*'|#.*$"
STARTED = r"(?:^|[|;(]|&&) *([a-z][\w.-]*)(?![\w=.-])"
WRITTEN = r"(?: > | --output | -o |mosis key generate |mosis init |mkdir |mosis pack \w+ )([a-z][\w./-]*)"
INSTALLED = "$mosis install org.acme.tiny --trust-first-use --from $STORE --into var/other\n"
BY_BROWSER = """
cat > steps.md <<'END'
{steps}
END
PYTHONPATH={repository} .venv/bin/python -m tests.support.steps steps.md
"""
WHOLE_AFTER_MOVE = (
    "curl -sS --fail-with-body $STORE/downloads/acme/org.acme.hello/1/package.mosis | cmp - hello.mosis\n"
)


@pytest.mark.parametrize(("page", "marker"), WALKTHROUGHS)
def test_what_the_walkthroughs_write_into_a_clone_is_ignored_by_git(page: str, marker: str) -> None:
    """Or somebody commits a token."""
    if not (REPOSITORY / ".git").exists():
        pytest.skip("this is no clone")
    for name in re.findall(WRITTEN, block(page, marker)):
        ignored = subprocess.run(["git", "check-ignore", "--quiet", "--no-index", name], cwd=REPOSITORY)
        assert ignored.returncode == 0, name


def test_a_first_app_takes_less_than_15_lines_by_command_and_by_browser_together() -> None:
    commands = [block("README.md", marker) for marker in ("walkthrough", "package")]
    assert len("".join([*commands, steps("README.md", "browser")]).splitlines()) < 15


def test_the_walkthroughs_need_what_readme_has_installed() -> None:
    [named] = re.findall(r"^apt-get install (.+)$", (REPOSITORY / "README.md").read_text(), re.MULTILINE)
    scripts = [re.sub(NO_PROGRAM, "", block(*each), flags=re.MULTILINE) for each in WALKTHROUGHS]
    started = {word for script in scripts for word in re.findall(STARTED, script, re.MULTILINE)}
    assert {"curl", "make"} <= started <= EVERYWHERE | set(named.split())


def test_the_walkthroughs_run_as_written(tmp_path: Path) -> None:
    for need in ("make", "curl", "cmp"):
        if shutil.which(need) is None:
            pytest.skip(f"{need} is not installed")
    blocks = {named: block(*named) for named in WALKTHROUGHS}
    blocks["README.md", "device"] = "$mosis catalogue\n" + blocks["README.md", "device"]  # instead of waiting a minute
    if CHROMIUM is not None:
        by_browser = BY_BROWSER.format(steps=steps("README.md", "browser"), repository=REPOSITORY)
        blocks["README.md", "package"] += by_browser + "$mosis catalogue\n" + INSTALLED
    script = "".join(blocks.values()) + WHOLE_AFTER_MOVE
    port, root, moved = free_port(), tmp_path / "store", tmp_path / "moved"
    # As printed but for the places: another test may have the default port.
    for default, own in (("127.0.0.1:8080", f"127.0.0.1:{port}"), ("var/mosis", root), ("/srv/mosis", moved)):
        assert default in script
        script = script.replace(default, str(own))
    script = script.replace("make ", f"make -C {REPOSITORY} ").replace(".venv/", f"{REPOSITORY}/.venv/")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("MOSIS_", "MAKE"))}
    environment |= {"ROOT": str(root), "PORT": str(port)}
    environment |= {f"XDG_{name}_HOME": str(tmp_path / name) for name in ("CONFIG", "CACHE")}
    try:
        ran = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True,
            timeout=600,
        )  # fmt: skip
        assert ran.returncode == 0, f"{ran.stdout[-3000:]}\n{ran.stderr[-3000:]}"
        first, second, third, _moved = re.findall(r"^(\d+) steps, (\d+) changed$", ran.stdout, re.MULTILINE)
        assert first[1] == first[0], "the first deploy left something out"
        assert second[1] == "0", "the second deploy changed something"
        assert third[1] == "1", "the third deploy did more than start the processes"
        assert '"updates":[{"app_id":"org.acme.hello"' in ran.stdout
        token = (root / "secrets" / "admin-token").read_text().strip()
        assert token not in ran.stdout + ran.stderr
    finally:
        for place in (root, moved):
            subprocess.run(["make", "-C", REPOSITORY, "down", f"ROOT={place}"], env=environment, capture_output=True)
