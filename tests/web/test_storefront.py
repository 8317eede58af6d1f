"""The store as a stranger sees it, in a browser and without one."""

import re
from xml.etree import ElementTree as ET

import httpx
import pytest

from portal.store.clock import now
from portal.store.store import Store
from portal.web import static, storefront
from tests.support import publishing
from tests.support.in_process import calling
from tests.support.portal import Portal, add_developer
from tests.web.conftest import Visiting

ATOM = "{http://www.w3.org/2005/Atom}"
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"
LOOKS = [(1280, "light"), (1280, "dark"), (360, "light"), (360, "dark")]


def page(front: str, path: str) -> httpx.Response:
    return httpx.get(front + path, headers={"Accept": "text/html"})


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_the_store_suits_every_screen_and_reader(site: Portal, visit: Visiting, width: int, scheme: str) -> None:
    app_id = f"org.example.look{width}{scheme}"
    publishing.add_app(site.store, app_id)
    publishing.illustrate(site.store, app_id)
    described = {"changelog": "- *New*", "license": "MIT", "homepage": "https://example.org/", "author": "A"}
    described["description"] = "What it does."
    publishing.publish(site.store, app_id, 1, permissions=["storage.read"], **described)
    publishing.publish(site.store, app_id, 2, permissions=["storage.read", "network"], **described)
    publishing.change(site.store, app_id, 1, "yank", "It lost data.")
    look = {"viewport": {"width": width, "height": 800}, "color_scheme": scheme}
    for path in ("/", f"/apps/{app_id}", "/?q=nothinghere"):
        shown = visit(path, **look)
        shown.accessible()
        assert shown.page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_stranger_finds_an_app_by_a_search_that_can_be_shared(site: Portal, app_id: str, visit: Visiting) -> None:
    publishing.publish(site.store, app_id, 1, name="Quokka finder")
    page = visit("/").page
    page.get_by_role("searchbox").fill("quok")
    page.keyboard.press("Enter")
    page.wait_for_url("**/?q=quok")
    page.get_by_role("link", name="Quokka finder").click()
    page.wait_for_url(f"**/apps/{app_id}")
    assert page.get_by_role("heading", level=1).inner_text() == "Quokka finder"


def test_the_store_works_without_javascript(site: Portal, app_id: str, visit: Visiting) -> None:
    publishing.publish(site.store, app_id, 1, name="Scriptless")
    shown = visit("/?q=scriptless", java_script_enabled=False).page
    shown.get_by_role("link", name="Scriptless").click()
    with shown.expect_download() as download:
        shown.get_by_role("link", name="Download 1.0.0").first.click()
    assert download.value.suggested_filename == f"{app_id}-1.0.0.mosis"


def test_a_stranger_sees_no_version_that_was_never_published(site: Portal, app_id: str) -> None:
    front = site.url  # nginx may show the pages of a moment ago
    assert page(front, f"/apps/{app_id}").status_code == 404
    publishing.publish(site.store, app_id, 1, version_name="1.0.0")
    publishing.upload(site.store, app_id, 2, version_name="2.0.0-secret", changelog="secret plans")
    for path in ("/", f"/apps/{app_id}", f"/apps/{app_id}/feed.atom", "/feed.atom"):
        assert "secret" not in page(front, path).text
    assert app_id not in page(front, "/?q=secret").text
    for action, reason in (("submit", ""), ("reject", "secret reason")):
        publishing.change(site.store, app_id, 2, action, reason)
        assert "secret" not in page(front, f"/apps/{app_id}").text


def test_what_developers_write_is_text(site: Portal, front: str, app_id: str, visit: Visiting) -> None:
    with site.store.db.write() as tx:
        tx.execute("UPDATE apps SET description = ? WHERE app_id = ?", (f"{HOSTILE} \x01 \ufffe", app_id))
    publishing.publish(
        site.store, app_id, 1, name=HOSTILE, author=HOSTILE, license=HOSTILE,
        changelog=f"{HOSTILE}\n\n[a](javascript:alert(1)) ![b](https://evil.example/x.png) <b>bold</b>",
    )  # fmt: skip
    publishing.publish(site.store, app_id, 2, name=HOSTILE)
    publishing.change(site.store, app_id, 1, "yank", HOSTILE)
    for path in ("/?q=script", f"/apps/{app_id}"):
        text = page(front, path).text
        assert "<script>alert" not in text and "<img src=x" not in text and "<b>bold" not in text
        assert 'javascript:alert(1)"' not in text and 'src="https://evil' not in text
        shown = visit(path)
        shown.accessible()
    feed = ET.fromstring(page(front, f"/apps/{app_id}/feed.atom").content)
    assert feed.findtext(f"{ATOM}title") == f"{HOSTILE} · Mosis"
    assert "<script" not in "".join(content.text or "" for content in feed.iter(f"{ATOM}content"))


