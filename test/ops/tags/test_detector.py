# SPDX-License-Identifier: Apache-2.0
"""Finding tags: which they are, which way up, and what OpenCV must have."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from support.scenes.tag_boards import draw, facing, grid

from isaac_inference.errors import ConfigError
from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ops.tags.detector import TagDetector, TagSettings
from isaac_inference.ops.tags.families import FAMILIES, TagFamily, family_named

CAMERA = CameraModel(640, 480, np.array([[600.0, 0.0, 319.5], [0.0, 600.0, 239.5], [0.0, 0.0, 1.0]]))
# The first tag of 36h11 as the family's makers define it: bits row by row from the top left, 1 is white.
CODE_36H11_0 = 0xD5D628584


def printed(cells: np.ndarray, cell_px: int = 12, margin: int = 40) -> np.ndarray:
    """Cells (N, N) of 0 and 1 with a black border, on white paper."""
    border = np.pad(cells, 1)
    return np.pad(np.kron(border * 255, np.ones((cell_px, cell_px))), margin, constant_values=255).astype(np.uint8)


@pytest.mark.parametrize('family', FAMILIES.values(), ids=str)
def test_opencv_has_every_family_as_the_table_says(family: TagFamily) -> None:
    dictionary = cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, family.dictionary))
    assert dictionary.markerSize + 2 == family.cells
    assert len(dictionary.bytesList) == family.count


@pytest.mark.parametrize('name', ['36h11', 'tag36h11', 'DICT_APRILTAG_36h11', 'Tag36h11'])
def test_a_family_has_several_names(name: str) -> None:
    assert family_named(name).name == '36h11'


@pytest.mark.parametrize('name', ['37h11', '', 36, None])
def test_no_family(name: object) -> None:
    with pytest.raises(ValueError, match='36h11, 36h10, 25h9, 16h5, 4x4_50'):
        family_named(name)


def test_an_apriltag_is_upright_as_its_makers_print_it() -> None:
    """OpenCV has them the other way up."""
    bits = np.array([CODE_36H11_0 >> (35 - index) & 1 for index in range(36)]).reshape(6, 6)
    (tag,), left_out = TagDetector([FAMILIES['36h11']])(printed(bits))
    assert (tag.family, tag.id, left_out) == ('36h11', 0, {})
    np.testing.assert_allclose(tag.corners, [(40, 40), (136, 40), (136, 136), (40, 136)], atol=0.05)


def test_an_aruco_tag_is_upright_as_opencv_draws_it() -> None:
    picture = np.full((180, 180), 255, np.uint8)
    dictionary = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_5X5_100)
    picture[40:138, 40:138] = cv2.aruco.generateImageMarker(dictionary, 3, 98)
    (tag,), _ = TagDetector([FAMILIES['5x5_100']])(picture)
    assert tag.id == 3
    np.testing.assert_allclose(tag.corners, [(40, 40), (138, 40), (138, 138), (40, 138)], atol=0.05)


def test_several_families_are_found_in_one_picture() -> None:
    picture = np.full((200, 400), 255, np.uint8)
    for x, name, number in ((40, 'DICT_4X4_50', 7), (220, 'DICT_6X6_250', 99)):
        dictionary = cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, name))
        picture[40:160, x : x + 120] = cv2.aruco.generateImageMarker(dictionary, number, 120)
    tags, _ = TagDetector([FAMILIES['4x4_50'], FAMILIES['6x6_250']])(picture)
    assert [(tag.family, tag.id) for tag in tags] == [('4x4_50', 7), ('6x6_250', 99)]


def test_a_small_tag_is_left_out_and_counted() -> None:
    picture = draw(grid(1, 1, 0.03, 0.0), facing((0.0, 0.0, 0.5)), CAMERA)  # 36 px
    assert len(TagDetector([FAMILIES['36h11']])(picture)[0]) == 1
    tags, left_out = TagDetector([FAMILIES['36h11']], TagSettings(min_side_px=50.0))(picture)
    assert (tags, left_out) == ([], {'tag_small': 1})


def test_a_tag_beyond_the_edge_of_the_picture_is_not_found() -> None:
    tags = grid(3, 1, 0.05, 0.02)
    found, _ = TagDetector([FAMILIES['36h11']])(draw(tags, facing((0.17, 0.0, 0.4)), CAMERA))
    assert [tag.id for tag in found] == [0, 1]


def test_what_opencv_lacks_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, 'aruco', SimpleNamespace(__name__='aruco'))
    with pytest.raises(ConfigError, match=r'no module aruco that finds tags; use OpenCV 4.7 or later'):
        TagDetector([FAMILIES['36h11']])
    monkeypatch.delattr(cv2, 'aruco')
    with pytest.raises(ConfigError, match='contrib modules'):
        TagDetector([FAMILIES['36h11']])


@pytest.mark.parametrize('get', ['getPredefinedDictionary', 'Dictionary_get'])
def test_the_functions_of_an_older_opencv_do_as_well(monkeypatch: pytest.MonkeyPatch, get: str) -> None:
    real = cv2.aruco
    picture = draw(grid(2, 1, 0.05, 0.02), facing((0.0, 0.0, 0.4)), CAMERA)
    expected, _ = TagDetector([FAMILIES['36h11']])(picture)

    def detect(gray: np.ndarray, dictionary: Any, parameters: Any) -> Any:
        return real.ArucoDetector(dictionary, parameters).detectMarkers(gray)

    functions: dict[str, Callable[..., Any]] = {get: real.getPredefinedDictionary}
    old = SimpleNamespace(
        DICT_APRILTAG_36h11=real.DICT_APRILTAG_36h11,
        CORNER_REFINE_NONE=real.CORNER_REFINE_NONE,
        DetectorParameters_create=real.DetectorParameters,
        detectMarkers=detect,
        **functions,
    )
    monkeypatch.setattr(cv2, 'aruco', old)
    found, _ = TagDetector([FAMILIES['36h11']])(picture)
    assert [tag.id for tag in found] == [tag.id for tag in expected] == [0, 1]
    with pytest.raises(ConfigError, match='no family 16h5'):
        TagDetector([FAMILIES['16h5']])
