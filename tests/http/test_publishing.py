"""Trusted publishing: what an ID token must prove before a job of a CI service gets a token."""

import base64
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from hypothesis import HealthCheck, given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st

from portal import settings
from portal.settings import SettingsError
from portal.store import audit, developers, id_tokens, publishers, tokens, transfers
from portal.store.audit import OPERATOR
from portal.store.errors import Refused
from portal.store.store import Store
from tests.support.ci_service import AUDIENCE, EC_KEY, RSA_KEY, CiService
from tests.support.in_process import calling
from tests.support.portal import add_developer, make_store, problem
from tests.support.publishing import upload

APP = "org.acme.hello"
PUBLISHERS = f"/api/apps/{APP}/publishers"


@dataclass
class Shop:
    """A store that trusts a CI service, and the headers of a developer whose app trusts repository 4711 there."""

    store: Store
    client: httpx.Client
    owner: dict[str, str]
    service: CiService


@contextmanager
def opened(root: Path) -> Iterator[Shop]:
    service = CiService(root / "jwks.json")
    service.publish()
    store = make_store(root / "store", **service.settings())
    owner = {"Authorization": f"Bearer {add_developer(store, 'acme')}"}
    with calling(store) as client:
        client.post("/api/apps", json={"app_id": APP, "name": "Hello"}, headers=owner).raise_for_status()
        trust(client, owner)
        yield Shop(store, client, owner, service)
    store.db.close()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with opened(tmp_path_factory.mktemp("shop")) as shared:
        yield shared


@pytest.fixture
def own_shop(tmp_path: Path) -> Iterator[Shop]:
    """One whose accounts and publishers change."""
    with opened(tmp_path) as own:
        yield own


def trust(client: httpx.Client, headers: dict[str, str], **changed: object) -> httpx.Response:
    body = {"issuer": "https://ci.test", "repository_id": "4711", "ref": "refs/tags/v*", **changed}
    return client.post(PUBLISHERS, json=body, headers=headers)


def exchange(client: httpx.Client, token: str, app_id: str = APP) -> httpx.Response:
    return client.post("/api/oidc/token", json={"token": token, "app_id": app_id})


@pytest.mark.parametrize("kid", ["rsa", "ec"])
def test_a_job_gets_a_token_of_one_app_for_minutes(shop: Shop, kid: str) -> None:
    assert shop.client.get("/api/oidc/audience").json() == {"audience": AUDIENCE}
    answer = exchange(shop.client, shop.service.token(kid))
    assert answer.status_code == 201
    issued = answer.json()
    assert (issued["app_id"], issued["developer_id"], issued["scope"]) == (APP, "acme", "developer")
    bound = {"Authorization": f"Bearer {issued['token']}"}
    assert shop.client.get(f"/api/apps/{APP}/versions", headers=bound).status_code == 200
    token = tokens.get(shop.store.db.read(), issued["token_id"])
    assert token.expires_at - token.created_at == 15 * 60
    entry, detail = audit.about(shop.store.db.read(), issued["token_id"])[-1]
    assert (entry.action, entry.actor, detail["publisher"]) == ("token.issue", "acme", 1)
    assert detail["job"].startswith("repo:acme/hello")


def changed(**claims: object) -> Callable[[CiService], str]:
    return lambda service: service.token(**claims)


def unsigned(service: CiService) -> str:
    return jwt.encode(service.claims(), None, "none", {"kid": "rsa"})


def signed_with_the_public_key(service: CiService) -> str:
    """The confusion of algorithms: an HMAC whose secret everybody knows."""
    head, body = (
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=")
        for part in ({"alg": "HS256", "kid": "rsa", "typ": "JWT"}, service.claims())
    )
    secret = service.jwks.read_bytes()
    signature = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(head + b"." + body, secret)
    return b".".join((head, body, base64.urlsafe_b64encode(signature).rstrip(b"="))).decode()


def by_another_key(service: CiService) -> str:
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return jwt.encode(service.claims(), stranger, "RS256", {"kid": "rsa"})


def with_a_key_of_its_own(service: CiService) -> str:
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    own = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(stranger.public_key()))
    headers = {"kid": "rsa", "jwk": own, "jku": "https://evil.test/jwks.json"}
    return jwt.encode(service.claims(), stranger, "RS256", headers)


def tampered(service: CiService) -> str:
    head, body, signature = service.token(repository_id="1").split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    forged = base64.urlsafe_b64encode(json.dumps({**claims, "repository_id": "4711"}).encode()).rstrip(b"=").decode()
    return f"{head}.{forged}.{signature}"


