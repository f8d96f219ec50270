# SPDX-License-Identifier: Apache-2.0
"""The name, dtype and shape of one input or output tensor of a model."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class TensorSpec:
    """What a model says about one of its tensors.

    Attributes:
        name: the tensor's name in the model file.
        dtype: numpy's name for the element type, such as 'float32', 'uint8' or 'int64'.
        shape: one entry per dimension; None where the model leaves the size open (dynamic).
        axes: the file's own name of each dimension, such as 'batch_size' or 'height'; '' where it has none. () for a
            file that names none.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...]
    axes: tuple[str, ...] = field(default=(), compare=False, repr=False)

    @property
    def is_dynamic(self) -> bool:
        """True when at least one dimension is open."""
        return None in self.shape

    def shape_text(self) -> str:
        """The shape as text, open dimensions as '?': `[1, 3, ?, ?]`."""
        return shape_text(self.shape)

    def describe(self) -> str:
        """One line for messages and tables: `images: float32 [1, 3, 416, 416]`."""
        return f'{self.name}: {self.dtype} {self.shape_text()}'

    def accepts_shape(self, shape: tuple[int, ...]) -> bool:
        """True when `shape` has the right rank and equals every fixed dimension; open ones take 1 or more."""
        if shape == self.shape:
            return True
        if len(shape) != len(self.shape):
            return False
        return all(got == want if want is not None else got > 0 for got, want in zip(shape, self.shape, strict=True))


def shape_text(shape: tuple[int | None, ...]) -> str:
    """`(1, 3, None, None)` as `[1, 3, ?, ?]`."""
    return '[' + ', '.join('?' if size is None else str(size) for size in shape) + ']'
