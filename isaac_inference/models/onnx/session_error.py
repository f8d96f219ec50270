# SPDX-License-Identifier: Apache-2.0
"""Why ONNX Runtime makes no session of a model, and what helps.

ONNX Runtime says it in a line of C++, and names neither the element types for which an operator has no kernel nor what
to do. Its texts are those of the versions 1.23 to 1.32.
"""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_Version = tuple[int, ...]

# (ONNX Runtime, the opset and the IR version up to which it reads)
_READS: tuple[tuple[_Version, int, int], ...] = (
    ((1, 23, 0), 23, 11),
    ((1, 24, 1), 25, 13),
    ((1, 25, 1), 26, 13),
    ((1, 32, 0), 28, 14),
)
# (operator, element type) -> the first ONNX Runtime that has a CPU kernel for it
_KERNEL_SINCE: dict[tuple[str, str], _Version] = {
    ('ConvInteger', 'int8'): (1, 24, 1),
    ('Cos', 'float64'): (1, 29, 0),
}
_LAST_FOR_PYTHON_310: _Version = (1, 23, 2)
_NAMES = {'float': 'float32', 'double': 'float64'}  # as C++ names them
_ONNX_DOMAINS = ('', 'ai.onnx')


@dataclass(frozen=True)
class _Failure:
    """What is known of a failure: the file, the parsed model, ONNX Runtime's version and its words on one line."""

    path: Path
    model: Any
    version: str
    said: str

    @property
    def runtime(self) -> str:
        return f'ONNX Runtime {self.version}'

    @property
    def opset(self) -> int:
        return max((item.version for item in self.model.opset_import if item.domain in _ONNX_DOMAINS), default=0)


def one_line(error: BaseException) -> str:
    """ONNX Runtime's own words, without its error code prefix and on one line."""
    text = ' '.join(str(error).split())
    return re.sub(r'^\[ONNXRuntimeError\] : \d+ : (\w+) : ', r'\1: ', text)


def explain(path: Path, model: Any, error: BaseException, version: str) -> str:
    """Why a session could not be made, and what to do about it, as sentences that follow the file's name.

    Args:
        path: the ONNX file, for commands that write another one.
        model: its `onnx.ModelProto`; weights in other files need not be loaded.
        error: what ONNX Runtime raised.
        version: ONNX Runtime's.
    """
    failure = _Failure(path, model, version, one_line(error))
    for pattern, tell in _CAUSES:
        found = pattern.search(failure.said)
        if found:
            return tell(failure, found)
    said = re.sub(r'Load model from .* failed:\s*', '', failure.said)
    return f'{failure.runtime} cannot load the model; export it again or check it. It said: {said}'


def _too_new_ir(failure: _Failure, found: re.Match[str]) -> str:
    has, most = int(found[1]), int(found[2])
    reads = next((opset for first, opset, _ in reversed(_READS) if first <= _numbers(failure.version)), failure.opset)
    return (
        f'its IR version {has} is newer than {failure.runtime} reads, which is {most} at most; export it with an older '
        f'`onnx` package, or write it again: {_rewrite(failure, reads, most)}{_update(failure, has, failure.opset)}'
    )


def _too_new_opset(failure: _Failure, found: re.Match[str]) -> str:
    has, domain, most = int(found[1]), found[2], int(found[3])
    if domain not in _ONNX_DOMAINS:
        used = sorted({node.op_type for node in _nodes(failure.model) if node.domain == domain})
        return (
            f'its opset {has} of the domain {domain} is newer than {failure.runtime} reads, which is {most} at most; '
            f'export it with that one (operators of that domain in it: {", ".join(used) or "none"})'
        )
    return (
        f'its opset {has} is newer than {failure.runtime} reads, which is {most} at most; export it with opset {most}, '
        f'or convert it: {_rewrite(failure, most, 0)}{_update(failure, 0, has)}'
    )


def _no_kernel(failure: _Failure, found: re.Match[str]) -> str:
    operator, name = found[1].split(':')[-1], found[2]
    types = _types_of(failure.model, operator, name)
    known = sorted({kind for kinds in types for kind in kinds})
    given = ' or '.join(', '.join(kinds) for kinds in types)
    return (
        f'{failure.runtime} has no kernel for {_node(operator, name)} with '
        f'{f"inputs of type {given}" if given else "the element types that the model gives it"}; '
        f'{_other_types(failure, operator, known)}'
    )


