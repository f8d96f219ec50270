# SPDX-License-Identifier: Apache-2.0
"""Every TensorRT name that the code uses exists in 8.6, 10.13 and 11.4, or is listed with the versions that have it.

The names of 10.13 and 11.4 come from the real bindings, imported with empty stand-ins for their libraries; those of
8.6, whose wheel is 800 MB, from names_8_6.txt.
"""

from __future__ import annotations

import ast
import importlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.waiting import LIMIT_S

import isaac_inference.engines.tensorrt as package

FOLDER = Path(package.__file__).parent
BINDINGS = {10: '10.13.3.9', 11: '11.4.0.106'}
LIBRARIES = {
    'libnvinfer': (
        'createInferBuilder_INTERNAL',
        'createInferRefitter_INTERNAL',
        'createInferRuntime_INTERNAL',
        'getBuilderPluginRegistry',
        'getPluginRegistry',
        'getInferLibVersion',
    ),
    'libnvinfer_plugin': ('initLibNvInferPlugins',),
    'libnvonnxparser': (
        'createNvOnnxParser_INTERNAL',
        'createNvOnnxParserRefitter_INTERNAL',
        'getNvOnnxParserVersion',
    ),
}
# a variable, or an attribute with or without a leading underscore, of this name holds an object of this class
OBJECTS = {
    'builder': 'Builder',
    'config': 'IBuilderConfig',
    'network': 'INetworkDefinition',
    'parser': 'OnnxParser',
    'parser_error': 'ParserError',
    'engine': 'ICudaEngine',
    'context': 'IExecutionContext',
    'runtime': 'Runtime',
    'inspector': 'EngineInspector',
    'registry': 'IPluginRegistry',
    'creator': 'IPluginCreator',
    'layer': 'ILayer',
    'profile': 'IOptimizationProfile',
}
# a variable of one file; '' for an object that is not TensorRT's
OBJECTS_OF_FILE = {
    ('profiles', 'tensor'): 'ITensor',
    ('timing_cache', 'cache'): 'ITimingCache',
    ('timing_cache', 'merged'): 'IHostMemory',
    ('runner', 'engine'): '',  # our own
}
DUMP = """
import inspect, json, tensorrt_bindings as trt
print(json.dumps({n: dir(o) if inspect.isclass(o) else [] for n, o in vars(trt).items()}))
"""


def stub_folder(path: Path, major: int) -> Path:
    """Libraries that satisfy the loader; every function of them returns 0."""
    path.mkdir(parents=True, exist_ok=True)
    for library, functions in LIBRARIES.items():
        name = f'{library}.so.{major}'
        source = ''.join(f'void* {function}(void) {{ return 0; }}\n' for function in functions)
        command = ['gcc', '-x', 'c', '-shared', '-fPIC', '-o', str(path / name), f'-Wl,-soname,{name}', '-']
        subprocess.run(command, input=source, text=True, check=True)
    return path


def bindings_environment(major: int, folder: Path) -> dict[str, str]:
    """The environment of a Python in which `import tensorrt_bindings` works; skips where it can't."""
    wheels = Path(sys.prefix) / 'tensorrt' / BINDINGS[major]
    if not wheels.is_dir():
        pytest.skip(f'no TensorRT bindings in {wheels}; `make setup` installs them')
    if shutil.which('gcc') is None:
        pytest.skip('no gcc to make stand-ins for the TensorRT libraries')
    stubs = stub_folder(folder / str(major), major)
    root = str(FOLDER.parents[2])
    return {**os.environ, 'LD_LIBRARY_PATH': str(stubs), 'PYTHONPATH': os.pathsep.join((str(wheels), root))}


def run(major: int, folder: Path, code: str) -> str:
    """What Python prints, with the bindings of a version as `tensorrt_bindings` and `tensorrt`."""
    alias = 'import sys, tensorrt_bindings; sys.modules["tensorrt"] = tensorrt_bindings\n'
    command = [sys.executable, '-c', alias + code]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=LIMIT_S, env=bindings_environment(major, folder)
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def known_names(major: int, folder: Path) -> set[str]:
    """'Class', 'function' and 'Class.member' of a version."""
    if major == 8:
        lines = (Path(__file__).parent / 'names_8_6.txt').read_text(encoding='utf-8').splitlines()
        pairs = [line.partition(': ') for line in lines if not line.startswith('#')]
        members = {name: rest.split() for name, _, rest in pairs}
        return set(members.pop('module')) | _flat(members)
    return _flat(json.loads(run(major, folder, DUMP)))


def _flat(members: dict[str, list[str]]) -> set[str]:
    return {*members, *(f'{name}.{member}' for name, found in members.items() for member in found)}


