# SPDX-License-Identifier: Apache-2.0
"""The families of tags by name, and which way up a tag of each is."""

from __future__ import annotations

from dataclasses import dataclass

_COUNTS = (50, 100, 250, 1000)


@dataclass(frozen=True)
class TagFamily:
    """One set of tags.

    Attributes:
        name: such as '36h11' or '4x4_50'.
        dictionary: OpenCV's name of it, a constant of `cv2.aruco`.
        cells: black and white cells along a side, the border's two included.
        count: how many tags it has; ids are 0 to count - 1.
        is_apriltag: OpenCV has the pictures of these the other way up than those who made them.
    """

    name: str
    dictionary: str
    cells: int
    count: int
    is_apriltag: bool = False

    @property
    def code(self) -> str:
        """What families whose tags of the same id look the same have in common: '4x4' of '4x4_50' and '4x4_100'."""
        name, _, count = self.name.rpartition('_')
        return name if count.isdigit() else self.name


FAMILIES: dict[str, TagFamily] = {
    family.name: family
    for family in (
        *(
            TagFamily(name, f'DICT_APRILTAG_{name}', cells, count, True)
            for name, cells, count in (('36h11', 8, 587), ('36h10', 8, 2320), ('25h9', 7, 35), ('16h5', 6, 30))
        ),
        *(
            TagFamily(f'{n}x{n}_{count}', f'DICT_{n}X{n}_{count}', n + 2, count)
            for n in (4, 5, 6, 7)
            for count in _COUNTS
        ),
        TagFamily('aruco_original', 'DICT_ARUCO_ORIGINAL', 7, 1024),
    )
}
"""Every family that can be found, by name; AprilTag's are meant with the border that is one cell wide."""


def family_named(name: object) -> TagFamily:
    """The family of a name, however it is written: '36h11', 'tag36h11', 'DICT_APRILTAG_36h11', 'DICT_4X4_50'.

    Raises:
        ValueError: there is none; says which there are.

    Example:
        >>> family_named('tag36h11').name, family_named('DICT_4X4_50').name
        ('36h11', '4x4_50')
    """
    short = str(name).lower().removeprefix('dict_').removeprefix('apriltag_').removeprefix('tag')
    if not isinstance(name, str) or short not in FAMILIES:
        raise ValueError(f'one of {", ".join(FAMILIES)}')
    return FAMILIES[short]
