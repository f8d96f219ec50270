# SPDX-License-Identifier: Apache-2.0
"""Samples of 10 and 12 bits without gaps between them: the upper 8 bits of each.

GenICam's two ways (PFNC 2.4, pixel packing): 'p' is a bit stream, the lowest bit of each sample first. 'Packed', from
GigE Vision, puts two samples into three bytes: the upper 8 bits of the first, the low bits of both, the upper 8 bits of
the second.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Packing:
    """How samples follow each other.

    Attributes:
        bits: of a sample.
        is_stream: whether it is GenICam's 'p'; else 'Packed'.
    """

    bits: int
    is_stream: bool

    def row_bytes(self, samples: int) -> int:
        """Bytes that a row of so many samples takes, the last one filled up."""
        return -(-samples * (self.bits if self.is_stream else 12) // 8)

    def group(self) -> tuple[list[tuple[int, int]], int]:
        """(byte, bit) at which the upper 8 bits of each sample of a group begin, and the group's length in bytes."""
        if not self.is_stream:
            return [(0, 0), (2, 0)], 3
        samples = 4 if self.bits == 10 else 2  # until the next one begins with a byte
        return [divmod((index + 1) * self.bits - 8, 8) for index in range(samples)], samples * self.bits // 8


PACKINGS = {
    '10p': Packing(10, True),
    '12p': Packing(12, True),
    '10packed': Packing(10, False),
    '12packed': Packing(12, False),
}


def unpack_upper(rows: np.ndarray, width: int, packing: Packing) -> np.ndarray:
    """The upper 8 bits of each sample.

    Args:
        rows: (H, n) uint8, n at least `packing.row_bytes(width)`.
        width: samples in a row.
        packing: how they lie there.

    Returns:
        (H, width) uint8.

    Example: 0xABC and 0x123 as 12p.
        >>> row = np.array([[0xBC, 0x3A, 0x12]], np.uint8)
        >>> [hex(value) for value in unpack_upper(row, 2, PACKINGS['12p'])[0].tolist()]
        ['0xab', '0x12']
    """
    places, group_bytes = packing.group()
    out = np.empty((rows.shape[0], width), np.uint8)
    for first, (byte, shift) in enumerate(places[:width]):
        target = out[:, first :: len(places)]
        low = rows[:, byte::group_bytes][:, : target.shape[1]]
        if shift == 0:
            target[:] = low
        else:
            high = rows[:, byte + 1 :: group_bytes][:, : target.shape[1]]
            np.bitwise_or(low >> shift, high << (8 - shift), out=target)
    return out
