"""Signing in with a token, and what a page of another site cannot do with the cookie."""

from collections.abc import Iterator

import httpx
import pytest

from portal.store import audit, tokens
from portal.store.store import Store
from tests.support.portal import Portal, add_developer, free_port, make_store, problem
from tests.web.conftest import Visiting

ORIGIN = "https://store.test"
SAME = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture
def token(site: Portal, request: pytest.FixtureRequest) -> str:
    name = request.node.name.partition("[")[0].removeprefix("test_").replace("_", "-")[:60].strip("-")
    with site.store.db.write() as tx:
        tx.execute("DELETE FROM tokens WHERE developer_id = ?", (name,))
        known = tx.execute("SELECT 1 FROM developers WHERE developer_id = ?", (name,)).fetchone()
    return issue(site.store, name) if known else add_developer(site.store, name, key=None)


def issue(store: Store, developer_id: str) -> str:
    with store.db.write() as tx:
        return tokens.issue(tx, audit.OPERATOR, developer_id, "developer", 1)[1]


def sign_in(front: str, token: str, **headers: str) -> httpx.Response:
    return httpx.post(f"{front}/sign-in", data={"token": token, "next": "/console"}, headers=headers or SAME)


def cookie(answer: httpx.Response) -> dict[str, str]:
    return {"Cookie": answer.headers["set-cookie"].partition(";")[0]}


def test_a_token_becomes_a_session_that_no_script_reads(front: str, token: str) -> None:
    answer = sign_in(front, token)
    assert (answer.status_code, answer.headers["location"]) == (303, "/console")
    kept = answer.headers["set-cookie"]
    assert kept.startswith("mosis-session=")
    assert {"HttpOnly", "SameSite=lax", "Path=/"} <= {*kept.replace("; ", ";").split(";")}
    assert "Secure" not in kept
    assert token not in kept
    assert httpx.get(f"{front}/console", headers=cookie(answer)).status_code == 200


def test_over_https_the_cookie_is_of_this_host_alone(front: str, token: str) -> None:
    kept = sign_in(front, token, **SAME, **{"X-Forwarded-Proto": "https"}).headers["set-cookie"]
    assert kept.startswith("__Host-mosis-session=")
    assert "Secure" in kept and "Domain" not in kept
    plain = {"Cookie": kept.partition(";")[0].removeprefix("__Host-")}
    https = {"X-Forwarded-Proto": "https"}
    assert httpx.get(f"{front}/api/me", headers=plain | https).status_code == 401  # another port has set it
    assert httpx.get(f"{front}/api/me", headers={"Cookie": f"__Host-{plain['Cookie']}"} | https).status_code == 200


def test_the_cookies_of_other_applications_hide_no_session(front: str, token: str) -> None:
    own = cookie(sign_in(front, token))["Cookie"]
    for others in ('a/b="x', "expires=1", "mosis-session=x", f"mosis-session={'y' * 43}"):
        headers = {"Cookie": f"{others}; {own}".encode()}
        assert httpx.get(f"{front}/api/me", headers=headers).status_code == 200


def test_a_wrong_token_is_refused_in_the_page(front: str, token: str, visit: Visiting) -> None:
    visited = visit("/sign-in", faulty=True)
    page = visited.page
    page.get_by_label("Token").fill(token[:-1])
    page.keyboard.press("Enter")
    page.get_by_role("alert").wait_for()
    visited.accessible()
    assert page.get_by_role("alert").inner_text() == "The token is unknown, expired or revoked."
    assert token[:-1] not in page.content()


def test_signing_out_ends_the_session(front: str, token: str, visit: Visiting) -> None:
    page = visit("/sign-in").page
    page.get_by_label("Token").fill(token)
    page.keyboard.press("Enter")
    page.wait_for_url("**/console")
    [kept] = page.context.cookies()
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url(f"{front}/")
    assert page.context.cookies() == []
    old = {"Cookie": f"{kept['name']}={kept['value']}"}
    assert httpx.get(f"{front}/api/me", headers=old).status_code == 401


def test_a_page_for_people_who_have_signed_in_leads_there(front: str) -> None:
    html = {"Accept": "text/html"}
    answer = httpx.get(f"{front}/console/apps/org.example.x", headers=html)
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?next=%2Fconsole%2Fapps%2Forg.example.x")
    problem(httpx.get(f"{front}/console"), 401, "UNAUTHENTICATED")


@pytest.mark.parametrize(
    "following",
    ["https://evil.example/", "//evil.example/", "/\\evil.example", "/console//evil.example", "/console?x=//evil",
     "/api/me", "javascript:alert(1)", "/console/\r\nSet-Cookie: x=1", "/console/..//evil.example", ""],
)  # fmt: skip
def test_signing_in_leads_to_no_other_site(front: str, token: str, following: str) -> None:
    answer = httpx.post(f"{front}/sign-in", data={"token": token, "next": following}, headers=SAME)
    assert answer.headers["location"].startswith("/console")
    assert "evil" not in answer.headers["location"].replace("/console/..//evil.example", "")
    assert [kept.partition("=")[0] for kept in answer.headers.get_list("set-cookie")] == ["mosis-session"]


