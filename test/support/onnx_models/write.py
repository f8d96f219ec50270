# SPDX-License-Identifier: Apache-2.0
"""Puts a tiny model together and writes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from isaac_inference.models.card.conventions import CONVENTIONS
from isaac_inference.models.card.families import FAMILIES
from isaac_inference.models.card.inputs import PreprocessSpec
from isaac_inference.ops.image.options import WHOLE_TYPES
from support.onnx_models.families import KINDS
from support.onnx_models.graph import WH, Tiny

_ELEMENT_TYPES = {
    'float32': TensorProto.FLOAT,
    'float16': TensorProto.FLOAT16,
    'uint8': TensorProto.UINT8,
    'int32': TensorProto.INT32,
}


def write_model(path: str | Path, kind: str = 'yolov8', *, external_data: bool = False, **options: Any) -> Path:
    """Write a tiny model of a kind in `KINDS` and return its path; `options` as for `build_model`.

    Args:
        path: where to; the folder must exist.
        kind: the detector family.
        external_data: put the constants into the file `<name>.data` beside the model.
    """
    return save_model(build_model(kind, **options), path, external_data=external_data)


def write_model_of_links(folder: Path, *, far: bool = False, **options: Any) -> Path:
    """Write a tiny model as caches of downloads keep it, and return its path.

    The model `snapshots/abc/model.onnx` and its weights beside it are links to files in `blobs`.

    Args:
        folder: where to; it must exist.
        far: only the weights are a link, so that they are in another folder than the model.
        options: as for `write_model`.
    """
    snapshot, blobs = folder / 'snapshots' / 'abc', folder / 'blobs'
    snapshot.mkdir(parents=True, mode=0o755)
    blobs.mkdir(mode=0o755)
    path = write_model(snapshot / 'model.onnx', external_data=True, **options)
    for name, blob in {'model.onnx.data': 'b2', **({} if far else {'model.onnx': 'a1'})}.items():
        (snapshot / name).rename(blobs / blob)
        (blobs / blob).chmod(0o644)
        (snapshot / name).symlink_to(f'../../blobs/{blob}')
    return path


def save_model(model: Any, path: str | Path, *, external_data: bool = False) -> Path:
    """Write an `onnx.ModelProto` and return its path."""
    path = Path(path)
    if external_data:
        onnx.save(model, str(path), save_as_external_data=True, location=path.name + '.data', size_threshold=64)
    else:
        onnx.save(model, str(path))
    return path


def build_model(
    kind: str,
    *,
    classes: int = 3,
    input_wh: tuple[int, int] = WH,
    metadata: Mapping[str, Any] | None = None,
    dynamic: bool | str = False,
    dtype: str = 'float32',
    layout: str = 'NCHW',
    input_name: str = 'images',
    output_names: Mapping[str, str] | None = None,
    extra_outputs: Sequence[str] = (),
    preprocess: PreprocessSpec | None = None,
    keypoint_shape: tuple[int, int] = (8, 3),
) -> Any:
    """A tiny model as an `onnx.ModelProto`.

    Args:
        kind: a key of `KINDS`.
        classes: number of classes.
        input_wh: (width, height) in px, at least 48 each; multiples of 32 for the families with a grid.
        metadata: the file's metadata properties; values are written as text. Default: those that the kind can't be
            read without, if there are any.
        dynamic: leave batch, height, width and the number of boxes open; 'batch' for the batch only. The
            boxes stay those of `input_wh`, whatever size is fed.
        dtype: the image's element type, float32, float16, uint8 or int32.
        layout: NCHW or NHWC.
        input_name: name of the image input.
        output_names: role -> name, where it shall differ from the exporters' usual name.
        extra_outputs: names of further outputs [N, 1, 1, 1] that no decoder reads.
        preprocess: what the model expects of its image; default: what its family does, raw values for uint8 and int32.
        keypoint_shape: (count, dims) for the families with keypoints.
    """
    row = KINDS[kind]
    names = {**row.output_names, **(output_names or {})}
    tiny = Tiny(classes, input_wh, [], [], {}, keypoint_shape)
    convention = 'detr' if row.options.get('activation') == 'softmax' else FAMILIES[row.decoder].conventions[0]
    expected = preprocess or (PreprocessSpec(scale=1.0) if dtype in WHOLE_TYPES else CONVENTIONS[convention].preprocess)
    brightness = _measure_brightness(tiny, input_name, expected, layout)
    row.build(tiny)
    batch: int | str = 'batch' if dynamic else 1
    outputs = _name_outputs(tiny, names, batch, dynamic is True)
    for name in extra_outputs:
        tiny.node('Identity', brightness, name=name)
        outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, 1, 1, 1]))
    width, height = ('width', 'height') if dynamic is True else input_wh
    shape = [batch, 3, height, width] if layout == 'NCHW' else [batch, height, width, 3]
    inputs = [helper.make_tensor_value_info(input_name, _ELEMENT_TYPES[dtype], shape)]
    if row.has_size_input:
        inputs.append(helper.make_tensor_value_info('orig_target_sizes', TensorProto.INT64, [batch, 2]))
    graph = helper.make_graph(tiny.nodes, kind, inputs, outputs, tiny.constants)
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid('', 13)],
        ir_version=8,
        producer_name='tiny_models',
        producer_version='1',
    )
    properties = row.metadata if metadata is None else metadata
    helper.set_model_props(model, {key: str(value) for key, value in properties.items()})
    onnx.checker.check_model(model)
    return model


def ultralytics_metadata(
    names: Sequence[str], *, task: str = 'detect', imgsz: tuple[int, int] = WH[::-1], **more: Any
) -> dict[str, str]:
    """The metadata that ultralytics exports carry; `imgsz` is (height, width)."""
    facts = {
        'author': 'Ultralytics',
        'description': 'Ultralytics YOLO11n model',
        'task': task,
        'stride': 32,
        'batch': 1,
        'imgsz': list(imgsz),
        'names': dict(enumerate(names)),
        **more,
    }
    return {key: str(value) for key, value in facts.items()}


def _measure_brightness(tiny: Tiny, image: str, preprocess: PreprocessSpec, layout: str) -> str:
    """Nodes that undo the preprocessing and average the image. Makes 'brightness' [N, 1] in 0..1 and
    'features' [N, 2], the brightness and a 1; returns the name of the brightness as [N, 1, 1, 1].
    """
    channels = (1, 3, 1, 1) if layout == 'NCHW' else (1, 1, 1, 3)
    scale = np.float64(preprocess.scale) * 255
    pixels = tiny.node('Cast', image, to=TensorProto.FLOAT)
    pixels = tiny.node('Mul', pixels, tiny.constant(np.reshape(preprocess.std, channels) / scale))
    pixels = tiny.node('Add', pixels, tiny.constant(np.reshape(preprocess.mean, channels) / scale))
    mean = tiny.node('ReduceMean', pixels, axes=[1, 2, 3], keepdims=1)
    mean = tiny.node('Clip', mean, tiny.constant(0.0), tiny.constant(1.0))
    flat = tiny.node('Reshape', mean, tiny.constant([-1, 1], np.int64), name='brightness')
    zero = tiny.node('Mul', flat, tiny.constant(0.0))
    tiny.node('Concat', flat, tiny.node('Add', zero, tiny.constant(1.0)), name='features', axis=1)
    return mean


def _name_outputs(tiny: Tiny, names: Mapping[str, str], batch: int | str, open_rows: bool) -> list[Any]:
    """Give the outputs their names and declare them; the longest axis is the one that a dynamic model leaves
    open.
    """
    infos = []
    for role, (made, kind, shape) in tiny.outputs.items():
        name = names.get(role, role)
        tiny.node('Identity', made, name=name)
        longest = shape.index(max(shape)) if open_rows and max(shape) > 1 else None
        dims = ['boxes' if axis == longest else size for axis, size in enumerate(shape)]
        infos.append(helper.make_tensor_value_info(name, kind, [batch, *dims]))
    return infos
