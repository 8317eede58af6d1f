"""`python -m docs.tables`: writes the tables of docs/*.md from the code that they describe.

Each table stands in its page between `<!-- table: NAME -->` and `<!-- end of table -->`; a test holds them equal.
"""

import ast
import json
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import cast

import typer
import yaml  # type: ignore[import-untyped]  # its stubs would be one more dependency
from pydantic import BaseModel
from pydantic_core import PydanticUndefined
from typer._click import Command

from deploys.plan import schedules
from deploys.plan.data import PREFIX, HostData, Tls
from docs import bounds, model
from portal import settings
from portal.app import create_app
from portal.cli import app as command
from portal.cli.table import COMMANDS
from portal.http.problems import KINDS
from portal.http.routes import store
from portal.jobs.table import JOBS
from portal.metrics import standby_exposition
from portal.mirror import wanted
from portal.settings import S3, Backup, Follow, Issuer, Settings
from portal.store import catalogue_files
from portal.store.retention import HOUR, RULES

REPOSITORY = Path(__file__).parents[1]
PAGES = sorted((REPOSITORY / "docs").glob("*.md"))
NESTED: Mapping[str, type[BaseModel]] = {
    "issuers": Issuer,
    "backup": Backup,
    "mirror": S3,
    "follow": Follow,
    "tls": Tls,
}
SCOPES = ("developer", "reviewer", "admin")
PLACE = re.compile(r"(<!-- table: ([a-z-]+) -->\n).*?(<!-- end of table -->)", re.DOTALL)


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(str(cell).replace('|', '&#124;') for cell in line)} |\n" for line in lines)


def portal_settings() -> str:
    return table(("setting", "default", "meaning"), _settings(Settings))


def _settings(model: type[BaseModel], prefix: str = "") -> Iterator[Sequence[object]]:
    for name, field in model.model_fields.items():
        yield f"`{prefix}{name}`", shown(field.get_default(call_default_factory=True)), field.description
        if name in NESTED:
            yield from _settings(NESTED[name], f"{prefix}{name}.")


def host_data() -> str:
    return table(("host data", "default", "meaning"), _settings(HostData, PREFIX))


def shown(default: object) -> str:
    """A default as the pages print it."""
    if default is PydanticUndefined:
        return "required"
    if default is None:
        return "none"
    if default in ("", {}, ()):
        return "empty"
    if isinstance(default, tuple):
        return f"`{', '.join(map(str, default))}`"
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def floors(root: str) -> str:
    """The layers of import-linter's contract on a package, from the top; with the first sentence of each module."""
    contracts = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    [layers] = [c["layers"] for c in contracts if c["type"] == "layers" and c["layers"][0].startswith(f"{root}.")]
    modules = ((number, name) for number, layer in enumerate(reversed(layers)) for name in layer.split(" | "))
    return table(
        ("floor", "module", "contains"),
        ((number, f"`{name}`", _contents(name)) for number, name in reversed([*modules])),
    )


def _contents(module: str) -> str:
    path = REPOSITORY / module.replace(".", "/")
    source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return (ast.get_docstring(ast.parse(source.read_text())) or "").partition("\n")[0]


def retention() -> str:
    return table(
        ("version", "deleted after", "counted from"),
        ((rule.label, _duration(rule.seconds), rule.since) for rule in RULES),
    )


def _duration(seconds: int) -> str:
    if seconds < HOUR:
        return f"{seconds // 60} minutes"
    if seconds >= 2 * 24 * HOUR:
        return f"{seconds // (24 * HOUR)} days"
    return f"{seconds // HOUR} hour{'s' if seconds > HOUR else ''}"


def jobs() -> str:
    own = (
        (f"`{job.name}`", f"`{job.time}`", f"`mosis {job.command}`", job.needs, _duration(job.max_age), job.help)
        for job in JOBS
    )
    of_dsm = (
        (f"`{job.name}`", f"`{job.time}`" if job.time else "off", "a command of DSM", "a NAS", "-", "-")
        for job in schedules.DSM_JOBS
    )
    return table(("job", "default time", "command", "runs on", "overdue after", "what it does"), (*own, *of_dsm))


def alerts() -> str:
    groups = yaml.safe_load((REPOSITORY / "files/prometheus/rules.yml").read_text())["groups"]
    rules = [rule for group in groups for rule in group["rules"] if "alert" in rule]
    return table(
        ("alert", "severity", "held for", "it reports"),
        (
            (
                f"`{rule['alert']}`",
                rule["labels"]["severity"],
                rule.get("for", "-"),
                _plain(rule["annotations"]["summary"]),
            )
            for rule in rules
        ),
    )


def _plain(template: str) -> str:
    return re.sub(r"\{\{ *\$labels\.(\w+) *\}\}", r"*\1*", re.sub(r"\{\{ *\$value[^}]*\}\}", "*N*", template))


def problems() -> str:
    ordered = sorted(KINDS.items(), key=lambda item: (item[1].status, item[0]))
    return table(("code", "status", "title"), ((f"`{code}`", kind.status, kind.title) for code, kind in ordered))


def routes() -> str:
    return table(
        ("method", "path", "scope", "summary"),
        (
            (method.upper(), f"`{path}`", _scope(operation), operation["summary"])
            for path, operations in openapi()["paths"].items()
            for method, operation in operations.items()
        ),
    )


def _scope(operation: Mapping[str, str]) -> str:
    scopes = re.findall(r"[a-z]+", operation.get("description", "").removeprefix("Scope:").replace(" or ", " "))
    return (
        "none" if not scopes else "any" if len(scopes) == len(SCOPES) else " or ".join(sorted(scopes, key=SCOPES.index))
    )


