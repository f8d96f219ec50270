# SPDX-License-Identifier: Apache-2.0
"""A 1920x1080 bgr8 Image message to a 640x640 float32 NCHW tensor, against the bare calls that this takes.

Ours is what PreprocessNode does with a frame: message to array, encoding, letterbox, `Preprocessor`, a new tensor for
every frame. The bare calls are the least that gives the same tensor: `np.frombuffer` and reshape, `cv2.resize` into
the padded canvas, `cv2.split`, and per channel the cheapest conversion that NumPy or OpenCV have (measured here:
`np.copyto`, `np.multiply`, `cv2.LUT`), into a new tensor too. For information: the same into a tensor that is reused,
and `cv2.dnn.blobFromImage`. All are called in turn, on messages that together don't fit into the caches.

The rules of two families are measured: YOLOX (BGR, 0 to 255) and YOLOv8 (RGB, 0 to 1).
"""

from __future__ import annotations

import array
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from benchmark.support.common import (
    STATS,
    Figure,
    Options,
    Result,
    Stats,
    Table,
    alternate,
    plt,
    save_plot,
    synthetic_card,
)
from isaac_inference.ops.image.letterbox import Letterbox, new_canvas
from isaac_inference.ops.image.options import ColorOrder
from isaac_inference.ros.messages.image import color_image, from_image_message, image_frame_from_array, to_image_message
from isaac_inference.stages import Preprocessor

TITLE = 'Preprocessing of a 1080p message'
SOURCE_WH, INPUT_WH = (1920, 1080), (640, 640)
FAMILIES: dict[str, dict[str, Any]] = {
    'YOLOX: BGR, 0 to 255': {'color': 'bgr', 'scale': 1.0, 'anchor': 'top_left', 'rounding': 'floor'},
    'YOLOv8: RGB, 0 to 1': {'color': 'rgb', 'scale': 1.0 / 255.0},
}
OURS, REUSED, BLOB = 'isaac_inference', 'bare, tensor reused', 'cv2.dnn.blobFromImage, without letterbox'


def run(options: Options) -> Result:
    """Both families, then the way from message to array."""
    result = Result('preprocess', TITLE)
    messages = _messages(options)
    bars: dict[str, dict[str, float]] = {}
    for family, rules in FAMILIES.items():
        bars[family] = _measure(result, family, rules, messages, options.pick(1000, 150))
    _message_to_array(result, messages, options.pick(5000, 1000))
    _plot(result, options, bars)
    return result


def _messages(options: Options) -> list[Image]:
    pictures = options.photos(*SOURCE_WH, 8)
    return [to_image_message(image_frame_from_array(picture, 'bgr8', Header())) for picture in pictures]


def _measure(
    result: Result, family: str, rules: dict[str, Any], messages: list[Image], rounds: int
) -> dict[str, float]:
    preprocessor = Preprocessor(synthetic_card(INPUT_WH, **rules))
    bare = {f'bare, {name}': _bare(rules, convert) for name, convert in _conversions(rules).items()}
    ways: dict[str, Callable[[Image], np.ndarray]] = {
        OURS: lambda message: _ours(preprocessor, message),
        **bare,
        REUSED: _bare(rules, next(iter(_conversions(rules).values())), reuse=True),
        BLOB: _blob(rules),
    }
    difference = max(
        float(np.abs(ways[OURS](message) - way(message)).max()) for message in messages for way in bare.values()
    )
    spent = alternate({name: _with(way, messages) for name, way in ways.items()}, rounds)
    stats = {name: Stats.of(samples) for name, samples in spent.items()}
    fastest = min(bare, key=lambda name: stats[name].p50)
    ratio = stats[OURS].p50 / stats[fastest].p50
    table = Table(f'{family}: 1920x1080 bgr8 message to 640x640 tensor [ms]', ['way', *STATS, 'times the fastest bare'])
    for name, values in stats.items():
        table.add(name, *values.cells(), values.p50 / stats[fastest].p50)
    result.tables.append(table)
    result.figures.append(
        Figure(
            f'Preprocess 1080p to 640x640, {family}',
            'at most 1.2 times the bare calls',
            f'{ratio:.3f} times ({stats[OURS].p50:.2f} ms against {stats[fastest].p50:.2f} ms; largest difference of a '
            f'tensor value {difference:.2g})',
            ratio <= 1.2,
        )
    )
    result.data[family] = {name: values.as_json() for name, values in stats.items()}
    return {name: values.p50 for name, values in stats.items()}


def _ours(preprocessor: Preprocessor, message: Image) -> np.ndarray:
    image, order = _to_array(message, preprocessor.wanted)
    tensors, _ = preprocessor(image, order)
    return tensors['images']


