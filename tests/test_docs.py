"""README.md and docs/ are true where a machine can tell: tables, links, commands of make, the format of packages."""

import re
import subprocess
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest
import typer
from typer._click import Command
from typer.core import TyperGroup

from deploys.plan import plan
from deploys.plan.data import PREFIX, HostData
from deploys.plan.release import Release
from deploys.services import certificate
from docs import tables
from portal.cli import app
from portal.settings import Settings
from tests.support.pages import section

REPOSITORY = Path(__file__).parents[1]
PAGES = sorted([*REPOSITORY.glob("*.md"), *tables.PAGES])
PRESENT = [page for page in PAGES if page.name != "CHANGELOG.md"]  # which names things of the past too
LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCED = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", tables.PAGES, ids=lambda page: page.name)
def test_the_tables_are_what_the_code_says(page: Path) -> None:
    text = page.read_text()
    assert text == tables.written(text), f"{page.name} is out of date: run `make docs`."


def test_every_limit_that_can_be_set_is_on_its_page() -> None:
    limits = (REPOSITORY / "docs/limits.md").read_text()
    bounds = [name for name in Settings.model_fields if re.search(r"_max(_|$)|_per_(hour|minute)|budget", name)]
    assert len(bounds) > 10
    assert [name for name in bounds if f"`{name}`" not in limits] == ["job_max_ages"]  # overdue jobs are no client's


def test_every_table_has_a_place() -> None:
    placed = [name for page in tables.PAGES for _, name, _ in tables.PLACE.findall(page.read_text())]
    assert sorted(placed) == sorted(tables.TABLES)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_resolves(page: Path) -> None:
    broken = [link for link in links(page) if not resolves(page, link)]
    assert not broken


def links(page: Path) -> Iterator[str]:
    """The relative links of a page."""
    for link in LINK.findall(FENCED.sub("", page.read_text())):
        if not re.match(r"[a-z]+:", link):
            yield link


def resolves(page: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = page.parent / path if path else page
    return target.exists() and (not anchor or anchor in anchors(target))


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", FENCED.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_page_is_reached_from_the_readme() -> None:
    reached, waiting = set(), [REPOSITORY / "README.md"]
    while waiting:
        page = waiting.pop()
        if page not in reached:
            reached.add(page)
            found = ((page.parent / link.partition("#")[0]).resolve() for link in links(page) if link[0] != "#")
            waiting += [target for target in found if target.suffix == ".md"]
    assert sorted(set(PAGES) - reached) == []


def test_the_readme_is_short() -> None:
    assert len((REPOSITORY / "README.md").read_text().splitlines()) <= 150


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_make_target_that_is_named_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ([a-z][a-z-]*)", page.read_text(), re.MULTILINE))
    assert named <= targets


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_is_named_exists(page: Path) -> None:
    named = re.findall(
        r"`((?:portal|deploys|mosis_device|files|templates|tests|inventory|docs|requirements)/[\w./-]+)`",
        page.read_text(),
    )
    own = {"inventory/my-host.py", "inventory/my-nas.py"}
    assert [name for name in named if name not in own and not (REPOSITORY / name).exists()] == []


def test_every_setting_metric_and_alert_that_is_named_exists() -> None:
    host_data = {f"{PREFIX}{name}" for name in HostData.model_fields}
    known = host_data | set(re.findall(r"`(\w+)`", tables.metrics() + tables.alerts()))
    text = "".join(page.read_text() for page in PRESENT)
    named = set(re.findall(r"`\"?(mosis_(?!device\b)[a-z_]+|Mosis[A-Z]\w+)\b", text))
    assert named - known == set()


@pytest.mark.parametrize("page", PRESENT, ids=lambda page: page.name)
def test_a_request_that_the_store_refuses_shows_why(page: Path) -> None:
    """`curl --fail` drops the answer, and without any of its options a refusal ends in success."""
    shell = re.findall(r"^```sh\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)
    requests = [line for code in shell for line in code.splitlines() if re.search(r"\bcurl -", line)]
    assert [line for line in requests if not re.search(r" --fail-with-body | -\w*I ", line)] == []
    assert not [line for line in requests if re.search(r" --fail | -(?!-)\w*f", line)]


ABSENT: set[str] = set()  # commands that pages name although they do not exist yet


@pytest.mark.parametrize("page", PRESENT, ids=lambda page: page.name)
def test_every_command_that_is_named_exists(page: Path) -> None:
    """With each of its options; those that do not exist yet are not there without notice either."""
    assert [words for words in commands(page) if is_command(words) == (words[0] in ABSENT)] == []


def commands(page: Path) -> Iterator[list[str]]:
    """What stands after `mosis` in the shell blocks and the inline code of a page, word by word."""
    text = page.read_text()
    shell = re.findall(r"^```sh\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    for code in [*shell, *re.findall(r"`([^`\n]+)`", FENCED.sub("", text))]:
        for line in re.findall(r"(?:^|[/$]|sudo )mosis ([a-z][^\n|;&']*)", code, re.MULTILINE):
            yield re.findall(r"--[\w-]+|[\w.-]+", line)


def is_command(words: list[str]) -> bool:
    found = typer.main.get_command(app)
    for word in words:
        if isinstance(found, TyperGroup):
            if word not in found.commands:
                return False
            found = found.commands[word]
        elif word.startswith("--") and not _takes(found, word):
            return False
    return True


def _takes(found: Command, option: str) -> bool:
    passes_on = found.context_settings.get("ignore_unknown_options", False)  # to a program with options of its own
    return passes_on or any(option in param.opts for param in found.params)


@pytest.mark.parametrize(
    ("runtime", "data"),
    [
        ("systemd", {"mosis_prometheus": "install"}),
        ("systemd", {"mosis_server_names": ("a.org",), "mosis_tls": {"acme": "a@a.org"}}),
        ("compose", {"mosis_share": "mosis", "mosis_root": "/volume1/mosis"}),
    ],
)
def test_uninstalling_removes_every_file_that_a_plan_has(runtime: str, data: dict[str, object], tmp_path: Path) -> None:
    (tmp_path / "portal.lock").touch()
    release = Release("0123456789ab", tmp_path / "mosis.whl", tmp_path / "portal.lock")
    wanted = plan({"mosis_runtime": runtime, **data}, release)
    [row] = re.findall(rf"^\| `{runtime}` \| (.*) \|$", section("docs/operations.md", "Uninstall"), re.MULTILINE)
    removed = [word for word in re.split(r"[ <>`]+", row) if word.startswith("/")]
    files = [file for service in wanted.services.values() for file in service.files]
    placed = [wanted.command.path, *(file.path for file in (*files, *(wanted.stack.files if wanted.stack else ())))]
    placed += [own.path for own in wanted.directories if "mosis" in Path(own.path).name]
    assert [path for path in placed if not any(fnmatch(path, f"{place}*") for place in removed)] == []
    assert runtime != "systemd" or f"certbot delete --cert-name {certificate.NAME}`" in row


def test_git_ignores_the_secrets_that_the_walk_throughs_write() -> None:
    if not (REPOSITORY / ".git").exists():
        pytest.skip("this is no clone")
    names = sorted({name for page in PRESENT for name in re.findall(r"\b[\w-]+\.(?:auth|pem)\b", page.read_text())})
    asked = ["git", "-C", REPOSITORY, "check-ignore", *names]
    assert subprocess.run(asked, capture_output=True, text=True, check=False).stdout.split() == names
