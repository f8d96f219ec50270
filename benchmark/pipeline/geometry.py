# SPDX-License-Identifier: Apache-2.0
"""Boxes there and back: how far the way image -> model input -> image puts a box off.

Two measurements for every image size, fit and anchor:

- arithmetic: random boxes in source pixels are mapped to the input and back by `boxes_to_source` in float32, and
  compared with where they came from in float64. Error in source pixels.
- pixels: a white box with soft edges, whose half level lies exactly on the wanted coordinates, is drawn into an
  Image message, which goes through the real preprocessing; all sizes through the same Preprocessor, one after the
  other, so that the size changes with every frame. The edges are found again on the tensor (half-level crossing of
  the profile through the box's middle), brought back, and compared with where they were drawn. This doesn't ask the
  letterbox where the image went: it looks. Errors in pixels of the source and of the input.

Besides, every tensor's padding must hold nothing but the pad value: leftovers of a frame of another size are counted.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from std_msgs.msg import Header

from benchmark.support.common import Figure, Options, Result, Table, plt, save_plot, synthetic_card
from isaac_inference.ops.image.encodings import to_color
from isaac_inference.ops.image.letterbox import Letterbox
from isaac_inference.ops.image.options import Anchor, ColorOrder, Fit, Rounding
from isaac_inference.ros.messages.image import from_image_message, image_frame_from_array, to_image_message
from isaac_inference.stages import Preprocessor

TITLE = 'Boxes there and back'
SIZES = ((640, 640), (1280, 720), (720, 1280), (1920, 1080), (641, 479), (333, 517), (1279, 721), (37, 1001), (101, 53))
INPUTS = ((640, 640), (416, 416), (640, 384))
PAD = 114
_EDGE_PX = 2.0  # softness of the drawn edges, on the input


def run(options: Options) -> Result:
    """Both measurements."""
    result = Result('geometry', TITLE)
    boxes = options.pick(2000, 200)
    table = Table(
        'Largest error of a box',
        [
            'fit',
            'image',
            'arithmetic [source px]',
            'found on the tensor [source px]',
            'found on the tensor [input px]',
            'wrong padding pixels',
        ],
    )
    worst: dict[tuple[str, tuple[int, int]], list[float]] = {}
    for fit in Fit:
        drawn = _drawn(fit, options.pick(3, 1))
        for size in SIZES:
            row = [_arithmetic(size, fit, boxes), *drawn[size]]
            worst[fit.value, size] = row
            table.add(fit.value, f'{size[0]}x{size[1]}', *row[:3], int(row[3]))
    result.tables.append(table)
    _judge(result, worst)
    _plot(result, options, worst)
    result.data = {f'{fit} {size[0]}x{size[1]}': row for (fit, size), row in worst.items()}
    return result


def _arithmetic(size: tuple[int, int], fit: Fit, count: int) -> float:
    random = np.random.default_rng(7)
    low = random.uniform(0, 0.6, (count, 2)) * size
    boxes = np.concatenate((low, low + random.uniform(0.05, 0.4, (count, 2)) * size), axis=1)
    error = 0.0
    for input_wh, anchor, rounding in itertools.product(INPUTS, Anchor, Rounding):
        letterbox = Letterbox.between(size, input_wh, fit, anchor, rounding)
        there = letterbox.points_to_input(boxes.reshape(-1, 2)).reshape(-1, 4)
        back = letterbox.boxes_to_source(there.astype(np.float32), clip=False)
        error = max(error, float(np.abs(back - boxes).max()))
    return error


def _drawn(fit: Fit, passes: int) -> dict[tuple[int, int], list[float]]:
    """Size to the largest [source error, input error, wrong padding pixels] over inputs, anchors and positions."""
    found: dict[tuple[int, int], list[float]] = {size: [0.0, 0.0, 0.0] for size in SIZES}
    for input_wh, anchor, rounding in itertools.product(INPUTS, Anchor, Rounding):
        preprocessor = Preprocessor(
            synthetic_card(
                input_wh,
                color='bgr',
                scale=1.0,
                fit=fit.value,
                anchor=anchor.value,
                rounding=rounding.value,
                pad_value=PAD,
            )
        )
        random = np.random.default_rng(11)
        for size in SIZES * passes:
            errors = _one_frame(preprocessor, Letterbox.between(size, input_wh, fit, anchor, rounding), random)
            found[size] = [max(pair) for pair in zip(found[size], errors, strict=True)]
    return found


def _one_frame(preprocessor: Preprocessor, letterbox: Letterbox, random: Any) -> tuple[float, float, float]:
    """Draw, send through, find: (source error, input error, wrong padding pixels)."""
    corners = _visible_box(letterbox, random)
    picture = _soft_box(letterbox.source_wh, corners, letterbox.scale_xy)
    frame = from_image_message(to_image_message(image_frame_from_array(picture, 'bgr8', Header())))
    image, order = to_color(frame.image, ColorOrder.BGR)
    tensors, used = preprocessor(image, order)
    plane = tensors['images'][0, 0]
    on_input = _find_edges(plane, letterbox, corners)
    expected = letterbox.points_to_input(corners.reshape(2, 2)).reshape(4)
    back = used.boxes_to_source(on_input[None].astype(np.float32), clip=False)[0]
    return (
        float(np.abs(back - corners).max()),
        float(np.abs(on_input - expected).max()),
        float(_wrong_padding(plane, letterbox)),
    )


def _visible_box(letterbox: Letterbox, random: Any) -> np.ndarray:
    """A random box, (4,) source px, of which all edges are inside the part of the image that the input shows."""
    room = np.asarray(letterbox.input_wh, np.float64)
    corners = letterbox.points_to_source(np.stack((np.zeros(2), room)))
    low, high = np.maximum(corners[0], 0), np.minimum(corners[1], letterbox.source_wh)
    first, second = random.uniform(0.12, 0.4, 2), random.uniform(0.6, 0.88, 2)
    return np.concatenate((low + first * (high - low), low + second * (high - low)))


def _soft_box(size: tuple[int, int], corners: np.ndarray, scale_xy: tuple[float, float]) -> np.ndarray:
    """(H, W, 3) uint8: linear ramps through half level at the corners, `2 * _EDGE_PX` input pixels wide."""
    profiles = []
    for axis in range(2):
        centers = np.arange(size[axis]) + 0.5
        softness = max(_EDGE_PX / scale_xy[axis], 1.0)
        rise = np.clip((centers - corners[axis]) / (2 * softness) + 0.5, 0, 1)
        fall = np.clip((corners[axis + 2] - centers) / (2 * softness) + 0.5, 0, 1)
        profiles.append(np.minimum(rise, fall))
    picture = np.rint(255 * np.outer(profiles[1], profiles[0])).astype(np.uint8)
    return np.repeat(picture[..., None], 3, axis=2)


def _find_edges(plane: np.ndarray, letterbox: Letterbox, corners: np.ndarray) -> np.ndarray:
    """(4,) input px: where the profiles through the box's middle cross half level."""
    middle = letterbox.points_to_input(((corners[:2] + corners[2:]) / 2)[None])[0]
    column, row = np.clip(middle.astype(int), 0, np.array(letterbox.input_wh) - 1)
    (left, right), (top, bottom) = _crossings(plane[row], column), _crossings(plane[:, column], row)
    return np.array((left, top, right, bottom))