FOREIGN = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},  # another port or name of the host
    {"Sec-Fetch-Site": "cross-site", "Origin": ORIGIN},
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://["},
    {"Origin": "http://store.test"},  # plain http
    {"Origin": "https://store.test:8443"},
    {},
]
OWN = [SAME, {"Sec-Fetch-Site": "none"}, {"Origin": ORIGIN}, {"Origin": "http://{host}"}]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_a_page_of_another_site_changes_nothing(front: str, site: Portal, token: str, headers: dict[str, str]) -> None:
    own = cookie(sign_in(front, token))
    new = {"app_id": "org.example.forged", "name": "Forged"}
    problem(httpx.post(f"{front}/api/apps", json=new, headers=own | headers), 403, "FORBIDDEN")
    problem(httpx.post(f"{front}/console/apps", data=new, headers=own | headers), 403, "FORBIDDEN")
    problem(httpx.post(f"{front}/sign-out", headers=own | headers), 403, "FORBIDDEN")
    problem(sign_in(front, token, **{"X-Nothing": "1"} | headers), 403, "FORBIDDEN")  # as somebody else
    assert httpx.get(f"{front}/api/me", headers=own | headers).status_code == 200
    assert site.store.db.read().execute("SELECT 1 FROM apps WHERE app_id = ?", (new["app_id"],)).fetchone() is None


@pytest.mark.parametrize("headers", OWN, ids=str)
def test_a_page_of_the_store_does(front: str, token: str, headers: dict[str, str]) -> None:
    own = cookie(sign_in(front, token))
    sent = own | {name: value.format(host=front.removeprefix("http://")) for name, value in headers.items()}
    problem(httpx.post(f"{front}/api/apps", json={}, headers=sent), 422, "VALIDATION_ERROR")


def test_a_program_with_a_token_needs_no_origin(front: str, token: str) -> None:
    sent = {"Authorization": f"Bearer {token}", "Cookie": "mosis-session=x", "Sec-Fetch-Site": "cross-site"}
    problem(httpx.post(f"{front}/api/apps", json={}, headers=sent), 422, "VALIDATION_ERROR")


def test_what_a_session_sees_stays_out_of_the_cache(front: str, site: Portal, token: str) -> None:
    own = cookie(sign_in(front, token))
    with httpx.Client(base_url=front, headers=own | SAME) as client:
        app_id = "org.example.cached-session"
        client.post("/api/apps", json={"app_id": app_id, "name": "Draft"}).raise_for_status()
        from tests.http.test_images import png

        put = client.post(f"/api/apps/{app_id}/icon", files={"icon": png(128, 128)}).raise_for_status().json()
        url = put["assets"][0]["url"].removeprefix(site.store.settings.public_url)
        assert client.get(url).status_code == 200
        assert "no-store" in client.get("/console").headers["cache-control"]
    assert httpx.get(front + url).status_code == 404


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    root = tmp_path_factory.mktemp("strict") / "store"
    with Portal(make_store(root, port=free_port(), auth_failures_per_minute=3, workers=1)) as running:
        yield running


def test_guesses_in_the_page_and_in_the_api_count_together(strict: Portal) -> None:
    token = add_developer(strict.store, "dev", key=None)
    wrong = token[:-1] + ("A" if token[-1] != "A" else "B")
    answers = [sign_in(strict.url, wrong).status_code for _ in range(2)]
    answers.append(httpx.get(f"{strict.url}/api/me", headers={"Authorization": f"Bearer {wrong}"}).status_code)
    refused = sign_in(strict.url, wrong)
    assert answers == [401, 401, 401]
    assert refused.status_code == 429 and int(refused.headers["retry-after"]) > 0
    assert sign_in(strict.url, token).status_code == 303


def test_a_session_ends_with_its_token_in_every_worker(front: str, site: Portal, token: str) -> None:
    own = cookie(sign_in(front, token))
    assert httpx.get(f"{front}/api/me", headers=own).status_code == 200
    token_id = token.split("_")[1]
    with site.store.db.write() as tx:
        developer_id = tokens.get(tx, token_id).developer_id
        tokens.revoke(tx, audit.OPERATOR, developer_id, token_id)
    problem(httpx.get(f"{front}/api/me", headers=own), 401, "UNAUTHENTICATED")


def test_by_name_over_plain_http_a_reader_is_warned_and_can_sign_in(front: str, token: str, visit: Visiting) -> None:
    """Such a page is no secure context: no Sec-Fetch-Site, and no cookie that is Secure."""
    named = front.replace("127.0.0.1", "nas.test")
    visited = visit("/sign-in", base=named)
    visited.accessible()
    page = visited.page
    assert page.get_by_text("This connection is not encrypted").is_visible()
    page.get_by_label("Token").fill(token)
    page.keyboard.press("Enter")
    page.wait_for_url("**/console")
    page.get_by_label("App ID").fill("org.example.by-name")
    page.get_by_label("Name").fill("By name")
    page.get_by_role("button", name="Create app").click()
    page.wait_for_url("**/console/apps/org.example.by-name?done=app")