def openapi() -> dict[str, dict[str, dict[str, dict[str, str]]]]:
    """The document that a store answers at /openapi.json."""
    return cast("dict[str, dict[str, dict[str, dict[str, str]]]]", json.loads(answer("/openapi.json")))


def metrics() -> str:
    text = answer("/metrics").decode() + standby_exposition(settings.parse({"root": "/"}), 0).decode()
    kinds = set(re.findall(r"^# HELP (\w+) (.*)\n# TYPE \w+ (\w+)", text, re.MULTILINE))
    return table(
        ("metric", "type", "meaning"),
        ((f"`{name}`", kind, text) for name, text, kind in sorted(kinds) if not name.endswith("_created")),
    )


def answer(path: str) -> bytes:
    """What a new store answers to GET."""
    with tempfile.TemporaryDirectory() as root:
        environment = os.environ | {settings.CONFIG_VARIABLE: "/dev/null", "MOSIS_ROOT": root}
        subprocess.run([Path(sys.executable).with_name("mosis"), "setup"], env=environment, check=True)
        mirror = {"endpoint": "https://s3.example.org", "bucket": "mosis", "credentials": "/nowhere"}
        app = create_app(settings.parse({"root": root, "mirror": mirror}))
        request = {"REQUEST_METHOD": "GET", "PATH_INFO": path, "REMOTE_ADDR": "127.0.0.1", "wsgi.input": None}
        return b"".join(app(request, lambda *_: None))


def commands() -> str:
    group = cast("typer.core.TyperGroup", typer.main.get_command(command))
    return table(
        ("command", "what it does", ""),
        (
            (f"`mosis {name}`", help_of(found), row.reader[0].lower() + row.reader[1:])
            for row in COMMANDS
            for name, found in _flat(row.name, group.commands[row.name])
        ),
    )


def _flat(name: str, found: Command) -> Iterator[tuple[str, Command]]:
    if isinstance(found, typer.core.TyperGroup):
        for inner, inside in found.commands.items():
            yield from _flat(f"{name} {inner}", inside)
    elif not found.hidden:
        yield name, found


def help_of(found: Command) -> str:
    """The first paragraph of a command's help."""
    return (found.help or "").partition("\n\n")[0].replace("\n", " ")


def durability() -> str:
    return table(
        ("copies", "of a million packages lost in a year to failing disks", "and with the place", "one survives"),
        (
            (
                setup.name,
                *map(_of_a_million, (setup.to_failures(), setup.to_place())),
                model.nines(setup.to_failures() + setup.to_place()),
            )
            for setup in model.SETUPS
        ),
    )


def _of_a_million(probability: float) -> str:
    number = 1e6 * probability
    return f"{number:,.0f}" if number >= 1 else f"{number:.1g}"


def assumptions() -> str:
    return table(("assumed", "value", "from"), ((each.what, each.value, each.source) for each in model.ASSUMPTIONS))


def cache_headers() -> str:
    """`Cache-Control` of everything that devices fetch, from the constants that the store and the mirror send."""
    timestamp, immutable = (
        catalogue_files.cache_control(name) for name in (catalogue_files.TIMESTAMP, "metadata/1.root.json")
    )
    rows = (
        ("`catalogue/metadata/timestamp.json`", timestamp, timestamp),
        ("all else below `catalogue/`", immutable, immutable),
        ("a file of the catalogue that is not there: 404", "no-store", None),
        ("a package (`downloads/…`, `packages/…`)", store.IMMUTABLE_CACHE, wanted.CACHE_CONTROL),
        ("the redirect of a download to the bucket", store.REDIRECT_CACHE, None),
        ("an icon or screenshot with a digest in its name", store.IMAGE_CACHE, wanted.CACHE_CONTROL),
        ("an icon or screenshot by its plain name", store.ASSET_CACHE, None),
        ("list and info, `api/store/…`", store.INFO_CACHE["Cache-Control"], None),
    )
    return table(
        ("what", "from the store", "from the bucket"),
        ((what, *(f"`{value}`" if value else "—" for value in values)) for what, *values in rows),
    )


BOUND = ("what", "limit", "set in", "beyond it")


def bounds_of(part: tuple[bounds.Bound, ...]) -> str:
    return table(BOUND, bounds.rows(part, REPOSITORY))


TABLES: Mapping[str, Callable[[], str]] = {
    "alerts": alerts,
    "assumptions": assumptions,
    "bounds-of-connections": partial(bounds_of, bounds.CONNECTIONS),
    "bounds-of-files": partial(bounds_of, bounds.FILES),
    "bounds-of-people": partial(bounds_of, bounds.PEOPLE),
    "bounds-of-requests": partial(bounds_of, bounds.REQUESTS),
    "cache-headers": cache_headers,
    "commands": commands,
    "durability": durability,
    "floors-of-deploys": partial(floors, "deploys"),
    "floors-of-device": partial(floors, "mosis_device"),
    "floors-of-portal": partial(floors, "portal"),
    "host-data": host_data,
    "jobs": jobs,
    "metrics": metrics,
    "problems": problems,
    "quotas": lambda: table(BOUND, bounds.quotas()),
    "rates": lambda: table(BOUND, bounds.rates()),
    "retention": retention,
    "routes": routes,
    "settings": portal_settings,
}


def written(page: str) -> str:
    """The text of a page with its tables made anew. Raises KeyError for a table that does not exist."""
    return PLACE.sub(lambda place: f"{place[1]}{TABLES[place[2]]()}{place[3]}", page)


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(written(page.read_text()))
