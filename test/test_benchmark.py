# SPDX-License-Identifier: Apache-2.0
"""Benchmarks are run by hand, hours of them: what they take from the package must still be there."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = sorted((ROOT / 'benchmark').rglob('*.py')) + sorted((ROOT / 'training').rglob('*.py'))


def taken(script: Path) -> list[tuple[str, str]]:
    """(module, name) of all that is imported from the package, inside of functions too."""
    nodes = ast.walk(ast.parse(script.read_text()))
    return [
        (node.module, alias.name)
        for node in nodes
        if isinstance(node, ast.ImportFrom) and (node.module or '').split('.')[0] == 'isaac_inference'
        for alias in node.names
    ]


def is_there(module: str, name: str) -> bool:
    """Whether the source defines it: some modules can only be imported beside a GPU."""
    path = ROOT.joinpath(*module.split('.'))
    if (path / f'{name}.py').is_file() or (path / name / '__init__.py').is_file():
        return True
    source = path / '__init__.py' if path.is_dir() else path.with_suffix('.py')
    return source.is_file() and name in defined(ast.parse(source.read_text()))


def defined(tree: ast.AST) -> set[str]:
    """Names that a module has at its top level; what stands under an if or a try counts."""
    names = set()
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.ImportFrom | ast.Import):
            names.update((alias.asname or alias.name).split('.')[0] for alias in node.names)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        else:
            names |= defined(node)
    return names


@pytest.mark.parametrize('script', SCRIPTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_a_script_imports_from_the_package_is_there(script: Path) -> None:
    assert [f'{module}.{name}' for module, name in taken(script) if not is_there(module, name)] == []
