"""A form that is refused comes back with what was filled in, and with each reason beside its field."""

import re
from collections.abc import Iterator

import httpx
import pytest

from portal.store.store import Store
from tests.support import publishing
from tests.support.in_process import calling
from tests.support.portal import add_developer

APP_ID = "org.example.forms"
APP = f"/console/apps/{APP_ID}"
NEW_ID = "org.example.new"
NEW = f"/console/apps/{NEW_ID}"
LONG = "x" * 2001


@pytest.fixture
def owner(store: Store) -> Iterator[httpx.Client]:
    """The owner of an app with a draft and a published version, and of one without any."""
    token = add_developer(store, publishing.OWNER.developer_id)
    publishing.add_app(store, APP_ID)
    publishing.add_app(store, NEW_ID)
    publishing.publish(store, APP_ID, 1)
    publishing.upload(store, APP_ID, 2)
    with calling(store, token) as client:
        yield client


def field(page: str, name: str) -> tuple[str, str, str]:
    """The value of a field, and what the page says at it and in the message on top about it."""
    tag = re.search(rf'<(input|textarea|select) id="{name}"[^>]*>', page)
    assert tag, name
    value = re.search(r'value="([^"]*)"', tag[0]) if tag[1] == "input" else None
    text = page[tag.end() :].partition(f"</{tag[1]}>")[0]
    chosen = re.search(r'<option(?: value="([^"]*)")? selected>([^<]*)', text)
    shown = value[1] if value else (chosen[1] or chosen[2]) if chosen else text
    fault = re.search(rf'<span class="fault" id="{name}-fault">(.*?)</span>', page)
    assert (f"{name}-fault " in tag[0]) == ('aria-invalid="true"' in tag[0]) == bool(fault)
    top = re.search(rf'<a href="#{name}">(.*?)</a>', page)
    return shown, fault[1] if fault else "", top[1] if top else ""


@pytest.mark.parametrize(
    ("path", "form", "sent", "at", "sentence"),
    [
        ("/console/apps", "create", {"app_id": "Reader", "name": "R", "description": "D"}, "app_id", "App ID: must be"),
        ("/console/apps", "create", {"app_id": APP_ID, "name": "R", "description": "D"}, "app_id", "one of your apps"),
        (
            f"{NEW}/edit",
            "edit",
            {"name": "", "description": "Kept.", "homepage": "http://a.test"},
            "name",
            "at least",
        ),
        (f"{NEW}/edit", "edit", {"name": "R", "description": "K", "homepage": "ftp://a.test"}, "homepage", "http"),
        (f"{APP}/versions/1/yank", "yank-1", {"reason": ""}, "reason", "Write a reason"),
        (f"{APP}/versions/1/yank", "yank-1", {"reason": LONG}, "reason", "at most 2000"),
        (f"{APP}/versions/2/submit", "submit-2", {"reason": LONG}, "reason", "at most 2000"),
        (f"{APP}/versions/2/previews", "preview-2", {"days": "400"}, "days", "greater than"),
        ("/console/tokens", "token", {"app_id": APP_ID, "days": "5"}, "days", "greater than"),
        ("/console/keys", "key", {"statement": "AAAA"}, "statement", "mosis key proof"),
    ],
)
def test_it_keeps_what_was_typed_and_says_at_its_field_what_is_wrong(
    owner: httpx.Client, path: str, form: str, sent: dict[str, str], at: str, sentence: str
) -> None:
    answer = owner.post(path, data=sent)
    assert answer.status_code in (409, 422)
    for name, typed in sent.items():
        value, fault, top = field(answer.text, f"{form}-{name}")
        if name != "days":  # a list, which does not have this number
            assert value == typed
        assert (sentence in fault) == (name == at)
        assert fault == top


def test_an_app_id_of_another_developer_needs_another_one(store: Store, owner: httpx.Client) -> None:
    assert owner.get(APP).status_code == 200
    with calling(store, add_developer(store, "stranger", key=None)) as other:
        shown = other.post("/console/apps", data={"app_id": APP_ID, "name": "R", "description": "D"}).text
    assert "Another developer has it: choose another ID." in shown


def test_fields_of_other_forms_are_as_they_were(owner: httpx.Client) -> None:
    page = owner.post(f"{APP}/versions/1/yank", data={"reason": LONG}).text
    assert field(page, "submit-2-reason") == ("", "", "")
    page = owner.post(f"{NEW}/icon", files={"icon": ("picture.png", b"")}).text
    assert field(page, "edit-name") == ("App", "", "")


def test_what_cannot_be_edited_has_no_form(owner: httpx.Client) -> None:
    assert f'action="{NEW}/edit"' in owner.get(NEW).text
    assert f'action="{APP}/edit"' not in owner.get(APP).text


@pytest.mark.parametrize("kind", ["icon", "screenshot"])
@pytest.mark.parametrize("content", [b"", b"no picture", publishing.png(10, 20)])
def test_what_is_wrong_with_a_picture_stands_at_its_field(owner: httpx.Client, kind: str, content: bytes) -> None:
    path = f"{APP}/icon" if kind == "icon" else f"{APP}/screenshots"
    answer = owner.post(path, files={kind: ("picture.png", content)})
    assert answer.status_code == 400
    _, fault, top = field(answer.text, f"{kind}-{kind}")
    assert fault == top != ""


def test_a_state_that_changed_meanwhile_is_no_fault_of_a_field(owner: httpx.Client) -> None:
    answer = owner.post(f"{APP}/versions/1/submit", data={"reason": "Please."})
    assert answer.status_code == 409
    assert "1 is published" in answer.text
    assert "-fault" not in answer.text


def test_what_is_typed_is_text(owner: httpx.Client) -> None:
    page = owner.post(f"{NEW}/edit", data={"name": "", "description": "</textarea><script>", "homepage": '"><b>'}).text
    assert "<script>" not in page.partition("</head>")[2]
    assert field(page, "edit-homepage")[0] == "&#34;&gt;&lt;b&gt;"
