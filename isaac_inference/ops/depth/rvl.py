# SPDX-License-Identifier: Apache-2.0
"""RVL, lossless compression of 16-bit depth: A. D. Wilson, "Fast Lossless Depth Image Compression", ISS 2017.

The pixels in row-major order are runs: how many zeros, how many others, then of each of the others the difference to
the one before it (zeros left out, 0 before the first). All numbers are of variable length: groups of 3 bits, the lowest
first, each in a nibble whose upper bit says that more follow; a difference d is written as 2d, or -2d - 1 where it is
negative. Nibbles fill 32-bit words from the upper end; the words are little-endian.
"""

from __future__ import annotations

import numpy as np

from isaac_inference.errors import FrameError

_MOST_NIBBLES = 11  # of a number of 32 bits


def decode_rvl(data: np.ndarray, count: int) -> np.ndarray:
    """Decodes the pixels of one image.

    Args:
        data: (n,) uint8, the words; what follows the last one that is needed is left alone.
        count: number of pixels.

    Returns:
        (count,) uint16.

    Raises:
        FrameError: 'bad_compressed_depth', where the data end too early or hold more pixels.

    Example: two zeros, then one pixel of 5, written as 10: the nibbles 2, 1, 0b1010 and 0b0001.
        >>> decode_rvl(np.array([0, 0, 0xA1, 0x21], np.uint8), 3).tolist()
        [0, 0, 5]
    """
    numbers = _numbers(data)
    places, lengths, firsts = _runs(numbers, count)
    total = int(lengths.sum())
    pixels = np.zeros(count, np.uint16)
    if total == 0:
        return pixels
    within = np.arange(total) - np.repeat(np.cumsum(lengths) - lengths, lengths)  # place in its run
    coded = numbers[np.repeat(firsts, lengths) + within]
    differences = (coded >> 1) ^ -(coded & 1)
    pixels[np.repeat(places, lengths) + within] = np.cumsum(differences).astype(np.uint16)  # modulo 65536
    return pixels


def _numbers(data: np.ndarray) -> np.ndarray:
    """(m,) int64: all numbers of variable length."""
    words = data[: data.size // 4 * 4].view('<u4')
    octets = words.astype('>u4').view(np.uint8)
    nibbles = np.empty(octets.size * 2, np.uint8)
    nibbles[0::2], nibbles[1::2] = octets >> 4, octets & 15
    lasts = np.flatnonzero(nibbles < 8)
    firsts = np.empty_like(lasts)
    firsts[:1], firsts[1:] = 0, lasts[:-1] + 1
    lengths = lasts - firsts + 1
    if lengths.size and lengths.max() > _MOST_NIBBLES:
        raise _bad('a number of more than 32 bits')
    groups = nibbles & 7
    numbers = groups[firsts].astype(np.int64)
    longer = np.flatnonzero(lengths > 1)
    for index in range(1, _MOST_NIBBLES):
        if not longer.size:
            break
        numbers[longer] |= groups[firsts[longer] + index].astype(np.int64) << 3 * index
        longer = longer[lengths[longer] > index + 1]
    return numbers


def _runs(numbers: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each run of pixels that are not 0: its first pixel, its length, its first number."""
    places, lengths, firsts = [], [], []
    pixel, at, end = 0, 0, numbers.size
    while pixel < count:
        if at + 1 >= end:
            raise _bad(f'the data end after {pixel} of {count} pixels')
        pixel += int(numbers[at])
        length = int(numbers[at + 1])
        places.append(pixel)
        lengths.append(length)
        firsts.append(at + 2)
        pixel += length
        at += 2 + length
    if pixel > count or at > end:
        raise _bad(f'got {pixel} pixels' if pixel > count else f'the data end before {count} pixels')
    return np.array(places, np.int64), np.array(lengths, np.int64), np.array(firsts, np.int64)


def _bad(what: str) -> FrameError:
    return FrameError(
        'bad_compressed_depth', f'compressed depth: RVL data that cannot be decoded ({what}); did it arrive whole?'
    )
