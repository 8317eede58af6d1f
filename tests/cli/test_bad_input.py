"""Whatever is typed wrong, every command answers in a sentence or two that name the remedy, never with a traceback."""

import io
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from typer.core import TyperArgument, TyperCommand, TyperOption

from portal.cli import main
from portal.cli.table import COMMANDS, DEVELOPER, DEVICE
from portal.packages import keys
from portal.store.store import Store
from tests.cli.commands import leaves
from tests.packages.samples import make_package
from tests.support.portal import add_developer, environ

pytestmark = pytest.mark.seconds(80)

LOCAL = {row.name for row in COMMANDS if row.reader in (DEVELOPER, DEVICE)} | {"replicate", "rotate", "schedule"}
"""Commands that need no store, or are given its root."""
LEAVES = list(leaves())
NAMES = [" ".join(words) for words, _ in LEAVES]
WRONG_TEXT = ["", "Nobody", "nobody", "../../etc", "ü", "\x00", "-1", "a" * 300, "\udcff", "x y"]
WRONG_NUMBERS = ["x", "", "-1", "0", "1.5", "nan", "9" * 40]


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """Paths that a file cannot be read from or written to, by what is wrong."""
    (tmp_path / "directory").mkdir()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "empty").touch()
    (tmp_path / "binary").write_bytes(bytes(range(256)))
    return {
        "missing": tmp_path / "missing",
        "missing directory": tmp_path / "missing" / "file",
        "directory": tmp_path / "directory",
        "empty": tmp_path / "empty",
        "binary": tmp_path / "binary",
        "below a file": tmp_path / "empty" / "file",
        "loop": tmp_path / "loop",
        "long": tmp_path / ("x" * 300),
        "not for writing": Path("/proc/self/status"),
    }


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a developer who is signed in to a store that cannot be reached."""
    for name in ("MOSIS_URL", "MOSIS_KEY", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("MOSIS_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("MOSIS_TOKEN", f"mosis_{'0' * 16}_{'a' * 43}")


@pytest.fixture
def good(store: Store, tmp_path: Path) -> dict[str, str]:
    """A value for each parameter that its command would take."""
    add_developer(store, "acme")
    (tmp_path / "source").mkdir()
    keys.generate(tmp_path / "key.pem")
    make_package(tmp_path / "package.mosis")
    return {
        "developer_id": "acme", "name": "Acme", "token_id": "0" * 16, "key_id": "0" * 32, "developer": "acme",
        "app_id": "org.example.app", "version_code": "1", "reason": "It loses files.",
        "app": "org.example.app", "from_version_code": "2", "directory": str(tmp_path / "source"),
        "path": str(tmp_path / "key.pem"), "old": str(tmp_path / "key.pem"), "new": str(tmp_path / "key.pem"),
        "key": str(tmp_path / "key.pem"), "file": str(tmp_path / "package.mosis"),
        "output": str(tmp_path / "output"), "lines": "no line", "log": str(tmp_path / "log"),
        "pid_file": str(tmp_path / "pid"), "root": str(tmp_path / "away"), "config": str(tmp_path / "config"),
        "issuer": "https://gitlab.com", "repository_id": "4711", "number": "1", "sha256": "0" * 64,
    }  # fmt: skip


def line(words: tuple[str, ...], command: TyperCommand, values: dict[str, str]) -> list[str]:
    """The command line with these values, of required parameters and of those that are named."""
    typed = list(words)
    for parameter in command.params:
        if isinstance(parameter, TyperOption) and parameter.name in values:
            typed += [parameter.opts[0], values[parameter.name]]
    arguments = [p for p in command.params if isinstance(p, TyperArgument)]
    return [*typed, "--", *(values[argument.name] for argument in arguments if argument.name in values)]


def run(monkeypatch: pytest.MonkeyPatch, typed: list[str]) -> tuple[int, str]:
    """Exit status and standard error."""
    monkeypatch.setattr(sys, "argv", ["mosis", *typed])
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="backslashreplace") for _ in range(2))
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
        main()
        sys.exit(0)
    err.seek(0)
    return int(ended.value.code or 0), err.read()


def must_be_a_sentence(typed: list[str], status: int, text: str) -> None:
    assert status in (0, 1, 2, 4, 5), (typed, status)
    assert "Traceback" not in text
    assert "Errno" not in text, (typed, text)
    assert not any(raw in text for raw in ("validation error", "Value error", "Input should")), (typed, text)
    if status and typed[0] != "status":  # whose faults are its output
        sentences = [row for row in text.splitlines() if row and not row.startswith(("Usage:", " ", "Try "))]
        assert len(sentences) in (1, 2), (typed, text)
        assert len(text) < 1500, typed


@pytest.mark.parametrize(("words", "command"), LEAVES, ids=NAMES)
def test_wrong_values(
    words: tuple[str, ...],
    command: TyperCommand,
    store: Store,
    good: dict[str, str],
    files: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MOSIS_CONFIG", environ(store)["MOSIS_CONFIG"])
    monkeypatch.chdir(files["directory"])  # some of these names are good for a new file
    for parameter in command.params:
        if getattr(parameter, "is_flag", False):
            continue
        required = {p.name for p in command.params if p.required}
        for wrong in [*WRONG_TEXT, *WRONG_NUMBERS, *map(str, files.values())]:
            values = {name: value for name, value in good.items() if name in required} | {parameter.name: wrong}
            typed = line(words, command, values)
            status, text = run(monkeypatch, typed)
            must_be_a_sentence(typed, status, text)


@pytest.mark.parametrize(("words", "command"), LEAVES, ids=NAMES)
@pytest.mark.parametrize("config", ["missing", "directory", "binary", "wrong", "unknown", "no store"])
def test_unusable_settings(
    words: tuple[str, ...],
    command: TyperCommand,
    config: str,
    good: dict[str, str],
    files: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    content = {
        "wrong": f"root = '{tmp_path}'\nport = 'eighty'\nworkers = -1\n",
        "unknown": f"root = '{tmp_path}'\ncolour = 'red'\n",
        "no store": f"root = '{tmp_path / 'nowhere'}'\n",
    }
    path = files.get(config, tmp_path / "mosis.toml")
    if config in content:
        path.write_text(content[config])
    monkeypatch.setenv("MOSIS_CONFIG", str(path))
    required = {p.name for p in command.params if p.required}
    typed = line(words, command, {name: value for name, value in good.items() if name in required})
    status, text = run(monkeypatch, typed)
    must_be_a_sentence(typed, status, text)
    if config != "no store" and status and words[0] not in LOCAL:
        assert str(path) in text, (typed, text)


def test_without_settings_the_remedy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOSIS_CONFIG", str(tmp_path / "mosis.toml"))
    assert run(monkeypatch, ["status"]) == (
        1,
        f"No settings: {tmp_path}/mosis.toml does not exist. Use <root>/bin/mosis, or set MOSIS_CONFIG.\n",
    )


@pytest.mark.parametrize(
    "typed", [["key", "generate", "{}", "--offline"], ["pack", "source", "{}"], ["sign", "file", "--key", "{}"]]
)
def test_a_missing_directory_is_named_rather_than_the_file_in_it(
    typed: list[str], good: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = {"source": str(tmp_path / "source"), "file": good["file"], "{}": str(tmp_path / "none/deeper/file")}
    (tmp_path / "source/manifest.json").write_text(
        '{"manifest_version": 1, "id": "org.a.b", "name": "B", "version_name": "1.0.0", "version_code": 1}'
    )
    status, text = run(monkeypatch, [words.get(word, word) for word in typed])
    assert (status, text) == (1, f"{tmp_path}/none does not exist: check the path.\n")


def test_an_unknown_developer_has_no_list_of_keys(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOSIS_CONFIG", environ(store)["MOSIS_CONFIG"])
    assert run(monkeypatch, ["developer", "keys", "nobody"]) == (1, "NOT_FOUND: There is no developer nobody.\n")


def test_an_error_of_the_database_is_a_sentence(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    add_developer(store, "acme")
    store.db.read().execute("DROP TABLE keys")
    monkeypatch.setenv("MOSIS_CONFIG", environ(store)["MOSIS_CONFIG"])
    typed = ["developer", "keys", "acme"]
    assert run(monkeypatch, typed) == (1, "The database failed: no such table: keys.\n")


def test_an_identifier_that_is_none_is_named_with_what_it_should_be(monkeypatch: pytest.MonkeyPatch) -> None:
    status, text = run(monkeypatch, ["developer", "add", "Acme", "Acme"])
    assert status == 2
    assert "'DEVELOPER_ID': 'Acme' is not a lower-case slug" in text


@pytest.mark.parametrize(
    "typed",
    [
        ["init", "{}/new"],
        ["login"],
        ["push", "{}/package.mosis", "--bump", "patch"],
        ["yank", "org.example.app", "1"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_a_sentence(
    typed: list[str], good: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a BadParameter, click makes "Invalid value for --id: is needed"."""
    monkeypatch.delenv("MOSIS_URL")
    status, text = run(monkeypatch, [word.format(tmp_path) for word in typed])
    assert "Invalid value" not in text
    assert (status, text[-2:]) == (2, ".\n")


@pytest.mark.parametrize("typed", [[], ["key"], ["review"], ["backup"]], ids=" ".join)
def test_a_group_alone_prints_its_help_once(typed: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    status, text = run(monkeypatch, typed)
    assert (status, text.count("Usage: "), text.count("-h, --help"), "Error" in text) == (2, 1, 1, False)


def test_a_package_whose_signature_nobody_checked_does_not_verify(
    good: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    status, text = run(monkeypatch, ["verify", good["file"]])
    assert (status, "--public-key" in text) == (1, True)
