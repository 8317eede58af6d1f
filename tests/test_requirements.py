"""The locks: each lists all that what it lists needs, since pip installs them without a look at dependencies."""

import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires

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
