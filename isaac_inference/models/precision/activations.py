# SPDX-License-Identifier: Apache-2.0
"""How large the tensors of a graph become on real images, measured with ONNX Runtime on the CPU.

Only magnitudes count, since quantisation is symmetric. The graph itself reduces each tensor to its largest magnitude,
so that a pass costs no memory; histograms fetch the tensors of one image at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from isaac_inference.errors import ModelError
from isaac_inference.models.precision.graph import EXTERNAL_FROM, element_types
from isaac_inference.models.precision.session import Session

BINS = 2048
Feeds = Iterable[Mapping[str, np.ndarray]]
_SUFFIX = '__largest'


def largest_magnitudes(
    model: Any, names: Sequence[str], feeds: Feeds, step: Callable[[], None] = lambda: None
) -> dict[str, float]:
    """Tensor -> its largest magnitude over all feeds; inf where one is not finite.

    Args:
        model: an `onnx.ModelProto` in float32.
        names: tensors of the main graph, float32 each.
        feeds: model inputs by name, one image each.
        step: called after each image.
    """
    from onnx import TensorProto, helper

    observed = _copy_of(model)
    for name in names:
        observed.graph.node.append(helper.make_node('Abs', [name], [f'{name}__abs']))
        reduce = helper.make_node('ReduceMax', [f'{name}__abs'], [name + _SUFFIX], keepdims=0)
        observed.graph.node.append(reduce)
        observed.graph.output.append(helper.make_tensor_value_info(name + _SUFFIX, TensorProto.FLOAT, None))
    session = Session(observed)
    wanted = [name + _SUFFIX for name in names]
    largest = np.zeros(len(names))
    count = 0
    for feed in feeds:
        values = np.array([np.max(value, initial=0.0) for value in session.run(feed, wanted)])
        largest = np.maximum(largest, np.where(np.isfinite(values), values, np.inf))
        count += 1
        step()
    if not count:
        raise ModelError('calibration: no image arrived; give at least one')
    return dict(zip(names, largest.tolist(), strict=True))


def magnitude_histograms(
    model: Any, largest: Mapping[str, float], feeds: Feeds, step: Callable[[], None] = lambda: None
) -> dict[str, np.ndarray]:
    """Tensor -> (2048,) int64, histogram of its magnitudes; the last bin ends at the largest.

    Args:
        largest: tensor -> upper end of its histogram, from `largest_magnitudes`.
    """
    from onnx import TensorProto, helper

    names = [name for name, value in largest.items() if np.isfinite(value) and value > 0]
    observed = _copy_of(model)
    present = {item.name for item in observed.graph.output}
    types = element_types(observed)
    for name in names:
        if name not in present:
            kind = types.get(name, TensorProto.FLOAT)
            observed.graph.output.append(helper.make_tensor_value_info(name, kind, None))
    session = Session(observed)
    histograms = {name: np.zeros(BINS, np.int64) for name in names}
    for feed in feeds:
        for name, value in zip(names, session.run(feed, names), strict=True):
            places = (np.abs(value.ravel()) * np.float32(BINS / largest[name])).astype(np.int64)
            histograms[name] += np.bincount(np.minimum(places, BINS - 1), minlength=BINS)
        step()
    return histograms


def _copy_of(model: Any) -> Any:
    if model.ByteSize() >= EXTERNAL_FROM:
        raise ModelError('calibration: the model is larger than 2 GiB, which cannot be observed; use a smaller one')
    copy = type(model)()
    copy.CopyFrom(model)
    return copy
