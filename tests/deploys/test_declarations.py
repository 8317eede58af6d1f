"""Rules that pyinfra does not enforce, read from the source of the deploys."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploys.plan.render import CHECKOUT

SOURCES = [CHECKOUT / "deploy.py", *sorted((CHECKOUT / "deploys").rglob("*.py"))]


def trees() -> Iterator[tuple[Path, ast.Module]]:
    for path in SOURCES:
        yield path, ast.parse(path.read_text())


def decorated(tree: ast.Module, decorator: str) -> set[str]:
    def names(node: ast.FunctionDef) -> set[str]:
        return {d.func.id for d in node.decorator_list if isinstance(d, ast.Call) and isinstance(d.func, ast.Name)}

    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and decorator in names(node)}


def operation_modules(tree: ast.Module) -> set[str]:
    """Names under which a module of pyinfra.operations is imported."""
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module == "pyinfra.operations"]
    return {alias.asname or alias.name for node in imports for alias in node.names}


def operation_calls(tree: ast.Module, own: set[str]) -> Iterator[ast.Call]:
    modules = operation_modules(tree)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        function = node.func
        if isinstance(function, ast.Name) and function.id in own:
            yield node
        if (
            isinstance(function, ast.Attribute)
            and isinstance(function.value, ast.Name)
            and function.value.id in modules
        ):
            yield node


@pytest.fixture(scope="module")
def own_operations() -> set[str]:
    return {name for _, tree in trees() for name in decorated(tree, "operation")}


def test_every_operation_is_named(own_operations: set[str]) -> None:
    calls = [(path, call) for path, tree in trees() for call in operation_calls(tree, own_operations)]
    assert len(calls) > 10
    unnamed = [f"{path.name}:{call.lineno}" for path, call in calls if "name" not in {k.arg for k in call.keywords}]
    assert not unnamed


def test_modes_are_strings() -> None:
    """`mode=0o644` would run `chmod 420`."""
    numbers = [
        f"{path.name}:{keyword.value.lineno}"
        for path, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg == "mode"
        and isinstance(keyword.value, ast.Constant)
        and not isinstance(keyword.value.value, str)
    ]
    assert not numbers


def test_no_operation_runs_at_import(own_operations: set[str]) -> None:
    """A module is imported once, for one host: an operation at its top level would miss every other host."""
    early = []
    for path, tree in trees():
        inside = {id(n) for f in ast.walk(tree) if isinstance(f, ast.FunctionDef) for n in ast.walk(f)}
        early += [
            f"{path.name}:{call.lineno}" for call in operation_calls(tree, own_operations) if id(call) not in inside
        ]
    assert not early


def test_nothing_that_always_counts_as_changed() -> None:
    always = {("server", "shell"), ("python", "call"), ("systemd", "daemon_reload"), ("files", "rsync")}
    found = [
        f"{path.name}:{node.lineno}"
        for path, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and (node.value.id, node.attr) in always
    ]
    assert not found
