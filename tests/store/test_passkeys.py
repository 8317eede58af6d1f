"""A passkey has the rights of the token that it was registered with, and nobody else signs in by it."""

import base64
import copy
import json
import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from portal.store import apps, audit, developers, passkeys, presign, sessions, tokens
from portal.store.audit import Actor
from portal.store.authenticators import RelyingParty
from portal.store.errors import Refused
from portal.store.store import Store
from portal.store.tokens import Token
from tests.packages.samples import APP_ID
from tests.support import clock
from tests.support.authenticator import Authenticator, Json, base64url

PARTY = RelyingParty("store.test", "https://store.test")
FOREIGN = RelyingParty("evil.test", "https://evil.test")


@pytest.fixture
def token(store: Store) -> Token:
    return issued(store)


@pytest.fixture
def device() -> Authenticator:
    return Authenticator(PARTY.origin)


def issued(store: Store, developer_id: str = "dev", scope: tokens.Scope = "developer", days: int = 30) -> Token:
    with store.db.write() as tx:
        if developer_id not in {developer.developer_id for developer in developers.every(tx)}:
            developers.add(tx, audit.OPERATOR, developer_id, developer_id.title())
        return tokens.issue(tx, audit.OPERATOR, developer_id, scope, days)[0]


def actor(token: Token) -> Actor:
    return Actor(token.developer_id, token.scope, token.token_id, "192.0.2.1", token.app_id)


def register(store: Store, token: Token, device: Authenticator, party: RelyingParty = PARTY) -> Token:
    made = device.make(passkeys.registration(store, party, actor(token), token))
    return passkeys.register(store, party, actor(token), token, "Laptop", made)


def sign_in(store: Store, device: Authenticator, party: RelyingParty = PARTY) -> str:
    return passkeys.sign_in(store, party, "192.0.2.1", device.sign(passkeys.authentication(store, party)))


def session(store: Store, secret: str) -> Token | None:
    return sessions.token_of(store.db.read(), secret)


def actions(store: Store) -> list[tuple[str, str]]:
    return [(entry.action, entry.subject) for entry in audit.entries(store.db.read())]


@pytest.mark.parametrize("scope", ["developer", "reviewer", "admin"])
def test_a_passkey_has_scope_and_end_of_its_token(store: Store, device: Authenticator, scope: tokens.Scope) -> None:
    token = issued(store, scope=scope)
    passkey = register(store, token, device)
    acting = session(store, sign_in(store, device))
    assert acting == passkey
    assert (passkey.developer_id, passkey.scope, passkey.app_id) == (token.developer_id, scope, None)
    assert passkey.expires_at == token.expires_at
    assert actions(store)[-2:] == [("passkey.register", passkey.token_id), ("session.start", passkey.token_id)]
    assert [found.passkey for found in passkeys.of_developer(store.db.read(), "dev")] == ["Laptop"]


def test_a_device_that_does_not_count_signs_in_again_and_again(store: Store, token: Token) -> None:
    device = Authenticator(PARTY.origin, counts=False)
    register(store, token, device)
    assert len({sign_in(store, device) for _ in range(3)}) == 3


def test_nobody_sends_a_passkey_as_a_token(store: Store, token: Token, device: Authenticator) -> None:
    passkey = register(store, token, device)
    assert tokens.authenticate(store.db.read(), f"mosis_{passkey.token_id}_{'A' * 43}") is None
    row = store.db.read().execute("SELECT secret_hash FROM tokens WHERE token_id = ?", (passkey.token_id,)).fetchone()
    assert len(row[0]) == 32


def revoke_token(store: Store, token: Token, passkey: Token, monkeypatch: pytest.MonkeyPatch) -> None:
    with store.db.write() as tx:
        tokens.revoke(tx, audit.OPERATOR, "dev", token.token_id)


def remove(store: Store, token: Token, passkey: Token, monkeypatch: pytest.MonkeyPatch) -> None:
    with store.db.write() as tx:
        passkeys.remove(tx, audit.OPERATOR, "dev", passkey.token_id)


def disable(store: Store, token: Token, passkey: Token, monkeypatch: pytest.MonkeyPatch) -> None:
    with store.db.write() as tx:
        assert developers.ending(tx, "dev")["passkeys"] == 1
        developers.disable(tx, audit.OPERATOR, "dev", "Has left.")


def disable_and_enable(store: Store, token: Token, passkey: Token, monkeypatch: pytest.MonkeyPatch) -> None:
    disable(store, token, passkey, monkeypatch)
    with store.db.write() as tx:
        developers.enable(tx, audit.OPERATOR, "dev")


