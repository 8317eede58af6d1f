"""`mosis login` keeps a token where only its owner reads it, and says what is wrong with one that does not work."""

import json
import os
import pty
import select
import subprocess
from pathlib import Path

import pytest

from portal.developer import credentials
from portal.faults import Fault
from tests.developer.conftest import Developer, Front
from tests.support.developer_machine import Machine
from tests.support.portal import MOSIS

WRONG = f"mosis_{'0' * 16}_{'a' * 43}"
BACKEND = """
import json, os, keyring.backend
class Keyring(keyring.backend.KeyringBackend):
    priority = 1
    def _all(self):
        try: return json.load(open(os.environ["KEYRING_FILE"]))
        except FileNotFoundError: return {}
    def set_password(self, service, username, password):
        json.dump(self._all() | {username: password}, open(os.environ["KEYRING_FILE"], "w"))
    def get_password(self, service, username):
        return self._all().get(username)
    def delete_password(self, service, username):
        rest = self._all(); del rest[username]; json.dump(rest, open(os.environ["KEYRING_FILE"], "w"))
class Locked(Keyring):
    def set_password(self, *words): raise keyring.errors.KeyringLocked("locked")
"""


def on_a_terminal(machine: Machine, *words: str, typed: str = "", **environment: str) -> tuple[int, str]:
    """Exit status and what the terminal shows; a line of `typed` is sent each time that the command asks."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [MOSIS, *words], cwd=machine.work, env=machine.environ(**environment), stdin=slave, stdout=slave, stderr=slave,
        start_new_session=True,
    )  # fmt: skip
    os.close(slave)
    shown, lines = b"", typed.splitlines(keepends=True)
    while True:
        select.select([master], [], [], 120)
        try:
            chunk = os.read(master, 65536)
        except OSError:
            break
        if not chunk:
            break
        shown += chunk
        if lines and shown.endswith(b": "):
            os.write(master, lines.pop(0).encode())
    os.close(master)
    return process.wait(120), shown.decode()


@pytest.fixture
def keyring(developer: Developer, tmp_path: Path) -> Path:
    """A keyring of a desktop; `developer` finds it."""
    (tmp_path / "desktop_keyring.py").write_text(BACKEND)
    developer.environment |= {
        "PYTHONPATH": str(tmp_path), "PYTHON_KEYRING_BACKEND": "desktop_keyring.Keyring",
        "KEYRING_FILE": str(tmp_path / "keyring.json"),
    }  # fmt: skip
    return tmp_path / "keyring.json"


def test_without_a_terminal_the_token_is_in_a_file_of_mode_600(developer: Developer, keyring: Path) -> None:
    said = developer.sign_in()
    path = developer.config / "credentials.json"
    assert f"as {developer.developer_id}, scope developer, until 20" in said and str(path) in said
    assert path.stat().st_mode & 0o777 == 0o600 and path.parent.stat().st_mode & 0o777 == 0o700
    assert developer.token in path.read_text() and developer.token not in said
    assert not keyring.exists()


def test_on_a_terminal_the_token_is_in_the_keyring(developer: Developer, keyring: Path) -> None:
    status, shown = on_a_terminal(developer, "login", developer.url, typed=f"{developer.token}\n")
    assert status == 0 and "The token is in the keyring." in shown and developer.token not in shown
    assert json.loads(keyring.read_text()) == {developer.url: developer.token}
    assert developer.token not in (developer.config / "credentials.json").read_text()
    assert on_a_terminal(developer, "apps") == (0, "")
    assert "asked on a terminal only: set MOSIS_TOKEN" in developer.failed(1, "apps")
    assert on_a_terminal(developer, "logout")[0] == 0
    assert json.loads(keyring.read_text()) == {}


@pytest.mark.parametrize("backend", ["desktop_keyring.Locked", "keyring.backends.fail.Keyring", "no_such.Keyring"])
def test_a_keyring_that_does_not_work_is_not_used(developer: Developer, keyring: Path, backend: str) -> None:
    status, shown = on_a_terminal(
        developer, "login", developer.url, typed=f"{developer.token}\n", PYTHON_KEYRING_BACKEND=backend
    )
    assert status == 0 and "credentials.json" in shown
    developer.done("apps")


def test_a_wrong_token_is_not_kept(developer: Developer) -> None:
    for typed in (WRONG, "", "x", f"{WRONG}\r\nInjected: yes", WRONG[:-1]):
        developer.failed(4, "login", developer.url, typed=typed)
    assert not developer.config.exists()


def test_a_token_that_no_longer_works_is_named_with_one_wording(developer: Developer, front: Front) -> None:
    developer.sign_in()
    with front.portal.store.db.write() as tx:
        tx.execute("UPDATE tokens SET revoked_at = 1 WHERE token_id = ?", (developer.token.split("_")[1],))
    wording = f"{front.url} does not accept the token: it is unknown, expired or revoked. "
    remedy = f"Run `mosis login {front.url}`, or set MOSIS_TOKEN to a valid token.\n"
    app = developer.app(developer.developer_id)
    for words in (("apps",), ("push", app), ("key", "list"), ("review", "list")):
        assert developer.failed(4, *words) == wording + remedy
    typed = f"{developer.token}\n"
    assert developer.failed(4, "login", typed=typed) == f"{wording}The store's operator issues tokens.\n"


def test_signed_out(developer: Developer) -> None:
    assert "run `mosis login URL`, or set MOSIS_URL and MOSIS_TOKEN" in developer.failed(4, "apps")
    assert "Not signed in" in developer.failed(4, "logout")
    developer.sign_in()
    assert developer.done("logout") == (
        f"Signed out of {developer.url}. No store is chosen now: `mosis login URL` chooses one.\n"
    )
    assert developer.token not in (developer.config / "credentials.json").read_text()
    developer.failed(4, "apps")


def test_login_without_a_url_is_to_the_store_of_the_last_login(developer: Developer) -> None:
    refused = developer.failed(2, "login", typed=developer.token)
    assert refused.endswith("No store is known yet: name its URL, as in `mosis login https://store.example.org`.\n")
    developer.sign_in()
    assert developer.sign_in() == developer.done("login", typed=developer.token)
    status, shown = on_a_terminal(developer, "login", typed=f"\n{developer.token}\n")
    assert status == 0 and f"URL of the store [{developer.url}]: " in shown, shown


def test_logout_says_which_store_is_the_chosen_one_now(developer: Developer) -> None:
    developer.sign_in()
    other = developer.url.replace("127.0.0.1", "localhost")
    developer.sign_in(other)
    assert developer.done("logout") == f"Signed out of {other}. Commands use {developer.url} now.\n"


def test_login_at_a_page_of_the_store_names_the_store(developer: Developer) -> None:
    assert developer.failed(1, "login", f"{developer.url}/console", typed=developer.token) == (
        f"There is no store at {developer.url}/console: try {developer.url}.\n"
    )


def test_login_by_https_at_a_store_that_speaks_http_names_the_scheme(developer: Developer) -> None:
    wrong = developer.url.replace("http:", "https:")
    assert developer.failed(1, "login", wrong, typed=developer.token) == (
        f"{wrong} speaks HTTP: try {developer.url}.\n"
    )


@pytest.mark.parametrize("content", ["", "{", "[]", '{"current": 1}', '{"current": null, "stores": {"a": 3}}'])
def test_a_damaged_file_names_the_remedy(developer: Developer, content: str) -> None:
    developer.config.mkdir(parents=True)
    path = developer.config / "credentials.json"
    path.write_text(content)
    path.chmod(0o600)
    assert developer.failed(1, "apps") == f"{path} is damaged: delete it, then run `mosis login URL`.\n"


def test_a_file_that_others_can_read_is_refused(developer: Developer) -> None:
    developer.sign_in()
    (developer.config / "credentials.json").chmod(0o644)
    assert "chmod 600" in developer.failed(1, "apps")


def test_a_home_that_cannot_be_written(developer: Developer) -> None:
    """Nothing can be kept, and the environment does without."""
    blocked = developer.home / "file"
    blocked.touch()
    refused = developer.mosis("login", developer.url, typed=developer.token, XDG_CONFIG_HOME=str(blocked))
    assert refused.returncode == 1 and "Traceback" not in refused.stderr and str(blocked) in refused.stderr
    environment = {"MOSIS_TOKEN": developer.token, "MOSIS_URL": developer.url, "XDG_CONFIG_HOME": str(blocked)}
    developer.done("key", "generate", "key.pem", **environment)
    app = developer.app(developer.developer_id)
    developer.done("push", app, "--key", "key.pem", XDG_CACHE_HOME=str(blocked), **environment)


@pytest.mark.parametrize(
    ("typed", "url"),
    [
        ("store.example.org", "https://store.example.org"),
        ("http://nas:8080/", "http://nas:8080"),
        ("https://example.org/store/", "https://example.org/store"),
    ],
)
def test_urls(typed: str, url: str) -> None:
    assert credentials.url_of(typed) == url


@pytest.mark.parametrize(
    "typed", ["", "ftp://a", "https://", "https://a?b", "https://user:secret@a", "http://[", "a b", "http://a:b", "a:0"]
)
def test_what_is_no_url(typed: str) -> None:
    with pytest.raises(Fault, match="is not the URL of a store"):
        credentials.url_of(typed)
