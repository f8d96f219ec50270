# SPDX-License-Identifier: Apache-2.0
"""Finds printed tags in a grey image: OpenCV reads their bits, `corners.py` measures their corners."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from isaac_inference.errors import ConfigError
from isaac_inference.ops.tags.corners import edge_corners
from isaac_inference.ops.tags.families import TagFamily

_SAME_PLACE = 0.5  # of a side: two of one id closer than this are one tag, found twice
_Detect = Callable[[np.ndarray], tuple[Any, Any, Any]]


@dataclass(frozen=True)
class TagSettings:
    """What is taken for a tag.

    Attributes:
        min_side_px: tags whose mean side is shorter are left out, px; below some 20 px few are read, and with errors.
        min_contrast: grey levels between the tag's border and the paper around it, at least.
        correct_bits: how many of the bits that a family can correct are corrected, 0 to 1; a bit more finds more tags
            in bad light, and more that are none.
    """

    min_side_px: float = 16.0
    min_contrast: float = 20.0
    correct_bits: float = 0.5


@dataclass(frozen=True, eq=False)
class SeenTag:
    """One tag in an image.

    Attributes:
        family: its name.
        id: its number.
        corners: (4, 2) float64 px, edge-based: top left, top right, bottom right and bottom left of the tag as it is
            printed by those who made its family.
        side: mean length of its sides in px.
    """

    family: str
    id: int
    corners: np.ndarray
    side: float


class TagDetector:
    """Finds the tags of some families.

    Example: a tag whose top left corner is at (40, 40), of 84 px.
        >>> from isaac_inference.ops.tags.families import FAMILIES
        >>> gray = np.full((160, 160), 255, np.uint8)
        >>> dictionary = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_4X4_50)
        >>> gray[40:124, 40:124] = cv2.aruco.generateImageMarker(dictionary, 7, 84)
        >>> (tag,), left_out = TagDetector([FAMILIES['4x4_50']])(gray)
        >>> tag.id, tag.corners.round(1).tolist(), left_out
        (7, [[40.0, 40.0], [124.0, 40.0], [124.0, 124.0], [40.0, 124.0]], {})
    """

    def __init__(self, families: Iterable[TagFamily], settings: TagSettings | None = None) -> None:
        """Prepare.

        Args:
            families: to look for; each is a search of its own.
            settings: what is taken for a tag.

        Raises:
            ConfigError: OpenCV has no `aruco` module, or not this family.
        """
        self._settings = settings or TagSettings()
        self._searches = [(family, _search(family, self._settings)) for family in families]

    def __call__(self, gray: np.ndarray) -> tuple[list[SeenTag], dict[str, int]]:
        """The tags in an image, (H, W) uint8, by family and id, and how many were left out, by reason.

        Reasons: 'tag_small' (shorter than `min_side_px`), 'tag_edges' (an edge cannot be measured: too little contrast
        or paper around it, or something covers it).
        """
        found: list[SeenTag] = []
        left_out: dict[str, int] = {}
        for family, search in self._searches:
            corners, ids, _ = search(gray)
            if ids is None or not len(ids):
                continue
            rough = np.asarray(corners, np.float64).reshape(-1, 4, 2)
            sides = np.linalg.norm(np.roll(rough, -1, axis=1) - rough, axis=2).mean(axis=1)
            cells = np.full(len(rough), family.cells)
            exact, measured = edge_corners(gray, rough, cells, self._settings.min_contrast)
            small = sides < self._settings.min_side_px
            for reason, where in (('tag_small', small), ('tag_edges', ~measured & ~small)):
                if where.any():
                    left_out[reason] = left_out.get(reason, 0) + int(where.sum())
            turned = 2 if family.is_apriltag else 0
            exact = np.roll(exact + 0.5, turned, axis=1)  # from middles of pixels to their edges
            for index in np.flatnonzero(measured & ~small):
                tag = SeenTag(family.name, int(np.ravel(ids)[index]), exact[index], float(sides[index]))
                if not any(_is_same(tag, other) for other in found):
                    found.append(tag)
        return sorted(found, key=lambda tag: (tag.family, tag.id)), left_out


def _is_same(tag: SeenTag, other: SeenTag) -> bool:
    if (tag.family, tag.id) != (other.family, other.id):
        return False
    apart = np.linalg.norm(tag.corners.mean(axis=0) - other.corners.mean(axis=0))
    return bool(apart < _SAME_PLACE * min(tag.side, other.side))


def _search(family: TagFamily, settings: TagSettings) -> _Detect:
    """OpenCV's search for one family: 4.7 and later have a class for it, earlier ones functions of opencv_contrib."""
    dictionary, aruco = _dictionary(family), cv2.aruco
    is_new = hasattr(aruco, 'ArucoDetector')
    parameters = aruco.DetectorParameters() if is_new else aruco.DetectorParameters_create()  # type: ignore[attr-defined]
    parameters.cornerRefinementMethod = aruco.CORNER_REFINE_NONE
    parameters.errorCorrectionRate = settings.correct_bits
    if is_new:
        detect: _Detect = aruco.ArucoDetector(dictionary, parameters).detectMarkers
        return detect
    return lambda gray: aruco.detectMarkers(gray, dictionary, parameters=parameters)  # type: ignore[attr-defined]


def _dictionary(family: TagFamily) -> Any:
    aruco = getattr(cv2, 'aruco', None)
    if aruco is None or not (hasattr(aruco, 'ArucoDetector') or hasattr(aruco, 'detectMarkers')):
        raise ConfigError(
            f'tags: OpenCV {cv2.__version__} has no module aruco that finds tags; use OpenCV 4.7 or later '
            '(pip install opencv-python-headless), or an earlier one with its contrib modules, as the python3-opencv '
            'of Ubuntu 22.04 and Debian 12 has them'
        )
    number = getattr(aruco, family.dictionary, None)
    if number is None:
        raise ConfigError(f'tags: OpenCV {cv2.__version__} has no family {family.name} ({family.dictionary})')
    get = getattr(aruco, 'getPredefinedDictionary', None) or aruco.Dictionary_get
    return get(number)
