"""The rules of the house that no linter knows: short files, and a reason beside another package's privates."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import blip_fixtures

PACKAGE = Path(blip_fixtures.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
MOST_LINES = 300
MOST_LINES_OF_A_FUNCTION = 60
# A reason stands beside the line, or in the comment just above what it belongs to.
NEAR = 4
OWN = {"self", "cls"}


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_is_read_in_one_sitting(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MOST_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno < MOST_LINES_OF_A_FUNCTION, node.name


def foreign_privates(tree: ast.Module) -> list[ast.Attribute]:
    """Private attributes of anything but an object's own."""
    own = {node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef | ast.FunctionDef)}
    own |= {target.attr for target in ast.walk(tree) if isinstance(target, ast.Attribute) and is_own(target)}
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr.startswith("_")
        and not node.attr.startswith("__")
        and not is_own(node)
        and not is_operator(node)
        and node.attr not in own
    ]


def is_own(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id in OWN


def is_operator(node: ast.Attribute) -> bool:
    """``torch.ops.aten._name``: a kernel's registered name, which is its only one."""
    return ast.unparse(node).startswith("torch.ops.")


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_private_attribute_of_another_package_has_a_reason_beside_it(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    for node in foreign_privates(ast.parse(text)):
        near = lines[max(node.lineno - NEAR, 0) : node.lineno]
        documented = any("#" in line or line.strip().endswith('"""') for line in near)
        assert documented, f"line {node.lineno}: {node.attr}"


def test_the_rules_can_fail() -> None:
    assert [node.attr for node in foreign_privates(ast.parse("import torch\ntorch._C\nself._own\n"))] == ["_C"]