NOW = int(time.time())
FORGERIES: dict[str, tuple[Callable[[CiService], str], str]] = {
    "unsigned": (unsigned, "malformed"),
    "HMAC with the public key": (signed_with_the_public_key, "malformed"),
    "another key": (by_another_key, "signature is wrong"),
    "key of its own": (with_a_key_of_its_own, "signature is wrong"),
    "tampered": (tampered, "signature is wrong"),
    "unknown kid": (lambda s: jwt.encode(s.claims(), RSA_KEY, "RS256", {"kid": "new"}), "has not published"),
    "no kid": (lambda s: jwt.encode(s.claims(), RSA_KEY, "RS256"), "has not published"),
    "kid of another algorithm": (lambda s: jwt.encode(s.claims(), EC_KEY, "ES256", {"kid": "rsa"}), "malformed"),
    "weaker digest than the key's": (lambda s: s.token(algorithm="RS512"), "malformed"),
    "another issuer": (changed(iss="https://ci.test.evil"), "does not trust its issuer"),
    "no issuer": (changed(iss=""), "does not trust its issuer"),
    "another audience": (changed(aud="https://other.test"), "another audience"),
    "several audiences": (changed(aud=[AUDIENCE, "https://other.test"]), "another audience"),
    "no audience": (changed(aud=None), "malformed"),
    "expired": (changed(exp=NOW - 3600, iat=NOW - 7200), "has expired"),
    "not valid yet": (changed(nbf=NOW + 3600), "not valid yet"),
    "issued in the future": (changed(iat=NOW + 3600, exp=NOW + 7200), "not valid yet"),
    "no end": (changed(exp=None), "malformed"),
    "no issue time": (changed(iat=None), "malformed"),
    "valid for a year": (changed(exp=NOW + 365 * 86400), "more than a day"),
    "endless": (changed(exp=1e400), "malformed"),
    "no repository": (changed(repository_id=None), "malformed"),
    "repository of another type": (changed(repository_id=["4711"]), "malformed"),
    "endless subject": (changed(sub="x" * 1001), "malformed"),
    "garbage": (lambda s: "a.b.c", "malformed"),
    "not ASCII": (lambda s: "é" * 30, "malformed"),
    "deep": (lambda s: f"{base64.urlsafe_b64encode(b'[' * 9000).decode()}.e30.e30", "malformed"),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forgery_is_refused_with_its_reason(shop: Shop, name: str) -> None:
    forge, reason = FORGERIES[name]
    assert reason in problem(exchange(shop.client, forge(shop.service)), 401, "UNAUTHENTICATED")["detail"]


def test_a_key_of_too_few_bits_proves_nothing(own_shop: Shop) -> None:
    service = own_shop.service
    service.keys["weak"] = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    service.publish()
    with pytest.warns(jwt.warnings.InsecureKeyLengthWarning):
        token = service.token("weak", "RS256")
    assert "too short" in problem(exchange(own_shop.client, token), 401, "UNAUTHENTICATED")["detail"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=5,
)
CLAIMS = st.dictionaries(
    st.sampled_from(["iss", "aud", "exp", "iat", "nbf", "jti", "sub", "ref", "repository_id"]), JSON
)


@settings_of_hypothesis(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    headers=JSON
    | st.fixed_dictionaries({"alg": JSON | st.sampled_from(["RS256", "none"]), "kid": JSON | st.just("rsa")}),
    claims=JSON | CLAIMS | CLAIMS.map(lambda claims: {**claims, "iss": "https://ci.test"}),
    signature=st.binary(max_size=300) | st.none(),
)
def test_no_token_however_odd_is_more_than_refused(
    shop: Shop, headers: object, claims: object, signature: bytes | None
) -> None:
    """Without a signature of its own, one of the service's key is over whatever it is."""
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (headers, claims)]
    if signature is None:
        signature = RSA_KEY.sign(b".".join(parts), padding.PKCS1v15(), hashes.SHA256())
    parts.append(base64.urlsafe_b64encode(signature).rstrip(b"="))
    with pytest.raises(Refused) as refused:
        id_tokens.verified(shop.store, b".".join(parts).decode())
    assert refused.value.code == "UNAUTHENTICATED"