@pytest.mark.parametrize("homepage", ["https://evil.example/?a=1&b=\"'<x>", "javascript:alert(1)", "data:text/html,x"])
def test_a_home_page_is_a_link_only_if_it_is_one_of_the_web(
    site: Portal, front: str, homepage: str, request: pytest.FixtureRequest
) -> None:
    app_id = f"org.example.homepage{abs(hash(homepage))}"
    publishing.add_app(site.store, app_id)
    publishing.publish(site.store, app_id, 1)
    with site.store.db.write() as tx:  # as an older release, or a manifest of an older format, may have let it in
        tx.execute("UPDATE apps SET homepage = ? WHERE app_id = ?", (homepage, app_id))
    links = re.findall(r'href="([^"]*)" rel="nofollow', page(front, f"/apps/{app_id}").text)
    assert [link.startswith("https://evil.example/?a=1&amp;b=") for link in links] == (
        [True] if homepage.startswith("https") else []
    )


def test_each_version_shows_what_proves_it(site: Portal, front: str, app_id: str) -> None:
    publishing.publish(site.store, app_id, 1, permissions=["storage.read"])
    path = publishing.publish(site.store, app_id, 2, permissions=["storage.read", "network"], version_name="1.1.0")
    text = page(front, f"/apps/{app_id}").text
    for row in site.store.db.read().execute(
        "SELECT sha256, key_id, signature FROM versions WHERE app_id = ?", (app_id,)
    ):
        assert all(value.replace("+", "&#43;") in text or value in text for value in row)
    assert re.findall(r"<code>([\w.]+)</code> <span class=\"tag warn\">new in 1.1.0", text) == ["network"]
    assert path.exists()


def test_a_withdrawn_app_keeps_its_page_with_the_reason(site: Portal, front: str, app_id: str) -> None:
    publishing.illustrate(site.store, app_id)
    publishing.publish(site.store, app_id, 1)
    publishing.change(site.store, app_id, 1, "yank", "It lost data.")
    text = page(front, f"/apps/{app_id}").text
    assert f"/assets/{app_id}/" not in text, "a stranger gets 404 for them"
    assert "This app is withdrawn from the store" in text
    assert "It lost data." in text
    assert "package.mosis" not in text
    assert app_id not in page(front, "/").text


def test_an_app_with_many_versions_has_pages_of_them(site: Portal, front: str, app_id: str) -> None:
    for code in range(1, 23):
        publishing.publish(site.store, app_id, code, version_name=f"1.{code}.0", payload_bytes=1)
    first = page(front, f"/apps/{app_id}").text
    assert re.findall(r'class="number">([\d.]+)<', first) == [f"1.{code}.0" for code in range(22, 2, -1)]
    [older] = re.findall(r'href="(/apps/[^"]+before=\d+)', first)
    assert re.findall(r'class="number">([\d.]+)<', page(front, older).text) == ["1.2.0", "1.1.0"]


def test_feeds_list_what_is_new(site: Portal, app_id: str) -> None:
    publishing.publish(site.store, app_id, 1, name="Fed", changelog="Quick & *clean*")
    for path in ("/feed.atom", f"/apps/{app_id}/feed.atom"):
        answer = page(site.url, path)  # nginx may show the feed of a moment ago
        assert answer.headers["content-type"] == "application/atom+xml; charset=utf-8"
        entries = [e for e in ET.fromstring(answer.content).iter(f"{ATOM}entry") if app_id in e.findtext(f"{ATOM}id")]
        assert [entry.findtext(f"{ATOM}title") for entry in entries] == ["Fed 1.0.0"]
        assert entries[0].findtext(f"{ATOM}content") == "<p>Quick &amp; <em>clean</em></p>\n"


def test_a_browser_gets_errors_as_pages_and_a_program_as_problems(front: str) -> None:
    for path, status in (
        ("/nothing", 404),
        ("/apps/org.example.none", 404),
        ("/?cursor=%", 400),
        ("/?q=" + "x" * 201, 400),
    ):
        shown = page(front, path)
        assert (shown.status_code, shown.headers["content-type"]) == (status, "text/html; charset=utf-8")
        assert shown.headers["cache-control"].endswith("no-store") and "Accept" in shown.headers["vary"].split(", ")
        assert "default-src 'none'" in shown.headers["content-security-policy"]
        program = httpx.get(front + path)
        assert (program.status_code, program.headers["content-type"]) == (status, "application/problem+json")
    assert page(front, "/api/store/apps/org.example.none").headers["content-type"] == "application/problem+json"