def _other_types(failure: _Failure, operator: str, kinds: list[str]) -> str:
    """What to do where an operator has no kernel for some element type."""
    since = next((_KERNEL_SINCE[operator, kind] for kind in kinds if (operator, kind) in _KERNEL_SINCE), None)
    newer = _update_to(failure, since) if since else ''
    if operator == 'ConvInteger' and 'int8' in kinds:
        return (
            'quantise it with uint8 weights (weight_type=QuantType.QUInt8 of onnxruntime.quantization), or the '
            f'float32 model statically: isaac-inference convert MODEL --precision int8{newer}'
        )
    for kind in ('float64', 'bfloat16', 'float16'):
        if kind in kinds:
            return f'export the model in float32 instead of {kind}{newer}'
    return f'export the model with another operator or element type there, or use a backend that has it{newer}'


def _unknown_operator(failure: _Failure, found: re.Match[str]) -> str:
    """`found` holds the domain and the operator."""
    domain, operator = found['domain'], found['operator']
    if operator.endswith('_TRT'):
        return (
            f'{operator} is a plugin of TensorRT, which {failure.runtime} does not have; export the model without it '
            '(without NMS, as boxes are suppressed here), or run it with backend: tensorrt'
        )
    return (
        f'{failure.runtime} has no operator {operator} of the domain {domain}; export the model without it, or use a '
        'backend that has it'
    )


def _bad_node(failure: _Failure, found: re.Match[str]) -> str:
    """A node that does not agree with ONNX's definition of its operator."""
    name, operator, domain, why = found['name'], found['operator'], found['domain'], found['why']
    if operator.endswith('_TRT') or why.startswith('No opset import'):
        return _unknown_operator(failure, found)
    node = _node(operator, name)
    absent = re.match(r'No Op registered for \S+ with domain_version of (\d+)', why)
    gone = re.match(r'Op registered for \S+ is deprecated in domain_version of (\d+)', why)
    if gone:
        return (
            f'{node} is no longer part of opset {gone[1]}, which the model says that it has; export it again, with the '
            "operator's successor or an older opset"
        )
    if absent:
        since = _since(operator, domain)
        if since > int(absent[1]):
            return (
                f'{node} came with opset {since}, and the model says that it has opset {absent[1]}; export it again '
                f'with opset {since} or later'
            )
        return f'{failure.runtime} does not have {node} in opset {absent[1]}; export the model without it'
    return f'{node} is not as ONNX defines it: {why.rstrip(".")}; export the model again'


def _wrong_type(failure: _Failure, found: re.Match[str]) -> str:
    kind, operator, name = _type_name(found[1]), found[3], found[4]
    return (
        f'{_node(operator, name)} takes no {kind} for its input {found[2]} in opset {failure.opset}; export the model '
        'again, with an element type that it takes'
    )


def _mixed_types(failure: _Failure, found: re.Match[str]) -> str:
    operator, first, second, name = found[1], _type_name(found[2]), _type_name(found[3]), found[4]
    half = 'float16' in (first, second)
    return (
        f'{_node(operator, name)} is given both {first} and {second}, which ONNX does not allow; export the model again'
        + (', in float32, and convert that: isaac-inference convert MODEL --precision fp16' if half else '')
    )


_IN_NODE = r'In Node, \("(?P<name>[^"]*)", (?P<operator>[^,]+), "(?P<domain>[^"]*)", -?\d+\) : .*, Error (?P<why>.*)'
_CAUSES: tuple[tuple[re.Pattern[str], Callable[[_Failure, re.Match[str]], str]], ...] = (
    (re.compile(r'Unsupported model IR version: (\d+), max supported IR version: (\d+)'), _too_new_ir),
    (re.compile(r'Opset (\d+) is under development .* support for domain (\S*) is till opset (\d+)'), _too_new_opset),
    (re.compile(r"implementation for (\S+?)\(\d+\) node with name '(.*?)'"), _no_kernel),
    (re.compile(r'Fatal error: (?P<domain>[^: ]*):(?P<operator>\S+?)\(-?\d+\) is not a registered'), _unknown_operator),
    (re.compile(_IN_NODE), _bad_node),
    (re.compile(r"Type '(.*?)' of input parameter \((.*?)\) of operator \((.*?)\) in node \((.*?)\) is"), _wrong_type),
    (
        re.compile(
            r'of Optype \((.*?)\) bound to different types \((tensor\(\w+\)) and (tensor\(\w+\)) in node \((.*?)\)'
        ),
        _mixed_types,
    ),
)


