# SPDX-License-Identifier: Apache-2.0
"""The floors of the package: imports point down, files stay small, nothing relies on `assert`."""

from __future__ import annotations

import ast
import functools
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = 'isaac_inference'
FILES = sorted((ROOT / PACKAGE).rglob('*.py'))
ALL_FILES = sorted(
    path
    for folder in (PACKAGE, 'test', 'launch', 'benchmark', 'interfaces', 'requirements', 'docs')
    for path in (ROOT / folder).rglob('*.py')
) + [ROOT / 'setup.py']
LONGEST = 350  # lines

# folder -> the folders of this package that it may import; everybody may import itself and errors.py
ALLOWED = {
    'runtime': set(),
    'ops': set(),
    'models': set(),
    'cuda': set(),
    'engines': {'models', 'cuda'},
    'stages': {'models', 'ops', 'cuda'},
    'sim': {'ops'},
    'evaluation': {'ops'},
    'nodes': {'runtime', 'ops', 'models', 'cuda', 'engines', 'stages', 'sim'},
    'cli': {'runtime', 'ops', 'models', 'cuda', 'engines', 'stages', 'nodes', 'sim', 'evaluation'},
}
WITHOUT_ROS = ('ops', 'models', 'cuda', 'engines', 'stages', 'sim', 'evaluation')
ROS = {
    'rclpy',
    'rcl_interfaces',
    'builtin_interfaces',
    'std_msgs',
    'sensor_msgs',
    'geometry_msgs',
    'vision_msgs',
    'diagnostic_msgs',
    'lifecycle_msgs',
    'composition_interfaces',
    'ament_index_python',
    'launch',
    'launch_ros',
    'cv_bridge',
    'message_filters',
    'tf2_ros',
    'tf2_msgs',
    'isaac_ros_tensor_list_interfaces',
}
HEAVY = {'onnxruntime', 'tensorrt', 'pycuda', 'tritonclient'}  # imported when chosen, not when the package is


def floor(path: Path) -> str:
    """The folder of a file; '' for the package's own."""
    parts = path.relative_to(ROOT / PACKAGE).parts
    return parts[0] if len(parts) > 1 else ''


def imports(nodes: list[ast.AST]) -> set[str]:
    """Dotted names of all modules that are imported; of `from package import name` both."""
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, 'relative imports hide where a name comes from'
            names.add(node.module or '')
            names.update(f'{node.module}.{alias.name}' for alias in node.names)
    return names


@functools.cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding='utf-8'))


def all_imports(path: Path) -> set[str]:
    return imports(list(ast.walk(tree(path))))


def floors_used(path: Path) -> set[str]:
    """The folders of this package that a file imports from."""
    own = {name.split('.')[1] for name in all_imports(path) if name.startswith(f'{PACKAGE}.')}
    return own & set(ALLOWED)


def ident(path: Path) -> str:
    return str(path.relative_to(ROOT))


def offenders(found: dict[str, set]) -> dict[str, set]:
    return {name: what for name, what in found.items() if what}


def test_the_table_has_every_folder():
    folders = {path.name for path in (ROOT / PACKAGE).iterdir() if path.is_dir() and list(path.glob('*.py'))}
    assert folders <= set(ALLOWED), 'say in ALLOWED what the new folder may import'


def test_imports_point_down():
    wrong = {ident(path): floors_used(path) - ALLOWED.get(floor(path), set()) - {floor(path)} for path in FILES}
    assert offenders(wrong) == {}


def test_what_serves_a_notebook_needs_no_ros():
    wrong = {
        ident(path): {name.split('.')[0] for name in all_imports(path)} & ROS
        for path in FILES
        if floor(path) in WITHOUT_ROS
    }
    assert offenders(wrong) == {}


def test_vendor_libraries_are_imported_only_when_chosen():
    # what owns the GPU is imported by those who have one; whether there is one can be asked anywhere
    cuda = {path.relative_to(ROOT / PACKAGE) for path in FILES if floor(path) == 'cuda'}
    cuda -= {Path('cuda/__init__.py'), Path('cuda/availability.py')}
    wrong = {
        ident(path): {name.split('.')[0] for name in imports(tree(path).body)} & HEAVY
        for path in FILES
        if path.parent.parent.name != 'engines' and path.relative_to(ROOT / PACKAGE) not in cuda
    }
    assert offenders(wrong) == {}


def test_every_file_begins_with_its_licence():
    def first(path):
        lines = path.read_text(encoding='utf-8').splitlines()
        return lines[1] if lines[0].startswith('#!') else lines[0]

    assert [ident(path) for path in ALL_FILES if first(path) != '# SPDX-License-Identifier: Apache-2.0'] == []


def test_every_file_is_small():
    lengths = {ident(path): len(path.read_text(encoding='utf-8').splitlines()) for path in ALL_FILES}
    assert {name: length for name, length in lengths.items() if length >= LONGEST} == {}


def test_every_file_says_what_it_is_for():
    assert [ident(path) for path in ALL_FILES if not ast.get_docstring(tree(path))] == []


def test_every_public_name_is_documented():
    wrong = {
        ident(path): {
            node.name
            for node in tree(path).body
            if isinstance(node, (ast.FunctionDef, ast.ClassDef))
            and not node.name.startswith('_')
            and not ast.get_docstring(node)
        }
        for path in FILES
    }
    assert offenders(wrong) == {}


def test_no_check_vanishes_with_python_s_optimisation():
    wrong = {
        ident(path): {node.lineno for node in ast.walk(tree(path)) if isinstance(node, ast.Assert)} for path in FILES
    }
    assert offenders(wrong) == {}, 'raise an error of errors.py instead'
