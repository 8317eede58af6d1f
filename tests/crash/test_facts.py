"""What a crash may leave of a request without an answer: all of it or nothing; of acknowledged ones all."""

from crash.facts import App, Facts, Placed

OLD, NEW = Placed("in_review", "aa"), Placed("published", "aa")
PUBLISH: Facts = {"version 1": NEW, "current": 1}


def kinds(app: App, seen: Facts, *, cleaned: bool = False) -> list[str]:
    return [kind for kind, _ in app.settle(seen, cleaned=cleaned)]


def acknowledged() -> App:
    return App("org.example.app", facts={"version 1": OLD})


def unanswered() -> App:
    return App("org.example.app", facts={"version 1": OLD}, maybe=dict(PUBLISH))


def test_what_was_acknowledged_must_be_there() -> None:
    assert kinds(acknowledged(), {"version 1": OLD}) == []
    assert kinds(acknowledged(), {}) == ["lost"]
    assert kinds(acknowledged(), {"version 1": Placed("in_review", "bb")}) == ["neither old nor new"]


def test_nothing_appears_that_nobody_asked_for() -> None:
    assert kinds(acknowledged(), {"version 1": OLD, "version 2": OLD}) == ["neither old nor new"]


def test_a_request_without_an_answer_is_done_or_not() -> None:
    assert kinds(unanswered(), {"version 1": OLD}) == []
    assert kinds(unanswered(), dict(PUBLISH)) == []


def test_a_request_is_never_half_done() -> None:
    assert kinds(unanswered(), {"version 1": NEW}) == ["half done"]
    assert kinds(unanswered(), {"version 1": OLD, "current": 1}) == ["half done"]


def test_what_is_due_may_be_gone_and_is_gone_after_a_cleanup() -> None:
    for seen, cleaned, expected in (
        ({"version 1": OLD}, False, []),
        ({}, False, []),
        ({}, True, []),
        ({"version 1": OLD}, True, ["left behind"]),
    ):
        app = acknowledged()
        app.due = {"version 1"}
        assert kinds(app, dict(seen), cleaned=cleaned) == expected


def test_a_fault_is_reported_once() -> None:
    app = acknowledged()
    assert kinds(app, {}) == ["lost"]
    assert kinds(app, {}) == []


ICON, SHOT = "icon-32.png", "screenshots/1.png"


def test_images_of_an_app_that_was_published_wait_for_a_review() -> None:
    facts: Facts = {"version 1": NEW, ICON: "aa", SHOT: "bb"}
    app = App("org.example.app", facts=dict(facts))
    app.facts |= app.with_images({ICON: "cc", SHOT: None})
    assert app.images == {ICON: "cc"} and (app.facts[ICON], app.facts[SHOT]) == ("aa", "bb")
    assert app.with_images({ICON: "aa"}) == {f"changed {ICON}": None, "rejected": None}
    published = app.facts | app.without_waiting(published=True)
    assert {name: value for name, value in published.items() if value} == {"version 1": NEW, ICON: "cc"}
    discarded = app.facts | app.without_waiting(published=False)
    assert {name: value for name, value in discarded.items() if value} == facts