@pytest.mark.parametrize(
    "job",
    [
        {"repository_id": "4712"},
        {"ref": "refs/heads/main"},
        {"ref": "v1.0.0"},
        {"ref": None},
        {"ref": "refs/pull/1/merge"},
    ],
)
def test_a_job_of_another_repository_or_ref_is_refused(shop: Shop, job: dict[str, str | None]) -> None:
    assert "mosis trust add" in problem(exchange(shop.client, shop.service.token(**job)), 403, "FORBIDDEN")["detail"]


def test_nobody_learns_which_apps_there_are(shop: Shop) -> None:
    details = [
        problem(exchange(shop.client, shop.service.token(repository_id="1"), app_id), 403, "FORBIDDEN")["detail"]
        for app_id in (APP, "org.acme.absent")
    ]
    assert details[0].replace(APP, "org.acme.absent") == details[1]


def test_an_environment_is_pinned(shop: Shop) -> None:
    assert trust(shop.client, shop.owner, repository_id="5", ref="", environment="release").status_code == 201
    for environment, status in ((None, 403), ("test", 403), ("release", 201)):
        token = shop.service.token(repository_id="5", ref="refs/heads/main", environment=environment)
        assert exchange(shop.client, token).status_code == status


def test_gitlab_names_its_project_and_its_tags_otherwise(tmp_path: Path, shop: Shop) -> None:
    chosen = {"issuer": shop.service.issuer, "jwks_file": str(shop.service.jwks), "repository_claim": "project_id"}
    store = make_store(tmp_path / "gitlab", issuers=[chosen], audience=AUDIENCE)
    token = shop.service.token(repository_id=None, project_id=4711, ref="v1.0.0", ref_type="tag")
    job = id_tokens.verified(store, token)
    assert (job.repository_id, job.ref) == ("4711", "refs/tags/v1.0.0")
    store.db.close()


@pytest.mark.parametrize("source", ["merge_request_event", "external_pull_request_event"])
def test_a_merge_request_is_no_branch_of_the_project(tmp_path: Path, shop: Shop, source: str) -> None:
    """GitLab names the branch of its source, which is `main` in a fork too (gitlab-org/gitlab#548165)."""
    chosen = {"issuer": shop.service.issuer, "jwks_file": str(shop.service.jwks), "repository_claim": "project_id"}
    store = make_store(tmp_path / "gitlab", issuers=[chosen], audience=AUDIENCE)
    for ref in ("main", "refs/heads/main"):
        claims = {"ref": ref, "ref_type": "branch", "pipeline_source": source}
        job = id_tokens.verified(store, shop.service.token(repository_id=None, project_id=4711, **claims))
        assert job.ref == f"refs/merge-requests/{ref}"
        trusted = publishers.Publisher(1, APP, job.issuer, "4711", "refs/heads/main", "", 0, "acme")
        assert not trusted.trusts(job)
    store.db.close()


def test_an_id_token_is_accepted_once(shop: Shop) -> None:
    token = shop.service.token("ec")
    assert exchange(shop.client, token).status_code == 201
    assert "used before" in problem(exchange(shop.client, token), 401, "UNAUTHENTICATED")["detail"]


def test_used_tokens_are_remembered_until_they_expire_and_no_longer(shop: Shop) -> None:
    with shop.store.db.write() as tx:
        tx.execute("INSERT INTO used_id_tokens VALUES (x'00', ?), (x'01', ?)", (NOW - 3600, NOW + 3600))
    exchange(shop.client, shop.service.token())
    found = shop.store.db.read().execute("SELECT digest FROM used_id_tokens WHERE length(digest) = 1")
    assert [row[0] for row in found] == [b"\x01"]


def test_a_key_that_the_service_publishes_later_is_known_at_once(shop: Shop) -> None:
    shop.service.keys["next"] = EC_KEY
    token = jwt.encode(shop.service.claims(), EC_KEY, "ES256", {"kid": "next"})
    assert exchange(shop.client, token).status_code == 401
    shop.service.publish()
    assert exchange(shop.client, token).status_code == 201


@pytest.mark.parametrize(
    "content", [None, b"", b"[]", b'{"keys": []}', b'{"keys": [{"kty": "oct", "k": "AA"}]}', b"[" * 99999]
)
def test_while_the_keys_are_missing_a_job_is_asked_to_wait(shop: Shop, content: bytes | None) -> None:
    token = shop.service.token()
    shop.service.jwks.unlink() if content is None else shop.service.jwks.write_bytes(content)
    try:
        answer = exchange(shop.client, token)
    finally:
        shop.service.publish()
    problem(answer, 503, "UNAVAILABLE")
    assert answer.headers["Retry-After"] == "60"