def _crossings(profile: np.ndarray, start: int) -> tuple[float, float]:
    """From `start` outwards, in pixel-edge coordinates."""
    half = float(profile[start]) / 2
    below = profile < half
    left = int(np.flatnonzero(below[:start]).max(initial=-1))
    right = start + int(np.argmax(below[start:])) if below[start:].any() else len(profile)
    return _between(profile, left, left + 1, half), _between(profile, right, right - 1, half)


def _between(profile: np.ndarray, outside: int, inside: int, half: float) -> float:
    if not 0 <= outside < len(profile):
        return float(np.clip(outside + 0.5, 0, len(profile)))
    low, high = float(profile[outside]), float(profile[inside])
    return outside + 0.5 + (inside - outside) * (half - low) / (high - low)


def _wrong_padding(plane: np.ndarray, letterbox: Letterbox) -> int:
    (width, height), (left, top) = letterbox.resized_wh, (max(0, int(offset)) for offset in letterbox.offset_xy)
    padding = np.ones(plane.shape, bool)
    padding[top : top + height, left : left + width] = False
    return int((plane[padding] != PAD).sum())


def _judge(result: Result, worst: dict[tuple[str, tuple[int, int]], list[float]]) -> None:
    for fit in Fit:
        rows = [row for (name, _), row in worst.items() if name == fit.value]
        arithmetic, source, on_input, padding = (max(column) for column in zip(*rows, strict=True))
        result.figures.append(
            Figure(
                f'Box error there and back, {fit.value}, {len(SIZES)} sizes, size changing with every frame',
                'within 1 px',
                f'{arithmetic:.2g} px arithmetic; found on the tensor: {source:.2f} px of the source, {on_input:.2f} '
                f'px of the input; {padding:.0f} wrong padding pixels',
                max(arithmetic, source) <= 1.0 and padding == 0,
            )
        )
    result.notes.append(
        'The pixel measurement is limited by 8-bit levels and, where an image is enlarged, by how well '
        'a pixel grid can hold an edge; the arithmetic by float32.'
    )


def _plot(result: Result, options: Options, worst: dict[tuple[str, tuple[int, int]], list[float]]) -> None:
    figure, axes = plt.subplots(figsize=(10, 4.2))
    width = 0.26
    for index, fit in enumerate(Fit):
        values = [worst[fit.value, size][1] for size in SIZES]
        axes.bar(np.arange(len(SIZES)) + (index - 1) * width, values, width, label=fit.value)
    axes.axhline(1.0, color='black', linestyle='--', linewidth=1, label='asked: at most 1 px')
    axes.set_xticks(range(len(SIZES)), [f'{width}x{height}' for width, height in SIZES])
    axes.set_xlabel('image size [px]')
    axes.set_ylabel('largest edge error [source px]')
    axes.set_title('A drawn box, found again on the tensor and brought back')
    axes.legend()
    axes.grid(axis='y', alpha=0.3)
    save_plot(figure, options, 'geometry', result)
