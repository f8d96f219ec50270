# SPDX-License-Identifier: Apache-2.0
"""How stereo pairs are matched."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from isaac_inference.errors import ConfigError

MULTIPLE = 16  # OpenCV's SGBM takes numbers of disparities that are multiples of it
MOST = 2048  # disparities
_SHARE = 5  # of the image's width: the range that is searched where nothing is set


class MatchMode(str, Enum):
    """Along how many paths the costs are summed: the more, the slower."""

    FAST = 'fast'  # three paths
    BALANCED = 'balanced'  # four paths, over two and a half times the time of three
    FULL = 'full'  # eight paths


@dataclass(frozen=True)
class StereoSettings:
    """Settings of semi-global matching (Hirschmueller, "Stereo Processing by Semiglobal Matching and Mutual
    Information", PAMI 2008), as OpenCV has it.

    Attributes:
        disparities: px, how many are searched, beginning at infinity; 0 is a fifth of the image's width. Rounded up to
            a multiple of 16.
        block: px, odd, side of the window that is compared.
        mode: paths.
        smoothness: factor on the penalties for steps of one pixel and of more; they grow with the window and the
            number of channels.
        uniqueness: percent by which the best match must be better than the next.
        speckle_size: px, smaller islands of their own disparity are dropped; 0 keeps all.
        speckle_range: px, a step of more is an island's shore.
        max_difference: px, by how much the match from the right image may differ; below 0 the check is left out, which
            halves the time and leaves wrong disparities beside near edges.
        min_correlation: -1..1, of the two images around a match; matches with less are dropped: on plain surfaces both
            sides agree on what is wrong. -1 keeps all.
        min_confidence: 0..1, matches with less are dropped: lonely ones are the most wrong (see `Disparity`).
        fill: whether pixels without a match get the farther one of their neighbours in the row. For looking at, not
            for measuring: what is filled in has confidence 0.
    """

    disparities: int = 0
    block: int = 5
    mode: MatchMode = MatchMode.FAST
    smoothness: float = 1.0
    uniqueness: int = 5
    speckle_size: int = 100
    speckle_range: float = 2.0
    max_difference: float = 1.0
    min_correlation: float = 0.4
    min_confidence: float = 0.35
    fill: bool = False

    def __post_init__(self) -> None:
        if self.block < 1 or self.block % 2 == 0:
            raise ConfigError(f'block: got {self.block}, expected an odd number of pixels, such as 5')
        if not 0 <= self.disparities <= MOST:
            raise ConfigError(f'disparities: got {self.disparities}, expected 0 to {MOST}')

    def range_for(self, width: int) -> int:
        """How many disparities are searched in images of that width.

        Example:
            >>> StereoSettings().range_for(640), StereoSettings(disparities=100).range_for(640)
            (128, 112)
        """
        wanted = self.disparities or width // _SHARE
        return min(MOST, max(1, -(-wanted // MULTIPLE)) * MULTIPLE)
