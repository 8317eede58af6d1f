"""Known advisories are named with their remedy; where nobody can be asked, that is said and is no failure."""

from pathlib import Path

import pytest

from deploys.make import advisories

SOUND = {"name": "a", "version": "1", "vulns": []}
FAULTY = {"name": "b", "version": "2", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2.1", "3"]}]}
UNKNOWN = {"name": "c", "skip_reason": "Dependency not found on PyPI and could not be audited: c (1)"}


@pytest.mark.parametrize(
    ("found", "status", "words"),
    [
        ([], 0, "not checked, no database of them can be reached."),
        ([UNKNOWN], 0, "not checked, no database of them can be reached."),
        ([SOUND], 0, "0 for 1 packages."),
        ([SOUND, UNKNOWN], 0, "0 for 1 packages; 1 could not be checked."),
        ([SOUND, FAULTY], 1, "b 2: PYSEC-1, fixed in 2.1, 3"),
    ],
)
def test_outcome(found, status: int, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr(advisories, "asked", lambda _: found)
    assert advisories.main() == status
    assert words in capsys.readouterr().out


def test_a_program_that_is_missing_or_fails_is_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(advisories.sys, "executable", str(tmp_path / "python"))
    assert advisories.asked(tmp_path / "a.lock") == []
    (tmp_path / "pip-audit").write_text("#!/bin/sh\necho no JSON\nexit 1\n")
    (tmp_path / "pip-audit").chmod(0o755)
    assert advisories.asked(tmp_path / "a.lock") == []
    (tmp_path / "pip-audit").write_text('#!/bin/sh\necho \'{"dependencies": [{"name": "a"}]}\'\n')
    assert advisories.asked(tmp_path / "a.lock") == [{"name": "a"}]