def test_the_first_page_is_small_and_answered_304_when_it_is_known(site: Portal, front: str, app_id: str) -> None:
    publishing.illustrate(site.store, app_id)
    publishing.publish(site.store, app_id, 1)
    first = page(front, "/")
    names = re.findall(r'(?:src|href)="(/(?:static|assets)/[^"]+)"', first.text)
    assert names
    loaded = [httpx.get(front + name) for name in {*names}]
    assert all(answer.status_code == 200 for answer in loaded)
    assert len(first.content) + sum(len(answer.content) for answer in loaded) < 60_000
    known = {"If-None-Match": page(front, f"/apps/{app_id}").headers["etag"]}
    assert httpx.get(f"{front}/apps/{app_id}", headers=known).status_code == 304
    style = httpx.get(front + static.url("style.css"))
    assert "immutable" in style.headers["cache-control"] and style.headers["content-encoding"] == "gzip"
    old = httpx.get(f"{front}/static/0123456789abcdef/style.css")
    assert (old.content, old.headers["cache-control"]) == (style.content, "no-store")


def test_a_page_with_a_public_url_is_the_same_whatever_host_was_asked(site: Portal, front: str, app_id: str) -> None:
    publishing.publish(site.store, app_id, 1)
    answers = [httpx.get(f"{front}/apps/{app_id}", headers={"Host": host}) for host in ("evil.example", "store.test")]
    assert f">{site.store.settings.public_url}</span></code>" in answers[0].text
    assert answers[0].text == answers[1].text
    assert answers[0].headers["cache-control"].startswith("public")


def test_a_page_that_names_the_host_that_was_asked_is_never_shared(store: Store) -> None:
    developers_app = "org.example.hosted"
    add_developer(store, publishing.OWNER.developer_id)
    publishing.add_app(store, developers_app)
    publishing.publish(store, developers_app, 1)
    with calling(store) as client:
        for path in (f"/apps/{developers_app}", f"/apps/{developers_app}/qr.svg", f"/apps/{developers_app}/feed.atom"):
            assert "private" in client.get(path).headers["cache-control"]
        assert ">http://portal</span></code>" in client.get(f"/apps/{developers_app}").text


def test_apps_are_found_in_pages(site: Portal, front: str) -> None:
    for number in range(52):
        app_id = f"org.paged.app{number:02}"
        publishing.add_app(site.store, app_id)
        publishing.publish(site.store, app_id, 1, name=f"Paginated {number:02}", payload_bytes=1)
    first = page(front, "/?q=paginated").text
    [following] = re.findall(r'href="([^"]+)" rel="next"', first)
    second = page(front, following.replace("&amp;", "&")).text
    found = [re.findall(r"/apps/(org\.paged\.app\d+)", text) for text in (first, second)]
    assert [len(names) for names in found] == [50, 2]
    assert len({*found[0], *found[1]}) == 52
    with site.store.db.write() as tx:
        tx.execute("INSERT INTO downloads VALUES ('org.paged.app07', 1, ?, 1234)", (now() // 86400,))
    assert "<dd>1,234</dd>" in page(front, "/apps/org.paged.app07").text
    style = httpx.get(front + static.url("style.css"), headers={"Accept-Encoding": "identity"})
    assert len(page(front, "/").content) + len(style.content) < 60_000


def test_the_first_page_shows_what_is_downloaded_most(store: Store) -> None:
    add_developer(store, publishing.OWNER.developer_id)
    for number in range(storefront.FEATURED + 1):
        publishing.add_app(store, f"org.example.app{number}")
        publishing.publish(store, f"org.example.app{number}", 1, payload_bytes=1)
    with store.db.write() as tx:
        for number, day in ((2, 0), (3, 1), (1, 40)):  # the last one is too long ago
            tx.execute(
                "INSERT INTO downloads VALUES (?, 1, ?, ?)", (f"org.example.app{number}", now() // 86400 - day, number)
            )
    with calling(store) as client:
        text = client.get("/").text.partition('id="popular"')[2].partition("</section>")[0]
    assert re.findall(r"/apps/(org\.example\.app\d)\"", text) == ["org.example.app3", "org.example.app2"]


def test_long_words_of_a_developer_do_not_widen_the_page(site: Portal, app_id: str, visit: Visiting) -> None:
    publishing.publish(
        site.store, app_id, 1, name="W" * 100, description="D" * 2000, author="A" * 200, license="L" * 200,
        changelog="C" * 2000, permissions=["p" * 128], homepage=f"https://{'h' * 60}.{'h' * 60}.example/",
    )  # fmt: skip
    for path in ("/?q=wwwwww", f"/apps/{app_id}"):
        shown = visit(path, viewport={"width": 360, "height": 800})
        assert shown.page.evaluate("document.documentElement.scrollWidth") <= 360


def test_the_whole_command_for_a_new_device_can_be_copied(
    site: Portal, front: str, app_id: str, visit: Visiting
) -> None:
    publishing.publish(site.store, app_id, 1)
    page = visit(f"/apps/{app_id}").page
    copied = [button.get_attribute("data-copy") for button in page.get_by_role("button", name="Copy").all()]
    commands = [page.locator(f"#{name}").inner_text() for name in copied]
    known = f"mosis install {app_id} --from https://store.test"
    assert commands == [known, f"{known} --trust-first-use"]
    assert page.locator("#install .word").all_inner_texts() == known.split(), "no line ends within an option"
