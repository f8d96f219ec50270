# SPDX-License-Identifier: Apache-2.0
"""Outputs that say something of each pixel: their axes, channels and stride, by their shape or that of one run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from isaac_inference.errors import ModelError
from isaac_inference.models.card.sourced import CardValues, Sourced
from isaac_inference.models.card.tensor_spec import TensorSpec
from isaac_inference.models.onnx.reader import ModelFile
from isaac_inference.models.recognition.image_input import InputFinding
from isaac_inference.models.recognition.layouts.candidate import Evidence
from isaac_inference.models.recognition.layouts.roles import base_name
from isaac_inference.ops.image.options import TensorLayout

STRIDES = (1, 2, 4, 8)
"""px of the input for one cell of a map."""

PATCH_WH = (518, 518)
"""(width, height) in px that networks with patches of 14 px usually take."""

_PATCH_WORDS = ('dinov2', 'depth_anything', 'patch_embed', 'patch_embeddings')
_AUXILIARY = ('aux', 'coarse', 'edge', 'boundary')


@dataclass(frozen=True)
class DenseMap:
    """An output that says something of each pixel.

    Attributes:
        spec: the output, with its shape as in the file.
        layout: order of its axes; NCHW where it has no axis of channels.
        channels: numbers for each pixel; None where nothing shows how many.
        stride: px of the input for one cell; 0 where its size is open.
    """

    spec: TensorSpec
    layout: TensorLayout
    channels: int | None
    stride: int

    @property
    def has_one_channel(self) -> bool:
        """True for one number for each pixel."""
        return self.channels == 1


def with_patches(file: ModelFile, inputs: InputFinding) -> InputFinding:
    """Inputs of any size with one that the patches of a vision transformer divide, where the network is one: of another
    size its output would be smaller than the image, and so no map of it.
    """
    if not inputs.size_is_assumed or not has_patches(file):
        return inputs
    return replace(inputs, wh=Sourced(PATCH_WH, inputs.wh.source))


def has_patches(file: ModelFile) -> bool:
    """True for a network that cuts its image into patches of 14 px, by names in the graph."""
    return bool(file.mentions(*_PATCH_WORDS))


def dense_maps(evidence: Evidence, spec: TensorSpec) -> list[DenseMap]:
    """The ways to take an output for a map; [] where it is none, two where its channels may be either axis."""
    if not _may_be_map(spec.shape, evidence.input_wh):  # known without a run
        return []
    shape = known_shape(evidence, spec)
    if len(shape) == 3 and shape[0] in (1, None):
        stride = _stride(shape[1:], evidence.input_wh)
        return [] if stride is None else [DenseMap(spec, TensorLayout.NCHW, 1, stride)]
    if len(shape) != 4 or shape[0] not in (1, None):
        return []
    found = []
    for layout, size, channels in (
        (TensorLayout.NCHW, shape[2:], shape[1]),
        (TensorLayout.NHWC, shape[1:3], shape[3]),
    ):
        stride = _stride(size, evidence.input_wh)
        if stride is not None:
            found.append(DenseMap(spec, layout, channels, stride))
    sure = [item for item in found if item.stride]
    ones = [item for item in sure if item.has_one_channel]  # [1, 1, rows, 1]: no picture is one px wide
    return ones or sure or [item for item in found if item.channels is not None] or found


def pick_map(
    evidence: Evidence, values: CardValues, role: str, maps: Sequence[DenseMap], words: Sequence[str]
) -> tuple[Sourced[DenseMap], tuple[str, ...]]:
    """The map that a card names for a role, else the likeliest; and notes.

    Args:
        evidence: what is known about the model.
        values: what the cards say.
        role: key of the card's section `outputs`.
        maps: those that may play the role; not empty unless a card names one.
        words: parts of names that speak for an output.

    Raises:
        ModelError: a card names no output, or one that is no map.
    """
    given = values.get(f'outputs.{role}')
    if given is not None:
        spec = next((item for item in evidence.file.outputs if item.name == given.value), None)
        if spec is None:
            raise ModelError(
                f'{given.source}: outputs.{role}: {evidence.file.path.name} has no output {given.value!r}; '
                f'its outputs are: {", ".join(item.name for item in evidence.file.outputs)}'
            )
        fitting = dense_maps(evidence, spec)
        if not fitting:
            raise ModelError(
                f'{given.source}: outputs.{role}: {spec.describe()} is no map of the input of '
                f'{evidence.input_wh[0]} x {evidence.input_wh[1]}, at full, half, a quarter or an eighth of its size'
            )
        return Sourced(fitting[0], given.source), ()
    main = [item for item in maps if not any(word in base_name(item.spec.name) for word in _AUXILIARY)] or list(maps)
    named = [item for item in main if any(word in base_name(item.spec.name) for word in words)] or main
    finest = min(item.stride for item in named)
    best = [item for item in named if item.stride == finest]
    others = dict.fromkeys(item.spec.name for item in maps if item.spec.name != best[0].spec.name)
    source = f'shape of {best[0].spec.name}' if not others else 'shapes and names of the outputs'
    notes: tuple[str, ...] = ()
    if others:
        notes = (
            f'{best[0].spec.name} is read of {len(others) + 1} outputs of this kind; `outputs: {{{role}: <name>}}` '
            f'in a card takes another: {", ".join(others)}',
        )
    return Sourced(best[0], source), notes


def numbers_of(evidence: Evidence, found: DenseMap) -> np.ndarray | None:
    """A map's numbers in the run on a picture, (channels, rows, columns) float32; None where it could not be run."""
    array = evidence.values().get(found.spec.name)
    if array is None or not array.size or array.ndim != len(found.spec.shape):
        return None
    image = np.asarray(array[0], np.float32)
    if image.ndim == 2:
        return image[None]
    return image if found.layout is TensorLayout.NCHW else np.ascontiguousarray(image.transpose(2, 0, 1))


def known_shape(evidence: Evidence, spec: TensorSpec) -> tuple[int | None, ...]:
    """The shape, with the sizes that one run gave to its open axes."""
    if None not in spec.shape[1:] or len(spec.shape) not in (3, 4):
        return spec.shape
    array = evidence.values().get(spec.name)
    if array is None or array.ndim != len(spec.shape) or not array.size:
        return spec.shape
    sizes = (known or size for known, size in zip(spec.shape[1:], array.shape[1:], strict=True))
    return replace(spec, shape=(spec.shape[0], *sizes)).shape


def _may_be_map(shape: tuple[int | None, ...], wh: tuple[int, int]) -> bool:
    """False where the axes that are known are those of no map."""
    ways = {3: [shape[1:]], 4: [shape[2:], shape[1:3]]}.get(len(shape), [])
    sizes = [(-(-wh[1] // step), -(-wh[0] // step)) for step in STRIDES]
    return any(
        all(known in (None, side) for known, side in zip(way, size, strict=True)) for way in ways for size in sizes
    )


def _stride(size: Sequence[int | None], wh: tuple[int, int]) -> int | None:
    """px of the input for one cell of a map of this (rows, columns); 0 for an open size, None for no map of it."""
    if tuple(size) == (None, None):
        return 0
    return next((step for step in STRIDES if tuple(size) == (-(-wh[1] // step), -(-wh[0] // step))), None)