def used_names() -> dict[str, str]:
    """Each TensorRT name that the code uses, with one place where it does."""
    found = {}
    for path in sorted(FOLDER.rglob('*.py')):
        for scope in ast.parse(path.read_text(encoding='utf-8')).body:
            aliases = dict(_aliases(scope))
            for node in ast.walk(scope):
                name = _used(path.stem, node, aliases)
                if name and '__' not in name:
                    found[name] = f'{path.name}:{getattr(node, "lineno", 0)}'
                if isinstance(node, ast.ClassDef):
                    for base in filter(None, (_module_name(item) for item in node.bases)):
                        for item in node.body:
                            if isinstance(item, ast.FunctionDef) and not item.name.startswith('_'):
                                found[f'{base}.{item.name}'] = f'{path.name}:{item.lineno}'
    return found


def _aliases(scope: ast.AST) -> Iterator[tuple[str, str]]:
    """`flag = trt.BuilderFlag`, also as part of a tuple."""
    for node in ast.walk(scope):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                pairs = [(target, node.value)]
                if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                    pairs = list(zip(target.elts, node.value.elts, strict=True))
                for left, right in pairs:
                    name = _module_name(right)
                    if isinstance(left, ast.Name) and name and name[0].isupper():
                        yield left.id, name


def _module_name(node: ast.AST) -> str:
    """'BuilderFlag' of `trt.BuilderFlag`."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in ('trt', 'tensorrt'):
        return node.attr
    return ''


def _used(file: str, node: ast.AST, aliases: dict[str, str]) -> str:
    """The TensorRT name of an attribute access; '' for other nodes."""
    if not isinstance(node, ast.Attribute):
        return ''
    if _module_name(node):
        return node.attr
    of_module = _module_name(node.value)
    if of_module:
        return f'{of_module}.{node.attr}'
    value = node.value
    receiver = value.id if isinstance(value, ast.Name) else value.attr if isinstance(value, ast.Attribute) else ''
    if isinstance(value, ast.Name) and receiver in aliases:
        return f'{aliases[receiver]}.{node.attr}'
    receiver = receiver.lstrip('_')
    owner = OBJECTS.get(receiver)
    if isinstance(value, ast.Name):
        owner = OBJECTS_OF_FILE.get((file, receiver), owner)
    return f'{owner}.{node.attr}' if owner else ''


def listed() -> dict[str, tuple[int, ...]]:
    """Names that not all versions have, from the modules that say so."""
    names: dict[str, tuple[int, ...]] = {}
    for path in FOLDER.rglob('*.py'):
        if 'NOT_EVERYWHERE' in path.read_text(encoding='utf-8'):
            module = '.'.join(path.relative_to(FOLDER).with_suffix('').parts)
            names.update(importlib.import_module(f'{package.__name__}.{module}').NOT_EVERYWHERE)
    return names


@pytest.mark.parametrize('major', [8, 10, 11])
def test_every_name_exists_or_is_listed(major, tmp_path):
    known, only = known_names(major, tmp_path), listed()
    listed_too = {name for name in used_names() if name in only or name.partition('.')[0] in only}
    wrong = {name: place for name, place in used_names().items() if name not in known | listed_too}
    assert not wrong, f'TensorRT {major} has no such names; list them in NOT_EVERYWHERE where that is right'


@pytest.mark.parametrize('major', [8, 10, 11])
def test_the_list_of_exceptions_is_true(major, tmp_path):
    known = known_names(major, tmp_path)
    wrong = {name: majors for name, majors in listed().items() if (name in known) != (major in majors)}
    assert not wrong


def test_what_the_code_uses_is_found():
    used = used_names()
    for name in (
        'Builder.build_serialized_network',  # a method of an object
        'BuilderFlag.SPARSE_WEIGHTS',  # of an alias
        'NetworkDefinitionCreationFlag.EXPLICIT_BATCH',  # of an alias in a tuple
        'IProgressMonitor.step_complete',  # overridden
        'MemoryPoolType.WORKSPACE',
        'init_libnvinfer_plugins',
    ):
        assert name in used


@pytest.mark.parametrize('major', [10, 11])
def test_real_logger_monitor_and_a_builder_that_can_not_be_made(major, tmp_path):
    code = """
from isaac_inference.engines.tensorrt import compat
from isaac_inference.engines.tensorrt.build import plan
from isaac_inference.engines.tensorrt.logger import TRT_LOG, trt_logger
from isaac_inference.engines.tensorrt.build.progress import make_monitor
from isaac_inference.errors import EngineError
trt = compat.load()
assert compat.can_monitor(trt)
parts, cancelled = [], []
monitor = make_monitor(trt, parts.append, lambda: bool(cancelled))
monitor.phase_start('build', None, 4)
assert monitor.step_complete('build', 0)
cancelled.append(1)
assert monitor.step_complete('build', 1) is False
monitor.phase_finish('build')
assert parts == [0.25, 0.5], parts
logger = trt_logger()
with TRT_LOG.collect() as errors:
    logger.log(trt.ILogger.ERROR, 'boom')
    logger.log(trt.ILogger.VERBOSE, 'noise')
    assert errors == ['boom']
    try:
        plan.make_or_raise(lambda: trt.Builder(logger), 'builder', errors)
    except EngineError as error:
        print(error)
"""
    said = run(major, tmp_path, code)
    assert 'TensorRT could not make a builder' in said
    assert 'boom' in said
