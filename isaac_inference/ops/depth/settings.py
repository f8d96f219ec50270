# SPDX-License-Identifier: Apache-2.0
"""What decides in depth without a model: which points are the object's, and where its centre is."""

from __future__ import annotations

from dataclasses import dataclass

from isaac_inference.ops.setting_ranges import require


@dataclass(frozen=True)
class DepthSettings:
    """Lengths are in metres, shares 0 to 1.

    Attributes:
        min_points: fewer depth pixels than this are no object: a plane and its noise take as many to be told.
        samples: about so many depth pixels of a box are looked at, every n-th of a larger one: a hundredth of an
            object's side is as fine as its outline is in depth.
        depth_error: standard deviation of the camera's scale error, m per m: what every pixel of an image shares.
        gap: two pixels side by side, 1 m away, lie on one surface up to this difference in depth; grows with the
            distance, as the resolution of depth cameras does.
        central: part of the box's width and height that counts as its middle: a detector's box is centred on its
            object.
        significant: a surface with this share of the middle's points may be the object.
        support_band: what is this close to the supporting plane, 1 m away, belongs to it at most; noise may allow less.
        support_share: a plane through this share of the points around a box is what the object stands on.
        reach: two surfaces without a known size may be one object's up to this distance, over the longer side of the
            box at theirs: some things are deeper than they look wide.
        outside: a surface that is as dense outside a side of the box as this share of its density inside goes on there,
            and is something else than the object.
        unseen: standard deviation of the depth of an object's centre behind that of its visible part where its size is
            not known, as a part of how large it looks.
        box_error: standard deviation of a detection box's edge, as a part of the box's side.
        size_error: standard deviation of the card's sizes, as a part of them.
        nearest: m; no depth camera sees nearer.
        max_ratio: a box that is so many times, squared, what an object of the card's size can show contradicts it
            whatever else is seen: less than any two units are apart.
        max_misfit: mean square of what depth shows against the best place of an object of the card's size; a tapered or
            curved object reaches 1, one that is twice as large 2 and more.
        min_extent: the box of an object that is seen whole is at least this part of what its cuboid would show.
        min_part: the same of an object that is partly hidden or outside the image.

    Raises:
        ConfigError: a value outside its range.
    """

    min_points: int = 30
    samples: int = 2000
    depth_error: float = 0.005
    gap: float = 0.015
    central: float = 0.5
    significant: float = 0.15
    support_band: float = 0.008
    support_share: float = 0.3
    reach: float = 1.6
    outside: float = 0.5
    unseen: float = 0.3
    box_error: float = 0.015
    size_error: float = 0.03
    nearest: float = 0.02
    max_ratio: float = 1.6
    max_misfit: float = 1.8
    min_extent: float = 0.47
    min_part: float = 0.16

    def __post_init__(self) -> None:
        shares = ('central', 'significant', 'support_share', 'min_extent', 'min_part')
        counts = ('min_points', 'samples')
        above = ('gap', 'support_band', 'reach', 'nearest', 'max_misfit')
        require(self, 'depth', shares, high=1.0)
        require(self, 'depth', counts, 1)
        require(self, 'depth', above, above=True)
        require(self, 'depth', ('max_ratio',), 1.0)
        require(self, 'depth', ('depth_error', 'outside', 'unseen', 'box_error', 'size_error'))


DEFAULT = DepthSettings()