def test_the_tokens_of_jobs_end_with_account_owner_and_publisher(own_shop: Shop) -> None:
    def works(token: str) -> bool:
        return own_shop.client.get("/api/me", headers={"Authorization": f"Bearer {token}"}).status_code == 200

    first = exchange(own_shop.client, own_shop.service.token()).json()["token"]
    assert works(first)
    assert own_shop.client.delete(f"{PUBLISHERS}/1", headers=own_shop.owner).status_code == 204
    assert not works(first) and exchange(own_shop.client, own_shop.service.token()).status_code == 403
    trust(own_shop.client, own_shop.owner)
    second = exchange(own_shop.client, own_shop.service.token()).json()["token"]
    with own_shop.store.db.write() as tx:
        developers.disable(tx, OPERATOR, "acme", "Gone.")
    assert not works(second)
    problem(exchange(own_shop.client, own_shop.service.token()), 403, "FORBIDDEN")
    with own_shop.store.db.write() as tx:
        developers.enable(tx, OPERATOR, "acme")
        _, again = tokens.issue(tx, OPERATOR, "acme", "developer", 1)
    assert exchange(own_shop.client, own_shop.service.token()).status_code == 403  # what was there stays ended
    own_shop.owner = {"Authorization": f"Bearer {again}"}
    trust(own_shop.client, own_shop.owner)
    third = exchange(own_shop.client, own_shop.service.token()).json()["token"]
    add_developer(own_shop.store, "buyer", key=None)
    transfers.transfer(own_shop.store, OPERATOR, APP, "buyer", "Sold.")
    assert not works(third) and exchange(own_shop.client, own_shop.service.token()).status_code == 403


def test_only_owner_and_operator_say_whom_an_app_trusts(own_shop: Shop) -> None:
    admin = {"Authorization": f"Bearer {add_developer(own_shop.store, 'admin', key=None, scope='admin')}"}
    other = {"Authorization": f"Bearer {add_developer(own_shop.store, 'other', key=None)}"}
    job = {"Authorization": f"Bearer {exchange(own_shop.client, own_shop.service.token()).json()['token']}"}
    assert trust(own_shop.client, admin, repository_id="9").json()["number"] == 2
    assert trust(own_shop.client, admin, repository_id="9").json()["number"] == 2
    problem(trust(own_shop.client, other), 404, "NOT_FOUND")
    problem(trust(own_shop.client, job), 403, "FORBIDDEN")
    problem(own_shop.client.delete(f"{PUBLISHERS}/1", headers=job), 403, "FORBIDDEN")
    listed = own_shop.client.get(PUBLISHERS, headers=own_shop.owner).json()["publishers"]
    assert [one["repository_id"] for one in listed] == ["4711", "9"]
    problem(own_shop.client.delete(f"{PUBLISHERS}/9", headers=own_shop.owner), 404, "NOT_FOUND")


@pytest.mark.parametrize(
    "wrong",
    [{"issuer": "https://evil.test"}, {"repository_id": ""}, {"ref": "main"}, {"ref": "refs/heads/ä"}, {"x": 1}],
)
def test_what_no_job_could_match_is_refused(shop: Shop, wrong: dict[str, object]) -> None:
    problem(trust(shop.client, shop.owner, **wrong), 422, "VALIDATION_ERROR")


def test_an_app_trusts_a_bounded_number(own_shop: Shop) -> None:
    statuses = [trust(own_shop.client, own_shop.owner, repository_id=str(number)).status_code for number in range(21)]
    assert statuses[:19] == [201] * 19 and statuses[19] == statuses[20] != 201


def test_wrong_id_tokens_count_against_their_address_and_jobs_against_their_app(tmp_path: Path, shop: Shop) -> None:
    store = make_store(tmp_path / "limited", **shop.service.settings(), auth_failures_per_minute=3, uploads_per_hour=2)
    headers = {"Authorization": f"Bearer {add_developer(store, 'acme')}"}
    with calling(store) as client:
        client.post("/api/apps", json={"app_id": APP, "name": "Hello"}, headers=headers)
        trust(client, headers)
        assert [exchange(client, shop.service.token()).status_code for _ in range(3)] == [201, 201, 429]
        assert [exchange(client, "a.b.c").status_code for _ in range(4)] == [401, 401, 401, 429]
    store.db.close()