def _to_array(message: Image, wanted: ColorOrder) -> tuple[np.ndarray, ColorOrder]:
    return color_image(from_image_message(message), wanted)


def _with(way: Callable[[Image], np.ndarray], messages: list[Image]) -> Callable[[int], None]:
    def call(index: int) -> None:
        way(messages[index % len(messages)])

    return call


def _conversions(rules: dict[str, Any]) -> dict[str, Callable[[np.ndarray, np.ndarray], Any]]:
    """Ways of turning an 8-bit plane into a float32 one."""
    if rules['scale'] == 1.0:
        return {'np.copyto': lambda plane, out: np.copyto(out, plane)}
    factor, table = np.float32(rules['scale']), (np.arange(256) * rules['scale']).astype(np.float32)
    return {
        'cv2.LUT': lambda plane, out: cv2.LUT(plane, table, dst=out),
        'np.multiply': lambda plane, out: np.multiply(plane, factor, out=out),
    }


def _bare(
    rules: dict[str, Any], convert: Callable[[np.ndarray, np.ndarray], Any], *, reuse: bool = False
) -> Callable[[Image], np.ndarray]:
    """The calls alone: everything that can be known beforehand is worked out here."""
    canvas = new_canvas(INPUT_WH, 114)
    letterbox = Letterbox.between(
        SOURCE_WH, INPUT_WH, 'letterbox', rules.get('anchor', 'center'), rules.get('rounding', 'nearest')
    )
    (width, height), (left, top) = letterbox.resized_wh, (int(offset) for offset in letterbox.offset_xy)
    target = canvas[top : top + height, left : left + width]
    planes = [np.empty(canvas.shape[:2], np.uint8) for _ in range(3)]
    sources = planes if rules['color'] == 'bgr' else planes[::-1]
    kept = np.empty((1, 3, *canvas.shape[:2]), np.float32)

    def call(message: Image) -> np.ndarray:
        image = np.frombuffer(message.data, np.uint8).reshape(SOURCE_WH[1], SOURCE_WH[0], 3)
        cv2.resize(image, (width, height), dst=target, interpolation=cv2.INTER_LINEAR)
        cv2.split(canvas, planes)
        tensor = kept if reuse else np.empty_like(kept)
        for plane, out in zip(sources, tensor[0], strict=True):
            convert(plane, out)
        return tensor

    return call


def _blob(rules: dict[str, Any]) -> Callable[[Image], np.ndarray]:
    def call(message: Image) -> np.ndarray:
        image = np.frombuffer(message.data, np.uint8).reshape(SOURCE_WH[1], SOURCE_WH[0], 3)
        blob: np.ndarray = cv2.dnn.blobFromImage(image, rules['scale'], INPUT_WH, swapRB=rules['color'] == 'rgb')
        return blob

    return call


def _message_to_array(result: Result, messages: list[Image], rounds: int) -> None:
    spent = alternate(
        {'message to array': lambda index: _to_array(messages[index % len(messages)], ColorOrder.BGR)}, rounds
    )
    stats = Stats.of(spent['message to array'])
    message = messages[0]
    image, _ = _to_array(message, ColorOrder.BGR)
    data = message.data
    shares = isinstance(data, array.array) and np.shares_memory(image, np.frombuffer(data, np.uint8))
    table = Table('Message to array [ms]', ['way', *STATS])
    table.add('from_image_message and to_color, 1920x1080 bgr8', *stats.cells())
    result.tables.append(table)
    result.figures.append(
        Figure(
            'Message to array, 1080p bgr8',
            'under 0.1 ms, no copy',
            f'{stats.p50 * 1e3:.1f} us p50, {stats.p99 * 1e3:.1f} us p99; '
            f'{"the array is the memory of the message" if shares else "COPIED"} (np.shares_memory: {shares})',
            stats.p50 < 0.1 and bool(shares),
        )
    )
    result.data['message to array'] = {**stats.as_json(), 'shares_memory': bool(shares)}


def _plot(result: Result, options: Options, bars: dict[str, dict[str, float]]) -> None:
    figure, axes = plt.subplots(1, len(bars), figsize=(12, 3.6))
    for panel, (family, values) in zip(axes, bars.items(), strict=True):
        panel.barh(list(values), list(values.values()), color=['#3b6ea5'] + ['#9a9a9a'] * (len(values) - 1))
        panel.invert_yaxis()
        panel.set_xlabel('p50 [ms]')
        panel.set_title(family)
        panel.grid(axis='x', alpha=0.3)
    figure.suptitle('1920x1080 bgr8 message to 640x640 float32 tensor')
    save_plot(figure, options, 'preprocess', result)
