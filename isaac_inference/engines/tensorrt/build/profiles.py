# SPDX-License-Identifier: Apache-2.0
"""The shapes that an engine is built for: smallest, optimum and largest of each input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from isaac_inference.engines.tensorrt.settings import TensorRtSettings
from isaac_inference.errors import ConfigError, EngineError
from isaac_inference.models.card.card import ModelCard
from isaac_inference.models.card.inputs import spatial_dims
from isaac_inference.models.card.tensor_spec import TensorSpec, shape_text
from isaac_inference.store.engine_cache import ProfileShapes


def profile_shapes(card: ModelCard, settings: TensorRtSettings) -> dict[str, ProfileShapes]:
    """The profile of each input of a model.

    The image takes batch and size from the settings where the model leaves them open; the size input takes the batch.

    Raises:
        ConfigError: the settings ask for what the model fixes to something else, leave out the card's own size, or
            give no value for an open dimension.
    """
    batches = (settings.min_batch, settings.opt_batch, settings.max_batch)
    sizes = _sizes(card, settings)
    first = card.images[0]  # both of a pair are alike
    spec = first.tensor
    fixed_batch = spec.shape[0] if first.has_batch else 1
    if fixed_batch is not None and batches not in ((1, 1, 1), (fixed_batch,) * 3):
        raise ConfigError(
            f'min_batch, opt_batch, max_batch: got {batches}, but {card.name} takes {fixed_batch} at a time '
            f'({spec.describe()}); leave them out, or export the model with a dynamic batch'
        )
    wanted = [
        replace(first, wh=(width, height)).shape(batch) for batch, (width, height) in zip(batches, sizes, strict=True)
    ]
    shapes = {image.tensor.name: _filled(card, image.tensor, wanted) for image in card.images}
    counts = batches if fixed_batch is None else (fixed_batch,) * 3
    for item in card.value_inputs:
        sizes_of = [item.shape(size, batch) for size, batch in zip(sizes, counts, strict=True)]
        shapes[item.tensor.name] = _filled(card, item.tensor, sizes_of)
    return shapes


def add_profile(builder: Any, config: Any, network: Any, shapes: Mapping[str, ProfileShapes]) -> None:
    """Give a builder configuration the profile of a parsed network's inputs.

    Raises:
        EngineError: an input without a profile that has an open dimension, or whose values shape the network.
        ConfigError: a profile that doesn't fit the network.
    """
    profile = builder.create_optimization_profile()
    for index in range(network.num_inputs):
        tensor = network.get_input(index)
        found = tuple(None if size < 0 else int(size) for size in tuple(tensor.shape))
        if tensor.is_shape_tensor:
            raise EngineError(
                f'input {tensor.name!r}: its values decide the shapes inside of the network, which is not supported; '
                'export the model with that size as a constant'
            )
        if tensor.name not in shapes:
            axes = [str(axis) for axis, size in enumerate(found) if size is None]
            if axes:
                raise EngineError(
                    f'input {tensor.name!r} {shape_text(found)}: axis {", ".join(axes)} is open and nothing gives it '
                    'a value; export the model with that axis fixed'
                )
            continue
        triple = shapes[tensor.name]
        spec = TensorSpec(tensor.name, '', found)
        for shape in triple:
            if not spec.accepts_shape(shape):
                raise ConfigError(
                    f'input {tensor.name!r}: the profile has {shape_text(shape)}, expected {shape_text(found)} '
                    '(? is any size); check batch and size, or the model card'
                )
        profile.set_shape(tensor.name, *triple)
    if config.add_optimization_profile(profile) < 0:
        raise EngineError(f'the optimization profile was refused: {dict(shapes)}; check batch and size')


def _sizes(card: ModelCard, settings: TensorRtSettings) -> list[tuple[int, int]]:
    """Smallest, optimum and largest (width, height) in px."""
    given = {name: getattr(settings, name) for name in ('min_wh', 'opt_wh', 'max_wh')}
    first = card.images[0]
    height, width = spatial_dims(first.tensor.shape, first.layout)
    for name, size in given.items():
        for got, fixed, what in zip(size, (width, height), ('width', 'height'), strict=True):
            if got and fixed is not None and got != fixed:
                raise ConfigError(
                    f'{name}: got {what} {got}, but {card.name} is fixed to {fixed} ({first.tensor.describe()}); '
                    'leave it out, or export the model with dynamic size'
                )
    least, best, most = (size if size != (0, 0) else first.wh for size in given.values())
    for axis, what in enumerate(('width', 'height')):
        values = least[axis], first.wh[axis], most[axis]
        if sorted(values) != list(values) or not least[axis] <= best[axis] <= most[axis]:
            raise ConfigError(
                f'min_wh, opt_wh, max_wh: {what}s {least[axis]}, {best[axis]}, {most[axis]} must rise and hold '
                f"{first.wh[axis]}, the {what} that images are resized to (the card's input_size)"
            )
    return [least, best, most]


def _filled(card: ModelCard, spec: TensorSpec, wanted: Sequence[tuple[int, ...]]) -> ProfileShapes:
    """The spec's shape with its open dimensions taken from `wanted`, three times."""
    triple = []
    for values in wanted:
        shape = []
        for axis, size in enumerate(spec.shape):
            value = size if size is not None else (values[axis] if axis < len(values) else None)
            if value is None:
                raise ConfigError(
                    f'{card.name}: input {spec.describe()}: axis {axis} is open and nothing gives it a value; export '
                    'the model with that axis fixed'
                )
            shape.append(value)
        triple.append(tuple(shape))
    return triple[0], triple[1], triple[2]
