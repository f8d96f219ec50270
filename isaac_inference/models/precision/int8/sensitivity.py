# SPDX-License-Identifier: Apache-2.0
"""Mixed precision: which layers have to stay out of int8 for a required accuracy.

The last layers produce the outputs and stay float32. Each other layer is quantised alone and the outputs are compared
with float32's. Then the layers that disturb them most are kept, as many as needed; how many is found by halving, since
keeping more rarely hurts. No randomness is involved.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np

from isaac_inference.errors import ConfigError, ModelError
from isaac_inference.models.precision.activations import Feeds
from isaac_inference.models.precision.graph import refuse_overwriting
from isaac_inference.models.precision.int8.quantize import Calibrated, write_quantized
from isaac_inference.models.precision.qdq import float_layers
from isaac_inference.models.precision.session import Session

Outputs = Mapping[str, np.ndarray]
Closeness = Callable[[Sequence[Outputs], Sequence[Outputs]], float]
"""(float32 outputs, the other's), one entry per image -> how similar they are, from 0 to 1 for identical."""


@dataclass(frozen=True)
class LayerSensitivity:
    """What int8 in one layer alone does: `error` is 1 - closeness. `is_kept`: it stays float32."""

    node: str
    op: str
    error: float
    is_kept: bool


@dataclass(frozen=True)
class SweepOptions:
    """How far a sweep goes.

    Attributes:
        wanted: minimum agreement with float32, in [0, 1].
        closeness: ranks layers; fine-grained.
        agreement: decides when it is sufficient; None: `closeness` does.
        images: how many of the feeds rank layers, the first ones.
        deciding_images: how many of them decide; their outputs are kept in memory.
    """

    wanted: float = 0.95
    closeness: Closeness = field(default_factory=lambda: cosine_closeness)
    agreement: Closeness | None = None
    images: int = 6
    deciding_images: int = 64


@dataclass(frozen=True)
class SweepReport:
    """What a sweep found.

    Attributes:
        layers: all that could be int8, the most sensitive first.
        agreement: of the result with float32 on the deciding images.
        all_int8: agreement when every layer is int8.
        tried: (layers kept, agreement) of each mix that was tried, in that order.
    """

    layers: tuple[LayerSensitivity, ...]
    agreement: float
    all_int8: float
    tried: tuple[tuple[int, float], ...]

    @property
    def kept(self) -> tuple[str, ...]:
        """The layers that stay float32, the most sensitive first."""
        return tuple(layer.node for layer in self.layers if layer.is_kept)


def quantize_mixed(
    ready: Calibrated,
    target: Path,
    feeds: Feeds,
    options: SweepOptions | None = None,
    step: Callable[[str], None] = lambda line: None,
) -> SweepReport:
    """Write a model to `target` that is int8 but for the layers that the wanted agreement needs in float32.

    Args:
        ready: the calibrated model.
        target: where to.
        feeds: model inputs by name, one image each; iterated several times.
        options: settings of the sweep.
        step: called with a line of progress after each layer and each mix.

    Raises:
        ConfigError: `wanted` is not in its range, or `target` is invalid.
        ModelError: even one int8 layer is too much.
    """
    options = options or SweepOptions()
    if not 0.0 < options.wanted <= 1.0:
        raise ConfigError(f'--min-agreement: got {options.wanted}, expected more than 0 and at most 1')
    refuse_overwriting(target, ready.source)
    names = [layer.node for layer in ready.layers if not layer.is_last]
    if not names:
        raise ModelError(f'{ready.source}: all layers produce outputs, and those stay float32; use --precision fp16')
    quantized = ready.quantized(names)
    deciding = list(islice(feeds, options.deciding_images))
    reference = _run(Session(ready.model), deciding)
    few = deciding[: options.images]
    errors = {}
    for number, name in enumerate(names, 1):
        alone = float_layers(quantized, set(names) - {name})
        outputs = _run(Session(alone), few)
        errors[name] = 1.0 - options.closeness(reference[: len(few)], outputs)
        step(f'layer {number} of {len(names)}: {name}: error {errors[name]:.5f}')
    order = sorted(names, key=lambda name: -errors[name])  # stable: equal ones in the order of the graph
    judge = options.agreement or options.closeness
    tried: dict[int, float] = {}

    def agreement(kept: int) -> float:
        if kept not in tried:
            mix = float_layers(quantized, set(order[:kept]))
            tried[kept] = judge(reference, _run(Session(mix), deciding))
            step(f'{kept} of {len(names)} layers kept: agreement {tried[kept]:.4f}, wanted {options.wanted:.4f}')
        return tried[kept]

    kept = _fewest(agreement, len(names), options.wanted)
    if kept == len(names):
        raise ModelError(
            f'{ready.source}: no mix reaches an agreement of {options.wanted:g} with float32 (best: '
            f'{max(tried.values()):.4f}); ask for less with --min-agreement, or use --precision fp16'
        )
    chosen = [name for name in names if name not in set(order[:kept])]
    write_quantized(ready, target, chosen, 'mixed')
    ops = {layer.node: layer.op for layer in ready.layers}
    layers = tuple(LayerSensitivity(name, ops[name], errors[name], place < kept) for place, name in enumerate(order))
    return SweepReport(layers, agreement(kept), tried[0], tuple(tried.items()))


def cosine_closeness(reference: Sequence[Outputs], other: Sequence[Outputs]) -> float:
    """Mean over images and outputs of the cosine between both, 0 where it is negative or not finite."""
    values = []
    for wanted, got in zip(reference, other, strict=True):
        for name, value in wanted.items():
            first, second = value.astype(np.float64).ravel(), got[name].astype(np.float64).ravel()
            norms = float(np.linalg.norm(first) * np.linalg.norm(second))
            same = 1.0 if np.array_equal(first, second) else 0.0
            cosine = float(first @ second) / norms if norms > 0 else same
            values.append(max(cosine, 0.0) if np.isfinite(cosine) else 0.0)
    return float(np.mean(values)) if values else 1.0


def _fewest(agreement: Callable[[int], float], count: int, wanted: float) -> int:
    """The fewest layers to keep, as if keeping more never hurt; `count` when that is not enough either."""
    if agreement(0) >= wanted:
        return 0
    low, high = 0, count  # `low` is too few; keeping all is float32
    while high - low > 1:
        middle = (low + high) // 2
        if agreement(middle) >= wanted:
            high = middle
        else:
            low = middle
    return high


def _run(session: Session, feeds: Feeds) -> list[dict[str, np.ndarray]]:
    return [dict(zip(session.output_names, session.run(feed), strict=True)) for feed in feeds]
