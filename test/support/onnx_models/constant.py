# SPDX-License-Identifier: Apache-2.0
"""Models whose outputs are given numbers on any picture: what an exporter's file looks like from the outside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

Input = tuple[str, str, Sequence[int | str | None]]
_IMAGE: Input = ('images', 'float32', (1, 3, 64, 96))


def write_constant(
    path: Path,
    outputs: Mapping[str, np.ndarray],
    *,
    image: Input = _IMAGE,
    beside: Sequence[Input] = (),
    declared: Mapping[str, Sequence[int | str | None]] | None = None,
    metadata: Mapping[str, str] | None = None,
    producer: str = 'pytorch',
    brightness: float = 0.0,
) -> Path:
    """Write a model that gives `outputs` whatever it is fed, and return its path.

    Args:
        path: where to.
        outputs: output name -> its value, with the batch axis that it shall have.
        image: name, element type and axes of the image input; a text is the name of an open axis, None one without.
        beside: the same of further inputs.
        declared: output name -> the axes that the file declares, where they differ from the value's.
        metadata: the file's metadata.
        producer: the exporter's name.
        brightness: added to each number of the float outputs for each unit of the mean of the image, so that the
            numbers depend on the picture.
    """
    nodes, constants, infos = [], [], []
    terms = []
    for index, (name, dtype, _) in enumerate((image, *beside)):
        del dtype
        nodes.append(helper.make_node('Cast', [name], [f'float_{index}'], to=onnx.TensorProto.FLOAT))
        nodes.append(helper.make_node('ReduceMean', [f'float_{index}'], [f'mean_{index}'], keepdims=0))
        constants.append(numpy_helper.from_array(np.float32(brightness if not index else 0.0), f'gain_{index}'))
        nodes.append(helper.make_node('Mul', [f'mean_{index}', f'gain_{index}'], [f'term_{index}']))
        terms.append(f'term_{index}')
    nodes.append(helper.make_node('Sum', terms, ['seen']))
    for name, value in outputs.items():
        constants.append(numpy_helper.from_array(value.astype(np.float32), f'{name}_value'))
        nodes.append(helper.make_node('Add', [f'{name}_value', 'seen'], [f'{name}_sum']))
        kind = helper.np_dtype_to_tensor_dtype(value.dtype)
        nodes.append(helper.make_node('Cast', [f'{name}_sum'], [name], to=kind))
        infos.append(helper.make_tensor_value_info(name, kind, (declared or {}).get(name, value.shape)))
    inputs = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), list(shape))
        for name, dtype, shape in (image, *beside)
    ]
    graph = helper.make_graph(nodes, 'constant', inputs, infos, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 13)], ir_version=8, producer_name=producer)
    helper.set_model_props(model, dict(metadata or {}))
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path
