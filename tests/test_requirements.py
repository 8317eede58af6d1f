"""The locks: each lists all that what it lists needs, since pip installs them without a look at dependencies."""

import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from deploys.plan.render import CHECKOUT


def locked(name: str) -> dict[str, Version]:
    """The versions that requirements/NAME.lock lists for this machine."""
    found = re.findall(
        r"^([^\s#=]+==[^\s\\]+(?: ?;[^\\\n]+)?)", (CHECKOUT / f"requirements/{name}.lock").read_text(), re.MULTILINE
    )
    entries = [Requirement(line) for line in found]
    return {
        canonicalize_name(entry.name): Version(str(entry.specifier).removeprefix("=="))
        for entry in entries
        if entry.marker is None or entry.marker.evaluate()
    }


def needed(name: str, extras: set[str]) -> Iterator[Requirement]:
    for line in requires(name) or ():
        requirement = Requirement(line)
        if requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            yield requirement


@pytest.mark.parametrize("name", ["portal", "operator", "dev"])
def test_a_lock_is_whole(name: str) -> None:
    versions = locked(name)
    assert len(versions) > 10
    ahead, seen, missing = [(entry, "") for entry in versions], set(), []
    while ahead:
        package, extra = ahead.pop()
        if (package, extra) in seen:
            continue
        seen.add((package, extra))
        try:
            wanted = list(needed(package, {extra}))
        except PackageNotFoundError:
            missing.append(f"{package} is not installed")
            continue
        for requirement in wanted:
            other = canonicalize_name(requirement.name)
            if other not in versions or versions[other] not in requirement.specifier:
                missing.append(f"{package}[{extra}] needs {requirement}, {other} is {versions.get(other)}")
            ahead.extend((other, each) for each in requirement.extras if other in versions)
    assert not missing


@pytest.mark.parametrize("lock", sorted((CHECKOUT / "requirements").glob("*.lock")), ids=lambda path: path.name)
def test_every_package_of_a_lock_has_digests_and_no_place(lock: Path) -> None:
    text = lock.read_text()
    entries = re.split(r"\n(?=\S)", text.strip())
    assert all(re.match(r"[a-z0-9.-]+==\S+", entry) and "--hash=sha256:" in entry for entry in entries)
    assert "://" not in text
    assert "index-url" not in text


def test_tools_that_make_the_locks_are_in_one() -> None:
    lock = (CHECKOUT / "requirements/supply.lock").read_text()
    assert all(f"\n{tool}==" in lock for tool in ("uv", "pip-audit", "cyclonedx-bom"))
    assert "pip install" not in (CHECKOUT / "Makefile").read_text()
