# SPDX-License-Identifier: Apache-2.0
"""Why ONNX Runtime does not load a model: the causes that the real one gives, and that what is advised helps."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper
from support.onnx_models import build_model, save_model
from support.waiting import LIMIT_S

from isaac_inference.errors import ModelError
from isaac_inference.models.onnx import session_error
from isaac_inference.models.onnx.session_error import explain
from isaac_inference.models.precision.session import Session

WEIGHTS = np.ones((2, 3, 3, 3))
OPSET_TOO_NEW = (
    '[ONNXRuntimeError] : 1 : FAIL : Load model from m.onnx failed:/onnxruntime_src/onnxruntime/core/graph/'
    'model_load_utils.h:46 void onnxruntime::model_load_utils::ValidateOpsetForDomain(const std::unordered_map<...>&, '
    'const onnxruntime::logging::Logger&, bool, const std::string&, int) ONNX Runtime only *guarantees* support for '
    'models stamped with official released onnx opset versions. Opset {} is under development and support for this is '
    'limited. The operator schemas and or other functionality may change before next ONNX release and in this case '
    'ONNX Runtime will not guarantee backward compatibility. Current official support for domain ai.onnx is till opset '
    '23.'
)
IR_TOO_NEW = (
    '[ONNXRuntimeError] : 1 : FAIL : Load model from m.onnx failed:/onnxruntime_src/onnxruntime/core/graph/model.cc:181'
    ' onnxruntime::Model::Model(onnx::ModelProto&&, const onnxruntime::PathString&, const onnxruntime::'
    'IOnnxRuntimeOpSchemaRegistryList*, const onnxruntime::logging::Logger&, const onnxruntime::ModelOptions&) '
    'Unsupported model IR version: {}, max supported IR version: 11'
)
NO_KERNEL = (
    '[ONNXRuntimeError] : 9 : NOT_IMPLEMENTED : Could not find an implementation for {} node with name {!r}'  # 1.23.2
)


def net(*nodes, kind=TensorProto.FLOAT, weights=(), opset=17, ir=9, domains=()):
    """A model of the nodes from 'x' [1, 3, 8, 8] to 'y'."""
    graph = helper.make_graph(
        list(nodes),
        'g',
        [helper.make_tensor_value_info('x', kind, [1, 3, 8, 8])],
        [helper.make_tensor_value_info('y', kind, None)],
        [item if isinstance(item, onnx.TensorProto) else numpy_helper.from_array(item, 'w') for item in weights],
    )
    imports = [helper.make_opsetid('', opset), *(helper.make_opsetid(name, 1) for name in domains)]
    return helper.make_model(graph, opset_imports=imports, ir_version=ir)


def node(operator, *inputs, name='n', **more):
    return helper.make_node(operator, ['x', *inputs], ['y'], name, **more)


def why(model, tmp_path):
    """What is said of a model that the installed ONNX Runtime does not load, without the path of the file."""
    path = save_model(model, tmp_path / 'm.onnx')
    with pytest.raises(ModelError) as caught:
        Session(path)
    text = str(caught.value)
    assert text.startswith(f'{path}: ') and '\n' not in text and 'onnxruntime::' not in text
    return text.removeprefix(f'{path}: ')


def advised(text):
    """The Python program that a text advises to run."""
    found = re.search(r'python3 (-c .*?\)\'?)(, or|$)', text)
    return [sys.executable, *shlex.split(found[1])]


BFLOAT16 = helper.make_tensor('w', TensorProto.BFLOAT16, [2, 3, 3, 3], WEIGHTS.ravel())
CASES = {
    'kernel for float64': (
        net(node('Conv', 'w'), kind=TensorProto.DOUBLE, weights=[WEIGHTS]),
        net(node('Conv', 'w'), weights=[WEIGHTS.astype(np.float32)]),
        r'ONNX Runtime \S+ has no kernel for the operator Conv \(node n\) with inputs of type float64; export the '
        r'model in float32 instead of float64$',
    ),
    'kernel for bfloat16, no name': (
        net(node('Conv', 'w', name=''), kind=TensorProto.BFLOAT16, weights=[BFLOAT16], opset=22, ir=10),
        net(node('Conv', 'w', name=''), weights=[WEIGHTS.astype(np.float32)], opset=22, ir=10),
        r'no kernel for the operator Conv with inputs of type bfloat16; export the model in float32 '
        r'instead of bfloat16$',
    ),
    'plugin': (
        net(node('EfficientNMS_TRT', domain='trt'), domains=['trt']),
        net(node('Relu')),
        r'EfficientNMS_TRT is a plugin of TensorRT, which ONNX Runtime \S+ does not have; export the model without it '
        r'\(without NMS, .*\), or run it with backend: tensorrt$',
    ),
    'plugin as if it were of ONNX': (
        net(node('EfficientNMS_TRT')),
        net(node('Relu')),
        r'EfficientNMS_TRT is a plugin of TensorRT, which ONNX Runtime \S+ does not have',
    ),
    'domain': (
        net(node('Swirl', domain='acme'), domains=['acme']),
        net(node('Relu')),
        r'ONNX Runtime \S+ has no operator Swirl of the domain acme; export the model without it, or use a backend',
    ),
    'domain without a version': (
        net(node('Swirl', domain='acme')),
        net(node('Relu')),
        r'ONNX Runtime \S+ has no operator Swirl of the domain acme; export the model without it, or use a backend',
    ),
    'operator of a later opset': (
        net(node('Gelu')),
        net(node('Gelu'), opset=20),
        r'the operator Gelu \(node n\) came with opset 20, and the model says that it has opset 17; export it again '
        r'with opset 20 or later$',
    ),
    'operator that went': (
        net(node('Upsample', 'w'), weights=[np.float32([1, 1, 2, 2])], opset=11),
        net(node('Upsample', 'w'), weights=[np.float32([1, 1, 2, 2])], opset=9),
        r'the operator Upsample \(node n\) is no longer part of opset 11, .*; export it again, .* or an older opset$',
    ),
    'no operator': (
        net(node('Swirl')),
        net(node('Relu')),
        r'ONNX Runtime \S+ does not have the operator Swirl \(node n\) in opset 17; export the model without it$',
    ),
    'element type': (
        net(node('Cos'), kind=TensorProto.INT32),
        net(node('Cos')),
        r'the operator Cos \(node n\) takes no int32 for its input x in opset 17; export the model again, with '
        r'an element type',
    ),
    'mixed types': (
        net(node('Add', 'w'), weights=[WEIGHTS[:1, :1, :1, :1].astype(np.float16)]),
        net(node('Add', 'w'), weights=[WEIGHTS[:1, :1, :1, :1].astype(np.float32)]),
        r'the operator Add \(node n\) is given both float32 and float16, which ONNX does not allow; export .* in '
        r'float32, and convert that: isaac-inference convert MODEL --precision fp16$',
    ),
    'inputs': (
        net(node('Add')),
        net(node('Add', 'x')),
        r'the operator Add \(node n\) is not as ONNX defines it: .*input size 1 not in range .*; export the model '
        r'again$',
    ),
}


@pytest.mark.parametrize('case', CASES)
def test_the_cause_is_named_and_the_remedy_helps(case, tmp_path):
    broken, repaired, says = CASES[case]
    assert re.search(says, why(broken, tmp_path))
    Session(repaired)


def test_a_cause_without_a_text_of_its_own_is_quoted(tmp_path):
    model = build_model('yolov8')
    model.graph.node[0].input[0] = 'nothing_makes_this'
    found = why(model, tmp_path)
    assert re.match(
        r'ONNX Runtime \S+ cannot load the model; export it again or check it. It said: .*nothing_makes', found
    )


def test_an_opset_and_an_ir_version_that_are_too_new_are_compared_with_the_newest_that_it_reads(tmp_path):
    opset, ir = next((opset, ir) for first, opset, ir in reversed(session_error._READS) if first <= installed())
    assert re.match(
        rf'its opset 99 is newer than ONNX Runtime {ort.__version__} reads, which is {opset} at most; export it with '
        rf'opset {opset}, or convert it: python3 -c ',
        why(net(node('Relu'), opset=99), tmp_path),
    )
    assert re.match(
        rf'its IR version 99 is newer than ONNX Runtime {ort.__version__} reads, which is {ir} at most; export it with '
        r'an older `onnx` package, or write it again: python3 -c ',
        why(net(node('Relu'), ir=99), tmp_path),
    )


def installed():
    return tuple(int(number) for number in ort.__version__.split('.')[:3])


@pytest.mark.parametrize(
    'opset, ir, said, newer',
    [
        (26, 10, OPSET_TOO_NEW.format(26), '1.25.1'),
        (28, 10, OPSET_TOO_NEW.format(28), '1.32.0'),
        (17, 12, IR_TOO_NEW.format(12), '1.24.1'),
        (28, 14, IR_TOO_NEW.format(14), '1.32.0'),
    ],
)
def test_the_command_that_writes_it_again_makes_it_readable(tmp_path, monkeypatch, opset, ir, said, newer):
    model = onnx.version_converter.convert_version(build_model('yolov8', metadata={'names': "{0: 'a'}"}), opset)
    model.ir_version = ir
    path = save_model(model, tmp_path / "it's a $HOME model.onnx")
    monkeypatch.setattr(sys, 'version_info', (3, 11, 0, 'final', 0))
    text = explain(path, model, RuntimeError(said), '1.23.2')
    assert text.endswith(f', or update ONNX Runtime: pip install "onnxruntime>={newer}"')
    subprocess.run(advised(text), check=True, timeout=LIMIT_S)
    written = onnx.load(str(path.with_name("it's a $HOME model.older.onnx")))
    assert written.ir_version <= 11 and written.opset_import[0].version <= 23
    assert [item.value for item in written.metadata_props] == ["{0: 'a'}"]
    Session(written)


def test_a_newer_version_is_advised_only_where_this_python_has_one(monkeypatch):
    model, error = net(node('Relu'), ir=12), RuntimeError(IR_TOO_NEW.format(12))
    monkeypatch.setattr(sys, 'version_info', (3, 10, 9, 'final', 0))
    assert 'pip install' not in explain(Path('m.onnx'), model, error, '1.23.2')
    assert 'pip install "onnxruntime>=1.23.0"' in explain(
        Path('m.onnx'), net(node('Relu'), ir=11), RuntimeError(IR_TOO_NEW.format(11)), '1.22.0'
    )
    monkeypatch.setattr(sys, 'version_info', (3, 12, 1, 'final', 0))
    assert 'pip install' in explain(Path('m.onnx'), model, error, '1.23.2')
    assert 'pip install' not in explain(
        Path('m.onnx'), net(node('Relu'), ir=99), RuntimeError(IR_TOO_NEW.format(99)), '1.23.2'
    )


@pytest.mark.parametrize('kind, loads', [('int8', '1.24.1'), ('uint8', '1.23.2')])
def test_dynamic_quantisation_with_int8_weights(tmp_path, monkeypatch, kind, loads):
    scaled = [
        helper.make_node('DynamicQuantizeLinear', ['x'], ['q', 's', 'z']),
        helper.make_node('ConvInteger', ['q', 'w', 'z', 'wz'], ['i'], 'conv_quant'),
        helper.make_node('Cast', ['i'], ['y'], to=TensorProto.FLOAT),
    ]
    weights = [WEIGHTS.astype(kind), numpy_helper.from_array(np.zeros((), kind), 'wz')]
    model = net(*scaled, weights=weights)
    if ort_runs(loads):
        Session(model)
    else:
        assert 'no kernel for the operator ConvInteger (node conv_quant)' in why(model, tmp_path)
    monkeypatch.setattr(sys, 'version_info', (3, 11, 0, 'final', 0))
    text = explain(Path('m.onnx'), model, RuntimeError(NO_KERNEL.format('ConvInteger(10)', 'conv_quant')), '1.23.2')
    if kind == 'int8':
        assert text == (
            'ONNX Runtime 1.23.2 has no kernel for the operator ConvInteger (node conv_quant) with inputs of type '
            'uint8, int8; quantise it with uint8 weights (weight_type=QuantType.QUInt8 of onnxruntime.quantization), '
            'or the float32 model statically: isaac-inference convert MODEL --precision int8, or update ONNX Runtime: '
            'pip install "onnxruntime>=1.24.1"'
        )


def ort_runs(first):
    return installed() >= tuple(map(int, first.split('.')))


def test_an_operator_that_a_later_version_has_for_the_type(tmp_path, monkeypatch):
    inner = [helper.make_node('Cast', ['x'], ['d'], to=TensorProto.DOUBLE), helper.make_node('Cos', ['d'], ['e'], 'c')]
    model = net(*inner, helper.make_node('Cast', ['e'], ['y'], to=TensorProto.FLOAT))
    if ort_runs('1.29.0'):
        Session(model)
    else:
        assert 'no kernel for the operator Cos (node c) with inputs of type float64' in why(model, tmp_path)
    monkeypatch.setattr(sys, 'version_info', (3, 11, 0, 'final', 0))
    assert explain(Path('m.onnx'), model, RuntimeError(NO_KERNEL.format('Cos(7)', 'c')), '1.23.2') == (
        'ONNX Runtime 1.23.2 has no kernel for the operator Cos (node c) with inputs of type float64; export the model '
        'in float32 instead of float64, or update ONNX Runtime: pip install "onnxruntime>=1.29.0"'
    )


def test_nodes_of_subgraphs_are_found():
    branch = helper.make_graph(
        [helper.make_node('Erf', ['x'], ['z'], 'inside')],
        'b',
        [],
        [helper.make_tensor_value_info('z', TensorProto.DOUBLE, None)],
    )
    model = net(
        helper.make_node('If', ['c'], ['y'], then_branch=branch, else_branch=branch),
        kind=TensorProto.DOUBLE,
    )
    model.graph.input.append(helper.make_tensor_value_info('c', TensorProto.BOOL, []))
    with pytest.raises(ModelError, match=r'the operator Erf \(node inside\) with inputs of type float64; export'):
        Session(model)