def expire(store: Store, token: Token, passkey: Token, monkeypatch: pytest.MonkeyPatch) -> None:
    clock.move(monkeypatch, token.expires_at - token.created_at + 1)


@pytest.mark.parametrize("end", [revoke_token, remove, disable, disable_and_enable, expire])
def test_a_passkey_and_its_sessions_end_at_once(
    store: Store, token: Token, device: Authenticator, end: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    passkey = register(store, token, device)
    secret = sign_in(store, device)
    end(store, token, passkey, monkeypatch)
    assert session(store, secret) is None
    assert passkeys.of_developer(store.db.read(), "dev") == []
    with pytest.raises(Refused, match="was removed, or has expired") as refused:
        sign_in(store, device)
    assert refused.value.code == "UNAUTHENTICATED"


def test_a_removed_passkey_takes_along_what_its_sessions_created(
    store: Store, token: Token, device: Authenticator
) -> None:
    """Whoever revokes a stolen token need not find what was made with what was made with it."""
    passkey = register(store, token, device)
    with store.db.write() as tx:
        apps.add(tx, actor(passkey), APP_ID, "App", "")
        bound, _ = tokens.issue_own(tx, actor(passkey), APP_ID, 365)
        tokens.revoke(tx, audit.OPERATOR, "dev", token.token_id)
        assert not tokens.get(tx, bound.token_id).is_valid
        assert audit.head(tx).seq
    *_, last = audit.entries(store.db.read())
    assert (last.action, json.loads(last.detail)["with"]) == (
        "token.revoke", sorted([passkey.token_id, bound.token_id]),
    )  # fmt: skip


def test_the_token_survives_its_passkey(store: Store, token: Token, device: Authenticator) -> None:
    passkey = register(store, token, device)
    with store.db.write() as tx:
        passkeys.remove(tx, actor(token), "dev", passkey.token_id)
    assert tokens.get(store.db.read(), token.token_id).is_valid
    assert actions(store)[-1] == ("passkey.remove", passkey.token_id)


def test_a_token_for_one_app_registers_none(store: Store, token: Token, device: Authenticator) -> None:
    with store.db.write() as tx:
        apps.add(tx, actor(token), APP_ID, "App", "")
        bound, _ = tokens.issue_own(tx, actor(token), APP_ID, 1)
    with pytest.raises(Refused, match="bound to"):
        passkeys.registration(store, PARTY, actor(token), bound)
    made = device.make(passkeys.registration(store, PARTY, actor(token), token))
    with pytest.raises(Refused, match="bound to"):
        passkeys.register(store, PARTY, actor(bound), bound, "Laptop", made)


def test_nobody_registers_with_the_token_of_another_developer(
    store: Store, token: Token, device: Authenticator
) -> None:
    other = issued(store, "other")
    with pytest.raises(Refused, match="not one of dev"):
        passkeys.registration(store, PARTY, actor(token), other)
    made = device.make(passkeys.registration(store, PARTY, actor(token), token))
    with pytest.raises(Refused, match="not one of dev"):
        passkeys.register(store, PARTY, actor(token), other, "Laptop", made)
    with pytest.raises(Refused, match="not of this store"):  # the challenge was for another token
        passkeys.register(store, PARTY, actor(other), other, "Laptop", made)


def test_a_token_that_is_revoked_meanwhile_registers_none(store: Store, token: Token, device: Authenticator) -> None:
    made = device.make(passkeys.registration(store, PARTY, actor(token), token))
    with store.db.write() as tx:
        tokens.revoke(tx, audit.OPERATOR, "dev", token.token_id)
    with pytest.raises(Refused, match="revoked"):
        passkeys.register(store, PARTY, actor(token), token, "Laptop", made)


def test_a_device_has_one_passkey_until_a_token_lasts_longer(store: Store, token: Token, device: Authenticator) -> None:
    """It replaces what it has of the same user, so a longer one must not be excluded."""
    register(store, token, device)
    again, longer = issued(store, days=30), issued(store, days=60)
    excluded = [
        [known["id"] for known in passkeys.registration(store, PARTY, actor(each), each)["excludeCredentials"]]
        for each in (token, again, longer, issued(store, scope="admin"))
    ]
    mine = [base64url(device.credential_id)]
    assert excluded[0] == mine
    assert excluded[2:] == [[], []]


def test_one_credential_is_registered_once(store: Store, token: Token, device: Authenticator) -> None:
    register(store, token, device)
    with pytest.raises(Refused) as refused:
        register(store, token, device)
    assert refused.value.code == "KEY_EXISTS"
    assert len(passkeys.of_developer(store.db.read(), "dev")) == 1


class WithRsa(Authenticator):
    """As Windows Hello."""

    bits = 2048

    def public(self) -> dict[int, int | bytes]:
        numbers = rsa.generate_private_key(public_exponent=65537, key_size=self.bits).public_key().public_numbers()
        return {1: 3, 3: -257, -1: numbers.n.to_bytes(self.bits // 8), -2: numbers.e.to_bytes(3)}


def test_an_rsa_key_has_enough_bits(store: Store, token: Token) -> None:
    device = WithRsa(PARTY.origin)
    register(store, token, device)
    device.bits, device.credential_id = 1024, b"weak"
    with pytest.raises(Refused, match="fewer than 2048 bits"):
        register(store, token, device)


def test_passkeys_are_bounded_and_ended_ones_leave_no_key(store: Store, token: Token, device: Authenticator) -> None:
    made = [register(store, token, Authenticator(PARTY.origin)) for _ in range(passkeys.MOST)]
    with pytest.raises(Refused, match="remove one"):
        register(store, token, device)
    with store.db.write() as tx:
        passkeys.remove(tx, audit.OPERATOR, "dev", made[0].token_id)
    register(store, token, device)
    assert store.db.read().execute("SELECT count(*) FROM passkeys").fetchone()[0] == passkeys.MOST


def test_a_challenge_leaves_nothing_in_the_store(store: Store) -> None:
    before = list(store.db.read().iterdump())
    for _ in range(3):
        passkeys.authentication(store, PARTY)
    assert list(store.db.read().iterdump()) == before


def test_a_signature_counts_once(store: Store, token: Token) -> None:
    """Also where a device does not count, and whichever worker gets it."""
    device = Authenticator(PARTY.origin, counts=False)
    passkey = register(store, token, device)
    signed = device.sign(passkeys.authentication(store, PARTY))
    passkeys.sign_in(store, PARTY, "192.0.2.1", signed)
    with pytest.raises(Refused, match="used before") as refused:
        passkeys.sign_in(store, PARTY, "192.0.2.1", signed)
    assert refused.value.code == "INVALID_PROOF"
    assert actions(store)[-1] == ("passkey.refuse", passkey.token_id)


def test_of_a_device_and_its_copy_one_is_noticed(store: Store, token: Token, device: Authenticator) -> None:
    passkey = register(store, token, device)
    stolen = copy.copy(device)
    sign_in(store, device)
    with pytest.raises(Refused, match="used before"):
        sign_in(store, stolen)
    assert actions(store)[-1] == ("passkey.refuse", passkey.token_id)
    sign_in(store, device)


def test_a_clock_that_is_set_back_locks_nobody_out(
    store: Store, token: Token, device: Authenticator, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock.move(monkeypatch, 3600)
    register(store, token, device)
    sign_in(store, device)
    clock.move(monkeypatch, 0)
    assert session(store, sign_in(store, device))


def of_another_page(store: Store, device: Authenticator, monkeypatch: pytest.MonkeyPatch) -> Json:
    device.origin = "https://store.test.evil.test"
    return device.sign(passkeys.authentication(store, PARTY))


def of_another_port(store: Store, device: Authenticator, monkeypatch: pytest.MonkeyPatch) -> Json:
    device.origin = "https://store.test:8443"
    return device.sign(passkeys.authentication(store, PARTY))


def of_another_host(store: Store, device: Authenticator, monkeypatch: pytest.MonkeyPatch) -> Json:
    return device.sign(passkeys.authentication(store, PARTY) | {"rpId": FOREIGN.host})


def without_a_check_of_the_person(store: Store, device: Authenticator, monkeypatch: pytest.MonkeyPatch) -> Json:
    device.verified = False
    return device.sign(passkeys.authentication(store, PARTY))


def by_another_key(store: Store, device: Authenticator, monkeypatch: pytest.MonkeyPatch) -> Json:
    device.key = Authenticator(PARTY.origin).key
    return device.sign(passkeys.authentication(store, PARTY))


def for_another_user(store: Store, device: Authenticator, monkeypatch: pytest.MonkeyPatch) -> Json:
    device.user_id = base64url(b"x" * 32)
    return device.sign(passkeys.authentication(store, PARTY))


def too_late(store: Store, device: Authenticator, monkeypatch: pytest.MonkeyPatch) -> Json:
    options = passkeys.authentication(store, PARTY)
    clock.move(monkeypatch, 301)
    return device.sign(options)


def before_its_time(store: Store, device: Authenticator, monkeypatch: pytest.MonkeyPatch) -> Json:
    clock.move(monkeypatch, 60)
    options = passkeys.authentication(store, PARTY)
    clock.move(monkeypatch, 0)
    return device.sign(options)


def of_own_making(store: Store, device: Authenticator, monkeypatch: pytest.MonkeyPatch) -> Json:
    return device.sign({"rpId": PARTY.host, "challenge": base64url(bytes(56))})


def of_a_registration(store: Store, device: Authenticator, monkeypatch: pytest.MonkeyPatch) -> Json:
    token = issued(store)
    options = passkeys.registration(store, PARTY, actor(token), token)
    return device.sign({"rpId": PARTY.host, "challenge": options["challenge"]})


def after_the_keys_were_dropped(store: Store, device: Authenticator, monkeypatch: pytest.MonkeyPatch) -> Json:
    signed = device.sign(passkeys.authentication(store, PARTY))
    presign.rotate(store.layout.presign_keys, lifetime=900, drop=True)
    return signed


FORGERIES = [
    of_another_page, of_another_port, of_another_host, without_a_check_of_the_person, by_another_key, for_another_user,
    too_late, before_its_time, of_own_making, of_a_registration, after_the_keys_were_dropped,
]  # fmt: skip


@pytest.mark.parametrize("forge", FORGERIES)
def test_a_forged_signature_signs_nobody_in(
    store: Store, token: Token, device: Authenticator, forge: Callable[..., Json], monkeypatch: pytest.MonkeyPatch
) -> None:
    register(store, token, device)
    sent = forge(store, device, monkeypatch)
    before = list(store.db.read().iterdump())
    with pytest.raises(Refused) as refused:
        passkeys.sign_in(store, PARTY, "192.0.2.1", sent)
    assert refused.value.code == "INVALID_PROOF"
    assert list(store.db.read().iterdump()) == before, "what a stranger sends leaves nothing"


def test_a_registration_for_another_page_is_refused(store: Store, token: Token, device: Authenticator) -> None:
    options = passkeys.registration(store, PARTY, actor(token), token)
    foreign, unverified = Authenticator(FOREIGN.origin), Authenticator(PARTY.origin, verified=False)
    elsewhere = options | {"rp": {"id": FOREIGN.host}}
    for made in (foreign.make(options), unverified.make(options), device.make(elsewhere)):
        with pytest.raises(Refused) as refused:
            passkeys.register(store, PARTY, actor(token), token, "Laptop", made)
        assert refused.value.code == "INVALID_PROOF"
    assert passkeys.of_developer(store.db.read(), "dev") == []


def test_a_key_is_rotated_while_somebody_signs_in(store: Store, token: Token, device: Authenticator) -> None:
    register(store, token, device)
    signed = device.sign(passkeys.authentication(store, PARTY))
    presign.rotate(store.layout.presign_keys, lifetime=0)
    assert passkeys.sign_in(store, PARTY, "192.0.2.1", signed)


SPOILED = 150  # of each kind of answer
OTHER_TYPES = (None, 7, "", "é", "AAAA", [], {}, True)


def test_what_is_no_credential_is_refused_and_crashes_nothing(
    store: Store, token: Token, device: Authenticator
) -> None:
    register(store, token, device)
    for number in range(SPOILED):
        chance = random.Random(number)
        signed = device.sign(passkeys.authentication(store, PARTY))
        with pytest.raises(Refused):
            passkeys.sign_in(store, PARTY, "x", spoiled(signed, chance))
        made = Authenticator(PARTY.origin).make(passkeys.registration(store, PARTY, actor(token), token))
        with suppress(Refused):  # nobody vouches for the model of a device, so that may be any
            passkeys.register(store, PARTY, actor(token), token, "Laptop", spoiled(made, chance))


def spoiled(sent: Json, chance: random.Random) -> Json:
    """With one member missing, of another type, or with bytes in it that are changed or cut off."""
    name = chance.choice(["rawId", *sent["response"]])
    holder: dict[str, Any] = sent if name == "rawId" else sent["response"]
    match chance.choice(["missing", "type", "cut", "changed"]):
        case "missing":
            del holder[name]
        case "type":
            holder[name] = chance.choice(OTHER_TYPES)
        case "cut":
            data = base64.urlsafe_b64decode(holder[name] + "===")
            holder[name] = base64url(data[: chance.randrange(len(data))])
        case "changed":
            data = bytearray(base64.urlsafe_b64decode(holder[name] + "==="))
            data[chance.randrange(len(data))] ^= chance.randrange(1, 256)
            holder[name] = base64url(data)
    return sent
