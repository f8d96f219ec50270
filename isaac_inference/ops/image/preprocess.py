# SPDX-License-Identifier: Apache-2.0
"""From the letterboxed 8-bit image to the model's input tensor."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np

from isaac_inference.errors import ConfigError, FrameError
from isaac_inference.ops.image.options import TENSOR_TYPES, WHOLE_TYPES, TensorLayout, option

_WIDE_TYPES = (np.dtype(np.float32), np.dtype(np.int32))  # a copy makes them of bytes


class TensorWriter:
    """Writes images into tensors: `out = (pixel * scale - mean) / std`, with channels swapped when asked.

    A pixel has 256 values, so the formula is evaluated once, in float64, for each of them; a frame is then a
    look-up. The writer owns its tables and scratch planes: nothing is allocated once a size was seen. One
    writer a thread.

    Args:
        swap: exchange the first and the last channel (BGR to RGB and back).
        scale: multiplies the 0..255 pixel values; 1 / 255 gives [0, 1].
        mean, std: one a channel, in the order of the OUTPUT's channels and in units after `scale`.
        layout: the tensor's.

    Raises:
        ConfigError: a value that isn't finite, a std of 0, or an unknown layout.

    Example: one pixel of BGR becomes planes of red, green and blue.
        >>> writer = TensorWriter(swap=True, scale=1 / 255)
        >>> tensor = np.empty((1, 3, 1, 1), np.float32)
        >>> writer.write(np.array([[[0, 51, 255]]], np.uint8), tensor)
        >>> [round(float(value), 3) for value in tensor.ravel()]
        [1.0, 0.2, 0.0]
    """

    def __init__(
        self,
        *,
        swap: bool,
        scale: float = 1.0,
        mean: Sequence[float] = (0.0, 0.0, 0.0),
        std: Sequence[float] = (1.0, 1.0, 1.0),
        layout: TensorLayout | str = TensorLayout.NCHW,
    ) -> None:
        _check_options(scale, mean, std)
        self._swap = swap
        self._layout = option(TensorLayout, layout, 'input layout')
        self._values = (np.arange(256.0) * scale)[:, None] - np.asarray(mean, np.float64)
        self._values /= np.asarray(std, np.float64)
        self._is_identity = bool((self._values == np.arange(256.0)[:, None]).all())
        self._tables: dict[np.dtype, np.ndarray] = {}
        self._planes: list[np.ndarray] = []
        self._swapped: np.ndarray | None = None

    def write(self, image: np.ndarray, out: np.ndarray) -> None:
        """Fills `out` from `image`.

        Args:
            image: (H, W, 3) uint8.
            out: (1, 3, H, W) for NCHW or (1, H, W, 3) for NHWC; float32, float16 or, for raw pixels, uint8
                or int32; written in place, kept by the caller; may be a part of a larger tensor (whole rows or parts of
                rows).

        Raises:
            FrameError: 'bad_tensor', when these two don't go together.

        Example:
            >>> tensor = np.empty((1, 1, 2, 3), np.uint8)
            >>> TensorWriter(swap=True, layout='NHWC').write(np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8), tensor)
            >>> tensor.tolist()
            [[[[3, 2, 1], [6, 5, 4]]]]
        """
        _check_tensor(image, out, self._layout)
        self._check_type(out.dtype)
        if self._layout is TensorLayout.NCHW:
            self._write_planar(image, out[0])
        else:
            self._write_interleaved(image, out[0])

    def fill_around(self, out: np.ndarray, rows: slice, columns: slice, pad_value: int) -> None:
        """Fills what of `out` lies outside a region with what a pixel of the pad value becomes.

        Args:
            out: (1, 3, H, W) for NCHW or (1, H, W, 3) for NHWC, written in place.
            rows, columns: the region, with start and stop, that is left as it is.
            pad_value: 0..255.

        Example:
            >>> tensor = np.zeros((1, 3, 3, 2), np.uint8)
            >>> TensorWriter(swap=False).fill_around(tensor, slice(1, 2), slice(0, 2), 9)
            >>> tensor[0, 0].tolist()
            [[9, 9], [0, 0], [9, 9]]
        """
        planes = out[0] if self._layout is TensorLayout.NCHW else out[0].transpose(2, 0, 1)
        values = self._values[pad_value].astype(out.dtype)[:, None, None]
        for outside in (
            planes[:, : rows.start],
            planes[:, rows.stop :],
            planes[:, rows, : columns.start],
            planes[:, rows, columns.stop :],
        ):
            outside[...] = values

    def table(self, dtype: np.dtype) -> np.ndarray:
        """(3, 256) of `dtype`: what each pixel value becomes, one row an OUTPUT channel; not to be written to.

        Raises:
            FrameError: 'bad_tensor', as `write` does for that type.

        Example:
            >>> TensorWriter(swap=False, mean=(1.0, 0.0, 0.0)).table(np.dtype(np.float32))[:, :3].tolist()
            [[-1.0, 0.0, 1.0], [0.0, 1.0, 2.0], [0.0, 1.0, 2.0]]
        """
        self._check_type(dtype)
        return self._table(dtype)

    def _check_type(self, dtype: np.dtype) -> None:
        if dtype.name in WHOLE_TYPES and not self._is_identity:
            raise FrameError(
                'bad_tensor',
                f'input tensor: got {dtype} with scale, mean or std, expected none; set scale 1, mean 0, std 1',
            )

    def _write_planar(self, image: np.ndarray, out: np.ndarray) -> None:
        order = (2, 1, 0) if self._swap else (0, 1, 2)
        if out.dtype == np.uint8:
            cv2.split(image, [out[channel] for channel in order])
            return
        planes = self._scratch_planes(image.shape[:2])
        cv2.split(image, planes)
        for target, source in enumerate(order):
            if self._is_identity and out.dtype in _WIDE_TYPES:
                np.copyto(out[target], planes[source])
            else:
                _look_up(planes[source], self._table(out.dtype)[target], out[target])

    def _write_interleaved(self, image: np.ndarray, out: np.ndarray) -> None:
        if self._swap:
            image = self._swap_channels(image, out if out.dtype == np.uint8 else None)
        if out.dtype == np.uint8 or (self._is_identity and out.dtype in _WIDE_TYPES):
            np.copyto(out, image)
        else:
            _look_up(image, self._table(out.dtype).T[None], out)

    def _swap_channels(self, image: np.ndarray, target: np.ndarray | None) -> np.ndarray:
        if target is None:
            if self._swapped is None or self._swapped.shape != image.shape:
                self._swapped = np.empty(image.shape, np.uint8)
            target = self._swapped
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=target)

    def _scratch_planes(self, shape: tuple[int, ...]) -> list[np.ndarray]:
        if not self._planes or self._planes[0].shape != shape:
            self._planes = [np.empty(shape, np.uint8) for _ in range(3)]
        return self._planes

    def _table(self, dtype: np.dtype) -> np.ndarray:
        """(3, 256): what each pixel value becomes, one row an output channel."""
        if dtype not in self._tables:
            self._tables[dtype] = np.ascontiguousarray(self._values.T).astype(dtype)
        return self._tables[dtype]


def _look_up(image: np.ndarray, table: np.ndarray, out: np.ndarray) -> None:
    """`out = table[image]`; OpenCV has no float16 tables, but bits are bits, so 16-bit integers do."""
    if out.dtype == np.float16:
        table, out = table.view(np.uint16), out.view(np.uint16)
    cv2.LUT(image, np.ascontiguousarray(table), dst=out)


def _check_options(scale: float, mean: Sequence[float], std: Sequence[float]) -> None:
    if not math.isfinite(scale):
        raise ConfigError(f'scale: got {scale}, expected a finite number such as 1 or 1/255')
    for name, values in (('mean', mean), ('std', std)):
        if len(values) != 3 or not all(math.isfinite(value) for value in values):
            raise ConfigError(f'{name}: got {list(values)}, expected three finite numbers, one a channel')
    if 0.0 in std:
        raise ConfigError(f'std: got {list(std)}, expected no 0, since it divides; use 1 to leave a channel as it is')


def _check_tensor(image: np.ndarray, out: np.ndarray, layout: TensorLayout) -> None:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise FrameError('bad_tensor', f'image: got {image.dtype} {image.shape}, expected uint8 (H, W, 3)')
    height, width = image.shape[:2]
    expected = (1, 3, height, width) if layout is TensorLayout.NCHW else (1, height, width, 3)
    if out.shape != expected or out.dtype.name not in TENSOR_TYPES or out.strides[-1] != out.itemsize:
        raise FrameError(
            'bad_tensor',
            f'input tensor: got {out.dtype} {out.shape}, expected {expected} with its last axis in one piece, of '
            f'{", ".join(TENSOR_TYPES)} for layout {layout}; check size and layout in the model card',
        )
