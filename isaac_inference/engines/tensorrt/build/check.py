# SPDX-License-Identifier: Apache-2.0
"""Compares a new engine with the model it was built from, before anybody trusts it."""

from __future__ import annotations

import math

import numpy as np

from isaac_inference.engines.checks import non_finite
from isaac_inference.engines.reference import Run
from isaac_inference.errors import EngineError
from isaac_inference.models.card.card import ModelCard
from isaac_inference.models.card.inputs import ImageInput, ValueInput, ValueRole
from isaac_inference.models.card.tasks import DepthCompletionSpec

IMAGES = 3
_DISPARITY = 20  # of a made-up pair: such a part of its width
_SEED = 20240
_LEAST_RMS = 1e-2  # channels that are smaller than this in the reference count less: they hold rounding noise


def check_plan(
    card: ModelCard,
    run: Run,
    reference: Run | None,
    min_agreement: float,
    *,
    batch: int = 1,
    order_free: bool = False,
) -> dict[str, float]:
    """Compare an engine's outputs with the model's on a few made-up images.

    Args:
        card: the model.
        run: feeds -> outputs of the engine.
        reference: feeds -> outputs of the model's own file, whatever the engine was converted to; None where nothing
            can run it: then only NaN and infinity are looked for.
        min_agreement: minimum cosine similarity of each output.
        batch: images at once.
        order_free: the model picks its outputs by score, so that ties may come in another order; values are sorted
            before they are compared.

    Returns:
        Output name -> lowest similarity over the images; empty where there is no reference to compare with.

    Raises:
        EngineError: NaN or infinity, an output of another shape, or too little agreement, with the numbers.
    """
    worst: dict[str, float] = {}
    for index in range(IMAGES):
        feeds = image_feeds(card, batch, seed=_SEED + index)
        outputs = {name: np.asarray(array) for name, array in run(feeds).items()}
        expected = None if reference is None else reference(feeds)
        bad = non_finite(outputs)
        if bad and not (expected is not None and non_finite(expected)):
            raise EngineError(
                f'{card.name}: the engine gives NaN or infinity in {", ".join(bad)}, where the model does not; it is '
                'not kept. Numbers that overflow float16 do that: convert with `isaac-inference convert --precision '
                "mixed`, or build with precision: 'model'"
            )
        for name, array in outputs.items():
            if expected is None or array.dtype.kind != 'f':
                continue
            value = similarity(expected[name], array, order_free)
            worst[name] = min(worst.get(name, 1.0), value)
    low = {name: value for name, value in worst.items() if not value >= min_agreement}
    if low:
        numbers = ', '.join(f'{name} {value:.4f}' for name, value in worst.items())
        raise EngineError(
            f'{card.name}: the engine does not agree with the model: cosine similarity {numbers}, expected '
            f'{min_agreement:g} or more of each (min_agreement); it is not kept. Keep sensitive layers in float32 with '
            "`isaac-inference convert --precision mixed`, build with precision: 'model', or lower min_agreement"
        )
    return worst


def similarity(expected: np.ndarray, got: np.ndarray, order_free: bool = False) -> float:
    """Cosine similarity of two outputs, -1 to 1, each channel scaled to the reference's own size first: boxes in
    pixels would drown scores otherwise. NaN where either is not finite; 0 for different shapes.

    Channels are the shorter of an output's last two axes.
    """
    if expected.shape != got.shape:
        return 0.0
    if not expected.size:
        return 1.0
    first, second = (np.asarray(array, np.float64) for array in (expected, got))
    if first.ndim >= 3:
        axis = -1 if first.shape[-1] <= first.shape[-2] else -2
        first, second = (np.moveaxis(array, axis, -1).reshape(-1, expected.shape[axis]) for array in (first, second))
    else:
        first, second = first.reshape(-1, 1), second.reshape(-1, 1)
    if order_free:
        first, second = np.sort(first, axis=0), np.sort(second, axis=0)
    scale = np.maximum(np.sqrt(np.mean(first**2, axis=0)), _LEAST_RMS)
    first, second = first / scale, second / scale
    norms = float(np.linalg.norm(first)), float(np.linalg.norm(second))
    if not all(math.isfinite(norm) for norm in norms):
        return math.nan
    if min(norms) < 1e-9:
        return 1.0 if max(norms) < 1e-3 * math.sqrt(first.size) else 0.0
    return float(np.sum(first * second)) / (norms[0] * norms[1])


def image_feeds(card: ModelCard, batch: int, seed: int) -> dict[str, np.ndarray]:
    """Feeds that look like preprocessed images: smooth gradients, rectangles and a little noise, the same for a seed.

    Args:
        card: the model; its preprocessing's scale, mean and std are applied.
        batch: images at once; a fixed batch of the model wins.
        seed: of the images.
    """
    first = card.images[0]
    count = (first.tensor.shape[0] or batch) if first.has_batch else 1
    generator = np.random.default_rng(seed)
    width, height = first.wh
    pixels = np.stack([_image(generator, width, height) for _ in range(count)])
    feeds = {image.tensor.name: _tensor(image, pixels) for image in card.images}
    for item in card.value_inputs:
        is_depth = item.role is ValueRole.DEPTH
        feeds[item.tensor.name] = _depth(card, item, pixels) if is_depth else item.constant(first.wh, count)
    return feeds


def _tensor(image: ImageInput, pixels: np.ndarray) -> np.ndarray:
    """(N, H, W, 3) pixels 0..255 as the tensor of an input; the right image of a pair is moved to the left."""
    if image.role in ('right', 'pair'):
        right = np.roll(pixels, -max(1, pixels.shape[2] // _DISPARITY), axis=2)
        pixels = right if image.role == 'right' else np.concatenate((pixels, right), axis=3)
    spec = image.tensor
    if np.dtype(spec.dtype).kind == 'f':
        given, times = image.preprocess, pixels.shape[3] // 3
        pixels = (pixels * given.scale - np.tile(given.mean, times)) / np.tile(given.std, times)
    if image.layout == 'NCHW':
        pixels = pixels.transpose(0, 3, 1, 2)
    return np.ascontiguousarray(pixels if image.has_batch else pixels[0], dtype=spec.dtype)


def _depth(card: ModelCard, item: ValueInput, pixels: np.ndarray) -> np.ndarray:
    """A depth image of 1 to 3.55 m, brighter is farther, with holes."""
    spec = card.spec if isinstance(card.spec, DepthCompletionSpec) else DepthCompletionSpec({})
    given = (1.0 + pixels.mean(axis=3) / 100.0) / spec.scale
    given[:, ::7, ::5] = spec.unknown
    return given.astype(item.tensor.dtype).reshape(item.shape(card.input_wh, len(pixels)))


def _image(generator: np.random.Generator, width: int, height: int) -> np.ndarray:
    """A made-up image, float64 [height, width, 3] of 0..255."""
    rows, columns = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j][..., None]
    slopes = generator.uniform(-100, 100, (3, 3))
    image = 128 + slopes[0] * rows + slopes[1] * columns + slopes[2] * rows * columns
    for _ in range(12):
        x, y = generator.integers(0, width), generator.integers(0, height)
        w, h = generator.integers(1, width // 2 + 2), generator.integers(1, height // 2 + 2)
        image[y : y + h, x : x + w] = generator.uniform(0, 255, 3)
    return np.clip(image + generator.normal(0, 6, image.shape), 0, 255).round()
