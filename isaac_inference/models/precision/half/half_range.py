# SPDX-License-Identifier: Apache-2.0
"""Whether a model stays within float16's range on real images.

ONNX Runtime computes float16 models in float32 on most CPUs, so running one there does not show an overflow. The
float32 model does: values beyond 65504 there are infinite in float16.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from isaac_inference.errors import ModelError
from isaac_inference.models.precision.activations import Feeds, largest_magnitudes
from isaac_inference.models.precision.half.half_weights import LARGEST

_TOLD = 4  # tensors named in a message


def check_half_range(source: Path, model: Any, tensors: Sequence[str], feeds: Feeds) -> float:
    """The largest magnitude of `tensors`, those of the float32 `model` that will be float16.

        Raises:
            ModelError: one is beyond float16's range on `feeds`;             operators
    the message says which outputs that affects, and which
                operators
                operators and nodes to keep.
    """
    present = {name for node in model.graph.node for name in node.output}
    largest = largest_magnitudes(model, [name for name in tensors if name in present], feeds)
    beyond = {name: value for name, value in largest.items() if not value <= LARGEST}
    if not beyond:
        return max(largest.values(), default=0.0)
    makers = {name: node for node in model.graph.node for name in node.output}
    shown = [f'{name} reaches {beyond[name]:.3g} ({makers[name].op_type})' for name in list(beyond)[:_TOLD]]
    more = f' and {len(beyond) - _TOLD} more' if len(beyond) > _TOLD else ''
    names = list(dict.fromkeys(makers[name].name for name in beyond))
    names += [node.name for node in model.graph.node if set(beyond) & set(node.input) and node.name not in names]
    raise ModelError(
        f'{source}: in float16 the outputs {", ".join(_spoiled(model.graph, set(beyond)))} would be infinite or NaN: '
        f'{", ".join(shown)}{more}, and float16 ends at 65504; keep these operators or nodes in float32: '
        f'--keep {",".join(dict.fromkeys(makers[name].op_type for name in beyond))} '
        f'(or, node by node, --keep {",".join(names[:12])}{",..." if len(names) > 12 else ""})'
    )


def _spoiled(graph: Any, tensors: set[str]) -> list[str]:
    """The outputs that come from one of `tensors`."""
    reached = set(tensors)
    for node in graph.node:
        if reached.intersection(node.input):
            reached.update(node.output)
    return [item.name for item in graph.output if item.name in reached]