def _node(operator: str, name: str) -> str:
    return f'the operator {operator} (node {name})' if name else f'the operator {operator}'


def _type_name(text: str) -> str:
    """The element type of a text such as 'tensor(float)'."""
    inner = re.sub(r'^tensor\((.*)\)$', r'\1', text)
    return _NAMES.get(inner, inner)


def _rewrite(failure: _Failure, opset: int, ir: int) -> str:
    """The command that writes the model again, with at most the opset `opset` and, unless it is 0, IR version `ir`."""
    path = failure.path
    target = path.with_name(f'{path.stem}.older{path.suffix}')
    steps = ['import onnx', f'm = onnx.load({json.dumps(str(path))})']
    if failure.opset > opset:
        steps.append(f'm = onnx.version_converter.convert_version(m, {opset})')
    if ir:
        steps.append(f'm.ir_version = {ir}')
    steps.append(f'onnx.save(m, {json.dumps(str(target))})')
    return f'python3 -c {shlex.quote("; ".join(steps))}'


def _update(failure: _Failure, ir: int, opset: int) -> str:
    """The advice to take the first ONNX Runtime that reads such a file; '' where there is none for this Python."""
    first = next((version for version, opsets, irs in _READS if opset <= opsets and ir <= irs), None)
    return _update_to(failure, first) if first else ''


def _update_to(failure: _Failure, first: _Version) -> str:
    if first <= _numbers(failure.version) or (sys.version_info < (3, 11) and first > _LAST_FOR_PYTHON_310):
        return ''
    return f', or update ONNX Runtime: pip install "onnxruntime>={".".join(map(str, first))}"'


def _numbers(version: str) -> _Version:
    return tuple(int(number) for number in re.findall(r'\d+', version)[:3])


def _since(operator: str, domain: str) -> int:
    """The opset with which an operator came; 0 for one that the onnx package does not know."""
    import onnx

    known = onnx.defs.get_all_schemas_with_history()
    return min((item.since_version for item in known if (item.name, item.domain) == (operator, domain)), default=0)


def _nodes(model: Any) -> Iterator[Any]:
    """All nodes, those of subgraphs (If, Loop) too."""
    for graph in _graphs(model.graph):
        yield from graph.node


def _graphs(graph: Any) -> Iterator[Any]:
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (*attribute.graphs, *([attribute.g] if attribute.HasField('g') else [])):
                yield from _graphs(inner)


def _types_of(model: Any, operator: str, name: str) -> list[tuple[str, ...]]:
    """The element types of the inputs of a node; of all nodes of that operator where the name is '' or is not there.

    Returns:
        Each combination of known types once, without repetitions in it.
    """
    kinds = _element_types(model)
    nodes = [node for node in _nodes(model) if node.op_type == operator]
    nodes = [node for node in nodes if node.name == name] or nodes
    found = (tuple(dict.fromkeys(kinds[item] for item in node.input if item in kinds)) for node in nodes)
    return list(dict.fromkeys(types for types in found if types))


def _element_types(model: Any) -> dict[str, str]:
    """Tensor -> numpy's name of its element type, as far as it can be told."""
    import onnx

    with contextlib.suppress(Exception):  # a broken graph: what it says itself is left
        model = onnx.shape_inference.infer_shapes(model)
    kinds: dict[str, str] = {}
    for graph in _graphs(model.graph):
        infos: Iterable[Any] = (*graph.input, *graph.value_info, *graph.output)
        kinds.update({item.name: _kind(item.type.tensor_type.elem_type) for item in infos})
        kinds.update({item.name: _kind(item.data_type) for item in graph.initializer})
    return {name: kind for name, kind in kinds.items() if kind}


def _kind(element_type: int) -> str:
    """numpy's name of an ONNX element type; '' for none."""
    import onnx

    try:
        return str(onnx.helper.tensor_dtype_to_np_dtype(element_type).name) if element_type else ''
    except KeyError:
        return ''