def test_a_store_that_trusts_no_service_says_so(tmp_path: Path, shop: Shop) -> None:
    store = make_store(tmp_path / "plain")
    with calling(store) as client:
        unknown = problem(client.get("/api/oidc/audience"), 404, "NOT_FOUND")
        problem(exchange(client, shop.service.token()), 401, "UNAUTHENTICATED")
        headers = {"Authorization": f"Bearer {add_developer(store, 'acme')}"}
        client.post("/api/apps", json={"app_id": APP, "name": "Hello"}, headers=headers)
        refused = problem(trust(client, headers), 422, "VALIDATION_ERROR")
        assert "the setting `issuers`" in unknown["detail"] and "the setting `issuers`" in refused["errors"][0]
    store.db.close()


def test_tokens_of_jobs_are_forgotten_and_never_called_ending(shop: Shop) -> None:
    issued = exchange(shop.client, shop.service.token()).json()
    shop.client.get("/api/me", headers={"Authorization": f"Bearer {issued['token']}"})
    assert issued["token_id"] not in {token.token_id for token in tokens.ending(shop.store.db.read(), 14)}
    with shop.store.db.write() as tx:
        tx.execute("UPDATE tokens SET expires_at = 1 WHERE token_id = ?", (issued["token_id"],))
    exchange(shop.client, shop.service.token())
    assert issued["token_id"] not in {token.token_id for token in tokens.every(shop.store.db.read())}


@pytest.mark.parametrize(
    ("issuer", "reason"),
    [
        ({"issuer": "https://ci.test"}, "either jwks_url or jwks_file"),
        ({"issuer": "https://ci.test", "jwks_url": "https://ci.test/j", "jwks_file": "/j"}, "either"),
        ({"issuer": "ci.test", "jwks_file": "/j"}, "issuers.0.issuer"),
        ({"issuer": "https://ci.test", "jwks_file": "/j"}, "require public_url or audience"),
    ],
)
def test_settings_that_prove_nothing_are_refused(issuer: dict[str, str], reason: str) -> None:
    with pytest.raises(SettingsError, match=reason):
        settings.parse({"root": "/srv/mosis", "issuers": [issuer]})


def test_an_audience_without_services_is_refused() -> None:
    with pytest.raises(SettingsError, match="audience has no effect without issuers"):
        settings.parse({"root": "/srv/mosis", "audience": "https://a.test"})


def test_a_revoked_token_leaves_nobody_trusted(own_shop: Shop) -> None:
    """Whoever stole it may have had the app trust another repository, and its jobs may have made links."""
    client, store = own_shop.client, own_shop.store
    with store.db.write() as tx:
        stolen, text = tokens.issue(tx, OPERATOR, "acme", "developer", 1)
    trust(client, {"Authorization": f"Bearer {text}"}, repository_id="666").raise_for_status()
    job = exchange(client, own_shop.service.token(repository_id="666")).json()
    with store.db.write() as tx:
        tokens.revoke(tx, OPERATOR, "acme", stolen.token_id)
    problem(client.get("/api/me", headers={"Authorization": f"Bearer {job['token']}"}), 401, "UNAUTHENTICATED")
    problem(exchange(client, own_shop.service.token(repository_id="666")), 403, "FORBIDDEN")
    assert exchange(client, own_shop.service.token()).status_code == 201  # another token created that publisher
    detail = audit.about(store.db.read(), stolen.token_id)[-1][1]
    assert (detail["publishers"], detail["with"]) == ([2], [job["token_id"]])
    with store.db.write() as tx, pytest.raises(Refused, match="was revoked"):
        publishers.add(tx, store.settings, audit.Actor("acme", "developer", stolen.token_id, ""), APP, "", "", "", "")


def test_a_publisher_takes_along_the_links_of_its_jobs(own_shop: Shop) -> None:
    """Also those of jobs whose tokens ended long ago, which are forgotten otherwise."""
    client, store = own_shop.client, own_shop.store
    upload(store, APP, 1)
    job = exchange(client, own_shop.service.token()).json()
    other = exchange(client, own_shop.service.token("ec")).json()
    links = f"/api/apps/{APP}/versions/1/previews"
    url = client.post(links, json={"days": 30}, headers={"Authorization": f"Bearer {job['token']}"}).json()["url"]
    with store.db.write() as tx:
        tx.execute("UPDATE tokens SET expires_at = 1 WHERE publisher IS NOT NULL")
        tokens.forget_ended_of_jobs(tx)
        assert (
            [token.token_id for token in tokens.every(tx) if token.app_id] == [job["token_id"]] != [other["token_id"]]
        )
    assert client.get(url).status_code == 200
    assert client.delete(f"{PUBLISHERS}/1", headers=own_shop.owner).status_code == 204
    assert client.get(url).status_code == 404
