# SPDX-License-Identifier: Apache-2.0
"""A network that completes a sensor's depth: its input tensors, and dense depth that is held against the readings."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from isaac_inference.errors import FrameError, ModelError
from isaac_inference.models.card.card import ModelCard
from isaac_inference.models.card.inputs import ValueRole
from isaac_inference.models.card.tasks import DepthCompletionSpec
from isaac_inference.ops.depth.dense.complete import depth_steps
from isaac_inference.ops.depth.dense.resample import depth_to_input, to_source, to_source_with_steps
from isaac_inference.ops.depth.dense.surroundings import surroundings
from isaac_inference.ops.image.letterbox import Letterbox
from isaac_inference.ops.image.options import ColorOrder
from isaac_inference.stages.depth.dense_output import DenseOutput
from isaac_inference.stages.image.fitter import ImageFitter

ROLE, CONFIDENCE = 'depth', 'confidence'
_STEP = 0.06  # relative: neighbours that span more are at a step of depth
_LOOKED_AT = 60  # rows and columns where network and sensor are compared, about


@dataclass(frozen=True)
class CompletionNetworkSettings:
    """What of a network's depth is kept.

    Attributes:
        keep_measured: whether the sensor's readings stay as they are.
        refill_edges: whether those at steps of depth do not, which often lie between both surfaces: they are taken for
            holes.
        min_confidence: 0..1, of a network that says how sure it is.
        max_reach: px, pixels farther from any reading stay unknown; 0 is no limit.
        max_excess: relative, by which a filled value may be nearer than the nearest, or farther than the farthest
            reading within the reach.
        max_disagreement: relative, median difference between network and readings above which a frame is refused.
    """

    keep_measured: bool = True
    refill_edges: bool = True
    min_confidence: float = 0.5
    max_reach: int = 64
    max_excess: float = 0.1
    max_disagreement: float = 0.15


class CompletionNetwork:
    """Prepares frames for one model, and reads its outputs. Not thread-safe: one per worker.

    Args:
        card: of a model with a `DepthCompletionSpec`.
        settings: what is kept; default: CompletionNetworkSettings().

    Attributes:
        has_confidence: whether the network says how sure it is.

    Raises:
        ModelError: the card is of another task, or of a network that wants more inputs.
    """

    def __init__(self, card: ModelCard, settings: CompletionNetworkSettings | None = None) -> None:
        if not isinstance(card.spec, DepthCompletionSpec):
            raise ModelError(
                f'model {card.name}: its task is {card.task.value}, expected depth_completion: give a model that fills '
                'depth with an image, or add "task: depth_completion" to its card'
            )
        self.settings = settings or CompletionNetworkSettings()
        self._card, self._spec = card, card.spec
        self._dense = DenseOutput(card, ROLE)
        self._confidence = DenseOutput(card, CONFIDENCE) if CONFIDENCE in card.spec.roles else None
        self.has_confidence = self._confidence is not None
        self._fit = ImageFitter(card.image)
        self._depth_input = next(item for item in card.value_inputs if item.role is ValueRole.DEPTH)
        others = (item for item in card.value_inputs if item is not self._depth_input)
        self._constants = {item.tensor.name: item.constant(card.input_wh) for item in others}

    def tensors(
        self, image: np.ndarray, depth: np.ndarray, order: ColorOrder = ColorOrder.BGR
    ) -> tuple[dict[str, np.ndarray], Letterbox]:
        """An image and its depth to tensors.

        Args:
            image: (H, W, 3) uint8.
            depth: (H, W) float32 m of the same view, NaN for unknown.
            order: of the image's colours.

        Returns:
            The model's inputs by name, freshly allocated; and the letterbox of both.

        Raises:
            FrameError: 'completion_size', the two differ in size, and what `ImageFitter` raises.
        """
        if depth.shape != image.shape[:2]:
            raise FrameError(
                'completion_size',
                f'depth has {depth.shape[1]}x{depth.shape[0]} pixels, the image {image.shape[1]}x{image.shape[0]}: '
                'use depth that is registered (aligned) to it',
            )
        seen, letterbox = self._fit(image, order)
        given = depth_to_input(depth, letterbox)
        given *= np.float32(1.0 / self._spec.scale)
        given[np.isnan(given)] = self._spec.unknown
        tensor = self._depth_input.tensor
        fed = given.astype(tensor.dtype, copy=False).reshape(self._depth_input.shape(self._card.input_wh))
        made = {self._card.image.tensor.name: seen, tensor.name: fed}
        return {**made, **{name: value.copy() for name, value in self._constants.items()}}, letterbox

    def read(
        self, outputs: Mapping[str, np.ndarray], letterbox: Letterbox, measured: np.ndarray, index: int = 0
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """The completed depth of a frame, at its size.

        Args:
            outputs: the model's outputs by name, with a batch axis.
            letterbox: as of `tensors`.
            measured: (H, W) float32 m that was given to it, NaN for unknown.
            index: which frame of the batch.

        Returns:
            (H, W) float32 m, NaN for unknown; and (H, W) uint8, the network's confidence, 0 where depth is unknown,
            255 where it was measured and stayed; None for a network without.

        Raises:
            FrameError: 'missing_output', 'bad_output_shape', 'bad_values' (mostly NaN or infinite),
                'completion_disagrees' (the network's depth is not that of the sensor where that has readings).
        """
        chosen = self.settings
        found = self._dense.known(outputs, index) * np.float32(self._spec.scale)
        depth = to_source_with_steps(found, letterbox, relative=_STEP)
        own = None if self._confidence is None else to_source(self._confidence(outputs, index), letterbox)
        known = np.isfinite(measured)
        self._check_agreement(depth, measured)
        asked = ~known if chosen.keep_measured else np.ones_like(known)
        if chosen.keep_measured and chosen.refill_edges:
            asked |= depth_steps(measured, ~known)
        rows, columns = np.nonzero(asked)
        filled = depth[rows, columns]
        with np.errstate(invalid='ignore'):
            is_kept = filled > 0.0
            if own is not None:
                is_kept &= own[rows, columns] >= chosen.min_confidence
        if chosen.max_reach:
            around = surroundings(measured, chosen.max_reach)
            is_kept &= around.agree(filled, rows, columns, chosen.max_excess)
        complete = measured.copy()
        complete[rows, columns] = np.where(is_kept, filled, np.float32(np.nan))
        if own is None:
            return complete, None
        share = np.ceil(np.minimum(own[rows, columns], np.float32(1.0)) * np.float32(255.0))
        sure = np.full(depth.shape, 255, np.uint8)
        sure[rows, columns] = np.where(is_kept, share, np.float32(0.0)).astype(np.uint8)
        return complete, sure

    def _check_agreement(self, found: np.ndarray, measured: np.ndarray) -> None:
        """Raise FrameError where a network says something else than the sensor; a part of the pixels tells."""
        rows, columns = (slice(None, None, max(1, side // _LOOKED_AT)) for side in found.shape)
        for _ in range(2):
            with np.errstate(invalid='ignore'):
                ratio = found[rows, columns] / measured[rows, columns]
            if np.isfinite(ratio).sum() >= _LOOKED_AT:
                break
            rows = columns = slice(None)  # sparse: all of it
        ratio = ratio[np.isfinite(ratio)]
        off = float(np.median(np.abs(ratio - 1.0))) if len(ratio) else math.inf
        if off > self.settings.max_disagreement:
            times = f', {float(np.median(ratio)):.4g} times of it in the median' if len(ratio) else ''
            raise FrameError(
                'completion_disagrees',
                f'model {self._card.name}: where the sensor has readings the network is {100 * off:.0f} % off them'
                f'{times}, expected {100 * self.settings.max_disagreement:g} % at most: the network does not see this '
                'scene as it is; check depth: {unit} and the preprocess lines of the card, or raise '
                'network.max_disagreement',
            )
