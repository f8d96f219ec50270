# SPDX-License-Identifier: Apache-2.0
"""The rules of the house: what imports ROS, which way imports point, how much lies in one folder."""

from __future__ import annotations

import ast
import functools
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest
from support.paths import ROOT

PACKAGE = 'isaac_inference'
FILES = sorted((ROOT / PACKAGE).rglob('*.py'))
ALL_FILES = sorted(
    path
    for folder in (PACKAGE, 'test', 'launch', 'benchmark', 'interfaces', 'requirements', 'docs')
    for path in (ROOT / folder).rglob('*.py')
) + [ROOT / 'setup.py']
LONGEST = 500  # lines
MOST_FILES = 15  # flat in one folder

# room -> the rooms that it may import; everybody may import itself, errors.py and the package's version
ALLOWED = {
    'ops': set(),
    'store': set(),
    'hardware': set(),
    'pictures': set(),
    'cuda': {'store'},
    'sim': {'ops'},
    'models': {'store', 'ops'},
    'engines': {'models', 'cuda', 'store', 'ops'},
    'stages': {'models', 'cuda', 'ops'},
    'evaluation': {'engines', 'stages', 'models', 'cuda', 'sim', 'ops', 'hardware', 'pictures'},
    'serving': {'engines', 'stages', 'models', 'cuda', 'store', 'ops'},
}
ALLOWED['ros'] = set(ALLOWED)
ALLOWED['cli'] = set(ALLOWED)
# below ros/, the same again: what may import what
ROS_ALLOWED = {
    'runtime': set(),
    'messages': {'runtime'},
    'recording': {'runtime', 'messages'},
    'nodes': {'runtime', 'messages', 'recording'},
    'bringup': {'runtime', 'messages', 'nodes', 'recording'},
}
MAY_IMPORT_ROS = ('ros', 'cli')
ROS = {
    'rclpy',
    'rcl_interfaces',
    'builtin_interfaces',
    'std_msgs',
    'sensor_msgs',
    'stereo_msgs',
    'geometry_msgs',
    'vision_msgs',
    'visualization_msgs',
    'hri_msgs',
    'diagnostic_msgs',
    'lifecycle_msgs',
    'nav_msgs',
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
# imported when chosen, not when the package is
HEAVY = {'onnxruntime', 'tensorrt', 'pycuda', 'tritonclient', 'tokenizers'}


def room(path: Path) -> str:
    """The room that a file is in, such as 'ops'; a file beside the rooms is one of its own."""
    return path.relative_to(ROOT / PACKAGE).with_suffix('').parts[0]


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


def module_name(path: Path) -> str:
    """Dotted, without the package's own name: 'ops.boxes.nms'; a package's is that of its folder."""
    parts = path.relative_to(ROOT / PACKAGE).with_suffix('').parts
    return '.'.join(parts[:-1] if parts[-1] == '__init__' else parts)


MODULES = {module_name(path): path for path in FILES}


def own_imports(path: Path) -> set[str]:
    """The modules of this package that a file imports, as `MODULES` names them."""
    found = set()
    for name in all_imports(path):
        inner = name.removeprefix(f'{PACKAGE}.')
        if name.startswith(f'{PACKAGE}.') and inner in MODULES:
            found.add(inner)
    # `from a.b import c` names both a.b and a.b.c; where c is a module, a.b is but the way to it
    return {name for name in found if not any(other.startswith(f'{name}.') for other in found)}


def rooms_used(path: Path) -> set[str]:
    """The rooms of this package that a file imports from."""
    return {name.split('.')[0] for name in own_imports(path)} - {'errors'}


def circles(graph: Mapping[str, Iterable[str]]) -> list[set[str]]:
    """The sets of two and more names from each of which every other can be reached (Tarjan)."""
    index: dict[str, int] = {}
    lowest: dict[str, int] = {}
    path: list[str] = []
    found: list[set[str]] = []

    def visit(name: str) -> None:
        index[name] = lowest[name] = len(index)
        path.append(name)
        for other in graph.get(name, ()):
            if other not in index:
                visit(other)
                lowest[name] = min(lowest[name], lowest[other])
            elif other in path:
                lowest[name] = min(lowest[name], index[other])
        if lowest[name] == index[name]:
            start = path.index(name)
            members = set(path[start:])
            del path[start:]
            if len(members) > 1:
                found.append(members)

    for name in graph:
        if name not in index:
            visit(name)
    return found


def ident(path: Path) -> str:
    return str(path.relative_to(ROOT))


def offenders(found: dict[str, set]) -> dict[str, set]:
    return {name: what for name, what in found.items() if what}


def test_every_room_is_in_the_table():
    rooms = {room(path) for path in FILES} - {'__init__', 'errors'}
    assert rooms - set(ALLOWED) == set(), (
        'a new room: say in ALLOWED what it may import, and in docs/architecture.md what it is for'
    )
    inner = {path.name for path in (ROOT / PACKAGE / 'ros').iterdir() if path.is_dir() and list(path.glob('*.py'))}
    assert inner == set(ROS_ALLOWED)


def test_imports_point_down():
    wrong = {
        ident(path): rooms_used(path) - ALLOWED.get(room(path), set()) - {room(path)}
        for path in FILES
        if path.parent != ROOT / PACKAGE
    }
    assert offenders(wrong) == {}, (
        'imports only point down (ALLOWED): move what both rooms need into the lower one, or hand it in as an argument'
    )


def test_imports_point_down_below_ros():
    wrong = {}
    for path in FILES:
        if room(path) == 'ros' and len(path.relative_to(ROOT / PACKAGE).parts) > 2:
            own = path.relative_to(ROOT / PACKAGE).parts[1]
            used = {name.split('.')[1] for name in own_imports(path) if name.startswith('ros.')}
            wrong[ident(path)] = used - ROS_ALLOWED[own] - {own}
    assert offenders(wrong) == {}, (
        'runtime knows no messages, messages know no nodes, nodes do not know how they are started (ROS_ALLOWED)'
    )


def test_ros_is_imported_below_ros_and_cli_only():
    wrong = {
        ident(path): {name.split('.')[0] for name in all_imports(path)} & ROS
        for path in FILES
        if room(path) not in MAY_IMPORT_ROS
    }
    assert offenders(wrong) == {}, (
        'this room is used from notebooks too: what turns arrays into messages belongs to ros/messages, what '
        'subscribes or publishes to ros/nodes, what starts them to ros/bringup'
    )


def test_no_file_circles():
    graph = {name: own_imports(path) - {name} for name, path in MODULES.items() if room(path) != 'cuda'}
    assert circles(graph) == [], (
        'these files import each other in a circle: give the lower one what it asks for as an argument, or move what '
        'both need into a third file. (Only an owner and its parts in cuda/ may do so.)'
    )


def test_no_folder_circles():
    graphs: dict[str, dict[str, set[str]]] = {}  # parent folder -> its folders -> those of its folders that they import
    for name, path in MODULES.items():
        if room(path) == 'cuda' or path.name == '__init__.py':
            continue
        own = name.split('.')
        for other in own_imports(path):
            parts = other.split('.')
            same = next((i for i, pair in enumerate(zip(own, parts, strict=False)) if len(set(pair)) > 1), len(parts))
            if same < len(own) - 1 and same < len(parts) - (MODULES[other].name != '__init__.py'):
                parent = graphs.setdefault('.'.join(own[:same]), {})
                parent.setdefault(own[same], set()).add(parts[same])
    found = {parent: circles(graph) for parent, graph in graphs.items()}
    assert {parent: rings for parent, rings in found.items() if rings} == {}, (
        'these folders, side by side, import each other: one of the files belongs to the other folder, or to their '
        'parent'
    )


def part_of(path: Path, *above: str) -> str:
    """Which of the things side by side in the folder `above` a file belongs to; '' for none."""
    parts = path.relative_to(ROOT / PACKAGE).with_suffix('').parts
    return parts[len(above)] if parts[: len(above)] == above and len(parts) > len(above) else ''


@pytest.mark.parametrize(
    ('above', 'common', 'belongs'),
    [
        (('ros', 'nodes'), {'shared', '__init__'}, 'what two nodes need belongs to ros/nodes/shared or ros/messages'),
        (('engines',), None, 'what two backends need belongs to engines/ itself, or is handed in'),
        (('cli',), {'shared', 'main', '__init__'}, 'what two commands need belongs to cli/shared'),
    ],
    ids=['nodes', 'backends', 'commands'],
)
def test_neighbours_do_not_import_each_other(above, common, belongs):
    wrong = {}
    for path in FILES:
        own = part_of(path, *above)
        folder = ROOT.joinpath(PACKAGE, *above)
        if not own or own in (common or ()) or (common is None and not (folder / own).is_dir()):
            continue
        used = {part_of(MODULES[name], *above) for name in own_imports(path)} - {'', own}
        if common is None:
            used = {name for name in used if (folder / name).is_dir()}
        wrong[ident(path)] = used - (common or set())
    assert offenders(wrong) == {}, belongs


def test_no_folder_is_crowded():
    flat = Counter(
        path.parent for path in ALL_FILES if path.name not in ('__init__.py', 'conftest.py') and path.parent != ROOT
    )
    crowded = {ident(folder): count for folder, count in flat.items() if count > MOST_FILES}
    assert crowded == {}, f'more than {MOST_FILES} files: which idea does each belong to? Give each idea a folder'


def test_vendor_libraries_are_imported_only_when_chosen():
    # what owns the GPU is imported by those who have one; whether there is one can be asked anywhere
    cuda = {path.relative_to(ROOT / PACKAGE) for path in FILES if room(path) == 'cuda'}
    cuda -= {Path('cuda/__init__.py'), Path('cuda/availability.py')}
    wrong = {
        ident(path): {name.split('.')[0] for name in imports(tree(path).body)} & HEAVY
        for path in FILES
        if not part_of(path, 'engines') and path.relative_to(ROOT / PACKAGE) not in cuda
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
