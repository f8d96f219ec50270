# SPDX-License-Identifier: Apache-2.0
"""A network that sees both images of a rectified pair: its input tensors, and disparities in px of the left image."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from isaac_inference.errors import FrameError, ModelError
from isaac_inference.models.card.card import ModelCard
from isaac_inference.models.card.inputs import ImageInput
from isaac_inference.models.card.tasks import StereoDepthSpec
from isaac_inference.ops.depth.dense.resample import to_source, to_source_with_steps
from isaac_inference.ops.image.letterbox import Letterbox
from isaac_inference.ops.image.options import ColorOrder, TensorLayout
from isaac_inference.ops.stereo.matcher import STEP, Disparity, check_sizes
from isaac_inference.ops.stereo.visibility import hidden_in_right
from isaac_inference.stages.depth.dense_output import DenseOutput
from isaac_inference.stages.image.fitter import ImageFitter

ROLE, CONFIDENCE = 'disparity', 'confidence'
_STEP = 1.5  # px of the network's input: neighbours that span more are at a step of depth
_BEHIND = -0.5  # px of the network's input: beyond infinity by more is no rounding
_MOST_BEHIND = 0.5  # of the pixels
_ROUNDING = 1e-6  # px


@dataclass(frozen=True)
class StereoNetworkSettings:
    """What of a network's disparities is kept.

    Attributes:
        min_confidence: 0..1, of a network that says how sure it is.
        drop_hidden: whether pixels are unknown that the right image does not show: those are guessed.
    """

    min_confidence: float = 0.5
    drop_hidden: bool = True


class StereoNetwork:
    """Prepares pairs for one model, and reads its outputs. Not thread-safe: one per worker.

    Args:
        card: of a model with a `StereoDepthSpec`.
        settings: what is kept; default: StereoNetworkSettings().

    Attributes:
        has_confidence: whether the network says how sure it is.

    Raises:
        ModelError: the card is of another task, or of a network that wants an input beside the images.
    """

    def __init__(self, card: ModelCard, settings: StereoNetworkSettings | None = None) -> None:
        if not isinstance(card.spec, StereoDepthSpec):
            raise ModelError(
                f'model {card.name}: its task is {card.task.value}, expected stereo_depth: give a model that makes '
                'disparities of two images, or add "task: stereo_depth" to its card'
            )
        self.settings = settings or StereoNetworkSettings()
        self._card, self._spec = card, card.spec
        self._disparity = DenseOutput(card, ROLE)
        self._confidence = DenseOutput(card, CONFIDENCE) if CONFIDENCE in card.spec.roles else None
        self.has_confidence = self._confidence is not None
        sides = {image.role: image for image in card.images}
        self._pair = sides.get('pair')
        one = None if self._pair is None else _of_three_channels(self._pair)
        self._fit = {side: ImageFitter(one or sides[side]) for side in ('left', 'right')}
        self._names = {side: image.tensor.name for side, image in sides.items()}
        self._constants = {item.tensor.name: item.constant(card.input_wh) for item in card.value_inputs}

    def tensors(
        self, left: np.ndarray, right: np.ndarray, order: ColorOrder = ColorOrder.BGR, infinity: float = 0.0
    ) -> tuple[dict[str, np.ndarray], Letterbox]:
        """A rectified pair to tensors.

        Args:
            left, right: (H, W, 3) uint8.
            order: of their colours.
            infinity: px, the disparity of what is infinitely far away: the right image is moved by as many whole px,
                so that a network has only disparities from 0 on to find.

        Returns:
            The model's inputs by name, freshly allocated; and the letterbox of both images.

        Raises:
            FrameError: 'stereo_size', the images differ in size, and what `ImageFitter` raises.
        """
        check_sizes(left, right)
        (first, letterbox), (second, _) = (
            self._fit['left'](left, order),
            self._fit['right'](_moved(right, math.floor(infinity + _ROUNDING)), order),
        )
        if self._pair is None:
            made = {self._names['left']: first, self._names['right']: second}
        else:
            axis = -3 if self._pair.layout is TensorLayout.NCHW else -1
            made = {self._pair.tensor.name: np.concatenate((first, second), axis=axis)}
        return {**made, **{name: value.copy() for name, value in self._constants.items()}}, letterbox

    def read(
        self, outputs: Mapping[str, np.ndarray], letterbox: Letterbox, infinity: float = 0.0, index: int = 0
    ) -> Disparity:
        """The disparities of a pair, at the size of its images.

        Args:
            outputs: the model's outputs by name, with a batch axis.
            letterbox, infinity: as of `tensors`.
            index: which pair of the batch.

        Returns:
            Without a confidence of the network's own, that of what is kept is 255.

        Raises:
            FrameError: 'missing_output', 'bad_output_shape', 'bad_values' (mostly NaN or infinite), and
                'disparity_negative' (mostly beyond infinity).
        """
        found = self._disparity.known(outputs, index) * np.float32(self._spec.scale)
        self._check_sign(found)
        pixels = to_source_with_steps(found, letterbox, absolute=_STEP)
        pixels *= np.float32(1.0 / letterbox.scale_xy[0])
        lowest = math.floor(infinity + _ROUNDING)
        pixels += np.float32(lowest)
        own = None if self._confidence is None else to_source(self._confidence(outputs, index), letterbox)
        with np.errstate(invalid='ignore'):
            is_kept = pixels >= infinity + STEP  # not beyond infinity, nor as good as infinitely far away
            if own is not None:
                is_kept &= own >= self.settings.min_confidence
        np.copyto(pixels, np.float32(np.nan), where=~is_kept)
        if self.settings.drop_hidden:
            is_kept &= ~hidden_in_right(pixels)
            np.copyto(pixels, np.float32(np.nan), where=~is_kept)
        if own is None:
            confidence = is_kept.view(np.uint8) * np.uint8(255)
        else:
            share = np.ceil(np.minimum(own, np.float32(1.0)) * np.float32(255.0))
            confidence = np.where(is_kept, share, np.float32(0.0)).astype(np.uint8)
        return Disparity(pixels, confidence, lowest, lowest + letterbox.source_wh[0])

    def _check_sign(self, found: np.ndarray) -> None:
        """Raise FrameError for disparities most of which are beyond infinity."""
        known = np.isfinite(found)
        share = float(np.count_nonzero(found[known] < _BEHIND)) / max(1, np.count_nonzero(known))
        if share > _MOST_BEHIND:
            median = float(np.median(found[known]))
            raise FrameError(
                'disparity_negative',
                f'model {self._card.name}: {100 * share:.0f} % of its disparities are negative, {median:.1f} px in the '
                'median, expected x_left - x_right: the images are swapped (images: {left, right} in the card, or the '
                f'topics), or disparity: {{scale: {-self._spec.scale:g}}} belongs into the card',
            )


def _of_three_channels(pair: ImageInput) -> ImageInput:
    """The input of one image of a pair that goes in as six channels."""
    shape = list(pair.tensor.shape)
    shape[-3 if pair.layout is TensorLayout.NCHW else -1] = 3
    return replace(pair, tensor=replace(pair.tensor, shape=tuple(shape)), role='left')


def _moved(image: np.ndarray, by: int) -> np.ndarray:
    """The image moved by px to the right; its border is continued."""
    if by == 0:
        return image
    columns = np.clip(np.arange(image.shape[1]) - by, 0, image.shape[1] - 1)
    return image[:, columns]
