"""What the operator of a host does to apps, developers and reviews by commands."""

import json
import subprocess
from pathlib import Path
from subprocess import PIPE

import pytest

from portal.recovery import lineage
from portal.store import apps, asset_rows, assets, audit, passkeys, tokens, versions
from portal.store.authenticators import RelyingParty
from portal.store.store import Store
from tests.packages.samples import APP_ID
from tests.support.authenticator import Authenticator
from tests.support.portal import MOSIS, add_developer, environ, mosis
from tests.support.publishing import add_app, change, publish

REASON = ("--reason", "By order of a court.")


@pytest.fixture
def full(store: Store) -> Store:
    """A store with one app of one published version, and one that waits."""
    add_developer(store, "acme")
    add_developer(store, "buyer", key=None)
    add_app(store, APP_ID)
    publish(store, APP_ID, 1)
    with pytest.MonkeyPatch.context() as draft:
        draft.setattr("tests.support.publishing.change", lambda *_: None)
        publish(store, APP_ID, 2)
    change(store, APP_ID, 2, "submit")
    return store


def ran(store: Store, *words: str) -> str:
    done = mosis(store, *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_token_that_cannot_be_shown_is_not_issued(store: Store) -> None:
    """Nobody would have it, and it would be valid for months."""
    add_developer(store, "acme")
    before = tokens.every(store.db.read())
    with Path("/dev/full").open("w") as full_disk:
        done = subprocess.run([MOSIS, "token", "create", "acme"], env=environ(store), stdout=full_disk, stderr=PIPE)
    assert done.returncode == 1 and b"disk is full" in done.stderr
    assert tokens.every(store.db.read()) == before


def test_a_first_token_is_issued_once_until_none_is_valid(store: Store, tmp_path: Path) -> None:
    create = ("token", "create", "admin", "--scope", "admin", "--first", "--output", str(tmp_path / "token"))
    ran(store, *create)
    (tmp_path / "token").unlink()
    ran(store, *create[:6], "--check")  # what a deploy asks, which changes nothing then
    assert "none is created" in ran(store, *create)
    assert not (tmp_path / "token").exists()
    [token] = tokens.every(store.db.read(), "admin")
    with store.db.write() as tx:
        tokens.revoke(tx, audit.OPERATOR, "admin", token.token_id)
    ran(store, *create)
    assert (tmp_path / "token").exists()


def test_a_first_token_that_has_ended_is_replaced_in_its_file(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "token"
    create = ("token", "create", "admin", "--scope", "admin", "--first", "--output", str(file))
    ran(store, *create)
    ran(store, *create, "--check")
    before = file.read_text()
    with store.db.write() as tx:
        tx.execute("UPDATE tokens SET expires_at = 1")
    checked = mosis(store, *create, "--check")
    assert (checked.returncode, checked.stdout) == (1, "no token of scope admin is valid: one would be created\n")
    ran(store, *create)
    assert file.read_text() != before
    assert tokens.authenticate(store.db.read(), file.read_text().strip())
    with store.db.write() as tx:  # it is known on this host, whatever database it came with
        tx.execute("UPDATE tokens SET created_at = created_at - 3600")
        lineage.begin(tx, lineage.RESTORED, "a copy", 2)
    ran(store, *create, "--check")
    assert "exists already" in mosis(store, *create[:5], *create[6:]).stderr  # only a first one replaces


@pytest.mark.parametrize("begun", [lineage.RESTORED, lineage.PROMOTED])
def test_a_host_that_took_a_copy_over_has_a_first_token_of_its_own(store: Store, tmp_path: Path, begun: str) -> None:
    create = ("token", "create", "admin", "--scope", "admin", "--first", "--output")
    ran(store, *create, str(tmp_path / "lost with its host"))
    with store.db.write() as tx:
        tx.execute("UPDATE tokens SET created_at = created_at - 3600")
        lineage.begin(tx, begun, "a copy", 2)
    assert mosis(store, *create[:-1], "--check").returncode == 1
    ran(store, *create, str(tmp_path / "token"))
    assert (tmp_path / "token").exists()


def test_a_new_signing_key_of_urls_is_in_the_log(store: Store) -> None:
    ran(store, "presign", "rotate", "--dry-run")
    printed = ran(store, "presign", "rotate", "--drop").splitlines()
    [entry] = audit.filtered(store.db.read(), action="presign.rotate")
    assert printed[0] == f"key {entry.subject} signs from now on"
    assert [f"key {old} is forgotten" for old in json.loads(entry.detail)["forgotten"]] == printed[1:] != []


def test_images_are_listed_shown_and_decided_on_the_host(full: Store) -> None:
    add_developer(full, "second", None, "reviewer")
    app, owner = apps.get(full.db.read(), APP_ID), audit.Actor("acme", "developer", None, "test")
    for png, decide in ((b"blurred", ("reject-images", "--reason", "Blurred.")), (b"sharp", ("approve-images",))):
        assets.put_icon(full, owner, app, {32: png})
        [line] = [line for line in ran(full, "queue", "images").splitlines() if line.startswith(APP_ID)]
        digest = json.loads(ran(full, "queue", "images", APP_ID))["sha256"]
        assert digest in line
        ran(full, "queue", decide[0], APP_ID, digest, *decide[1:])
        assert APP_ID not in ran(full, "queue", "images")
    assert [asset.size for asset in asset_rows.of_app(full.db.read(), APP_ID)] == [len(b"sharp")]


def test_apps_are_listed_and_shown(full: Store) -> None:
    assert ran(full, "app", "list").splitlines()[0].split("\t")[:3] == [APP_ID, "acme", "1"]
    assert ran(full, "app", "list", "--developer", "buyer") == ""
    assert json.loads(ran(full, "app", "list", "--json"))["app_id"] == APP_ID
    shown = [line.split("\t") for line in ran(full, "app", "show", APP_ID).splitlines()[1:]]
    assert [(line[0], line[2]) for line in shown] == [("2", "in_review"), ("1", "published")]


def test_an_app_is_renamed_and_transferred(full: Store) -> None:
    ran(full, "app", "rename", APP_ID, "Another")
    assert apps.get(full.db.read(), APP_ID).name == "Another"
    ran(full, "app", "transfer", APP_ID, "buyer", "--reason", "Sold.", "--dry-run")
    assert apps.get(full.db.read(), APP_ID).developer_id == "acme"
    ran(full, "app", "transfer", APP_ID, "buyer", "--reason", "Sold.")
    assert apps.get(full.db.read(), APP_ID).developer_id == "buyer"


def test_a_developer_gets_quotas_of_its_own(full: Store) -> None:
    assert ran(full, "developer", "quota", "acme").splitlines()[0] == "apps\t1\t500\tdefault"
    changed = ran(full, "developer", "quota", "acme", "apps=1000", "bytes=10").splitlines()
    assert changed[0] == "apps\t1\t1000\town"
    assert changed[1].endswith("\t10\town")
    assert ran(full, "developer", "quota", "acme", "apps=default").splitlines()[0].endswith("\t500\tdefault")
    assert ran(full, "developer", "quota", "buyer").splitlines()[1].endswith("\tdefault")
    for wrong in ("app=1", "apps=-1", "apps=", "apps"):
        assert mosis(full, "developer", "quota", "acme", wrong).returncode == 2
    assert mosis(full, "developer", "quota", "nobody", "apps=1").returncode == 1


def test_a_dry_run_deletes_nothing_and_names_what_would_go(full: Store) -> None:
    said = ran(full, "app", "delete", APP_ID, *REASON, "--dry-run")
    assert f"would delete {APP_ID} 1 (published" in said
    assert "drive" in said
    assert len(versions.placed_of_app(full.db.read(), APP_ID)) == 2
    ran(full, "app", "delete", APP_ID, "--version-code", "1", *REASON)
    assert [one.version_code for one in versions.placed_of_app(full.db.read(), APP_ID)] == [2]
    ran(full, "app", "delete", APP_ID, *REASON)
    assert apps.every(full.db.read()) == []
    assert mosis(full, "app", "delete", APP_ID, *REASON).returncode == 1


def test_a_developer_is_disabled_and_enabled(full: Store) -> None:
    assert "1 tokens, 0 passkeys, 1 keys" in ran(full, "developer", "disable", "acme", *REASON, "--dry-run")
    assert "disabled" not in ran(full, "developer", "list")
    ran(full, "developer", "disable", "acme", *REASON)
    assert mosis(full, "token", "create", "acme").returncode == 1
    ran(full, "developer", "enable", "acme")
    ran(full, "token", "create", "acme")


def test_passkeys_of_a_developer_are_listed_and_removed(full: Store) -> None:
    party, device = RelyingParty("store.test", "https://store.test"), Authenticator("https://store.test")
    [token] = tokens.every(full.db.read(), "acme")
    acme = audit.Actor("acme", "developer", token.token_id, "test")
    made = device.make(passkeys.registration(full, party, acme, token))
    passkey = passkeys.register(full, party, acme, token, "Laptop of Ada", made)
    [line] = ran(full, "developer", "passkeys", "acme").splitlines()
    found = line.split("\t")
    assert (found[0], found[1], *found[4:]) == (passkey.token_id, "developer", "never", "Laptop of Ada")
    assert [line[-7:] for line in ran(full, "token", "list").splitlines()].count("passkey") == 1
    assert mosis(full, "developer", "remove-passkey", "acme", token.token_id).returncode == 1
    ran(full, "developer", "remove-passkey", "acme", passkey.token_id)
    assert ran(full, "developer", "passkeys", "acme") == ""
    assert tokens.get(full.db.read(), token.token_id).is_valid


def test_the_queue_is_listed_shown_and_decided(full: Store) -> None:
    assert ran(full, "queue", "list").splitlines()[0].split("\t")[:2] == [APP_ID, "2"]
    shown = json.loads(ran(full, "queue", "show", APP_ID, "2"))
    assert shown["published"]["version_code"] == 1
    assert mosis(full, "queue", "approve", APP_ID, "2", "--sha256", "0" * 64).returncode == 1
    ran(full, "queue", "approve", APP_ID, "2")
    assert mosis(full, "queue", "reject", APP_ID, "2", "--reason", "Late.").returncode == 1
    assert apps.get(full.db.read(), APP_ID).published_code == 2


def test_rows_of_the_audit_log_are_filtered(full: Store) -> None:
    def actions(*words: str) -> list[str]:
        return [json.loads(line)["action"] for line in ran(full, "audit", "list", "--json", *words).splitlines()]

    assert actions("--action", "version.publish") == ["version.publish"]
    assert actions("--subject", APP_ID, "--last", "2") == ["version.upload", "version.submit"]
    assert set(actions("--action", "developer")) == {"developer.add"}
    assert actions("--until", "2000-01-01") == actions("--since", "2999-12-31T00:00:00+01:00") == []
    assert actions("--since", "2000-01-01", "--until", "2999-12-31") == actions()
    assert mosis(full, "audit", "list", "--since", "yesterday").returncode == 2
    assert len(actions("--actor", "acme")) < audit.head(full.db.read()).seq


def test_a_reason_is_a_text_that_a_terminal_can_show(full: Store) -> None:
    for command, reason in (
        (("app", "delete", APP_ID), "\x1b[31mred"),
        (("queue", "reject", APP_ID, "2"), "a\x9b31m"),
        (("developer", "disable", "acme"), " "),
    ):
        refused = mosis(full, *command, "--reason", reason)
        assert refused.returncode == 2
        assert "is not a text without control characters" in " ".join(refused.stderr.split())
