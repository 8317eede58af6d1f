"""What people read has one rule, wherever it comes from: a manifest, a request or a command."""

from collections.abc import Iterator
from typing import Annotated, Any, get_args, get_origin

import pytest
from pydantic import TypeAdapter, ValidationError

from portal.http.schemas import Body
from portal.packages import texts
from portal.packages.manifest import Manifest

READABLE = ("Chess", "日本語辞書", "👩\u200d💻", "Straße №5", "a\u200eb")
HIDDEN = (" ", "\u200b", "\u3164", "\u2060\ufeff", "a\u200bb", "a\xadb")
HARMFUL = ("a\u2028b", "\u202egpj.exe", "a\x9b31m", "a\x00", "a\x1b[31m")
CHECKED_ELSEWHERE = {
    "public_key", "proof", "old_signature", "new_signature",  # base64
    "token", "url", "issuer",  # parsed
}  # fmt: skip


@pytest.mark.parametrize("value", READABLE)
@pytest.mark.parametrize("kind", [texts.Name, texts.Line, texts.Description, texts.Explanation])
def test_what_people_write_is_accepted(kind: type, value: str) -> None:
    assert TypeAdapter(kind).validate_python(value) == value


@pytest.mark.parametrize("value", HARMFUL + HIDDEN)
def test_a_line_hides_nothing(value: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(texts.Line).validate_python(value)


@pytest.mark.parametrize("value", HARMFUL)
def test_several_lines_control_nothing(value: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(texts.Description).validate_python(f"One.\n\tTwo: {value}")


@pytest.mark.parametrize("value", ["https://example.org/ ", "https://example.org/a b", "mailto:a@example.org", "x"])
def test_a_page_has_a_url_that_browsers_open_as_it_is(value: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(texts.WebPage).validate_python(value)


def models(of: type[Body] = Body) -> Iterator[type[Body]]:
    for model in of.__subclasses__():
        yield model
        yield from models(model)


def kinds(annotation: Any) -> set[Any]:
    """What a value may be: the members of a union, without what annotates them."""
    if get_origin(annotation) is Annotated:
        return kinds(get_args(annotation)[0])
    return {annotation}.union(*(kinds(part) for part in get_args(annotation)))


def written() -> list[tuple[type, str]]:
    """Every text of a request or of a manifest that is not checked for something else."""
    return [
        (model, name)
        for model in (Manifest, *models())
        for name, field in model.model_fields.items()
        if str in kinds(field.annotation) and name not in CHECKED_ELSEWHERE
    ]


def test_every_text_of_a_request_and_of_a_manifest_keeps_the_rule() -> None:
    found = written()
    assert {name for _, name in found} >= {"name", "description", "homepage", "reason", "changelog", "author"}
    accepting = []
    for model, name in found:
        for value in HARMFUL:
            with pytest.raises(ValidationError) as refused:
                model.model_validate({name: value})
            if not any(fault["loc"] == (name,) for fault in refused.value.errors()):
                accepting.append((model.__name__, name, value))
    assert accepting == []
