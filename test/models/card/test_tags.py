# SPDX-License-Identifier: Apache-2.0
"""Tags in a card: where their corners are, and all that can be wrong."""

from __future__ import annotations

import numpy as np
import pytest

from isaac_inference.models.card.tags import tag_grid, tags

SQUARE = np.array([(-0.04, 0.04, 0.0), (0.04, 0.04, 0.0), (0.04, -0.04, 0.0), (-0.04, -0.04, 0.0)])
TAG = {'family': '36h11', 'id': 7, 'size': 0.08}
GRID = {'family': 'tag36h11', 'columns': 3, 'rows': 2, 'size': 0.08, 'gap': 0.02}


def test_a_tag_alone_is_about_the_origin_and_looks_along_z() -> None:
    (tag,) = tags([TAG])
    assert (tag.family, tag.id) == ('36h11', 7)
    np.testing.assert_allclose(tag.corners, SQUARE)


def test_a_tag_is_turned_about_fixed_axes_and_then_moved() -> None:
    (tag,) = tags([{**TAG, 'position': [0.2, 0.0, 0.1], 'rpy_deg': [90, 0, 90]}])
    # rolled by 90 degrees its y is up, and z looks along -y; yawed by 90, z looks along x, and its x along y
    np.testing.assert_allclose(
        tag.corners, [(0.2, -0.04, 0.14), (0.2, 0.04, 0.14), (0.2, 0.04, 0.06), (0.2, -0.04, 0.06)], atol=1e-12
    )


def test_opencv_prints_apriltags_the_other_way_up() -> None:
    (tag,) = tags([{**TAG, 'print': 'opencv'}])
    np.testing.assert_allclose(tag.corners, np.roll(SQUARE, 2, axis=0))
    (aruco,) = tags([{**TAG, 'family': '4x4_50', 'print': 'opencv'}])
    np.testing.assert_allclose(aruco.corners, SQUARE)


@pytest.mark.parametrize(
    'first_at, rows', [('top_left', [(0, 1, 2), (3, 4, 5)]), ('bottom_left', [(3, 4, 5), (0, 1, 2)])]
)
def test_a_grid_is_numbered_row_by_row(first_at: str, rows: list[tuple[int, ...]]) -> None:
    found = {tag.id: np.mean(tag.corners, axis=0) for tag in tag_grid({**GRID, 'first_at': first_at})}
    for y, row in zip((0.05, -0.05), rows, strict=True):
        for x, number in zip((-0.1, 0.0, 0.1), row, strict=True):
            np.testing.assert_allclose(found[number], (x, y, 0.0), atol=1e-12)


def test_a_grid_may_begin_with_another_id_and_lie_on_a_face() -> None:
    found = tag_grid({**GRID, 'first_id': 30, 'position': [0, 0, 0.3], 'rpy_deg': [0, 0, 90]})
    assert [tag.id for tag in found] == [30, 31, 32, 33, 34, 35]
    np.testing.assert_allclose(np.mean(found[0].corners, axis=0), (-0.05, -0.1, 0.3), atol=1e-12)
    np.testing.assert_allclose(np.array(found[0].corners)[:, 2], 0.3)


@pytest.mark.parametrize(
    'value, said',
    [
        (7, r'a list of tags such as \[\{family'),
        ([], 'a list of tags such as'),
        ([7], r'tag 0 7: keys and values'),
        ([{**TAG, 'family': '37h11'}], 'family: got .37h11., expected one of 36h11'),
        ([{**TAG, 'id': 587}], 'id: got 587, expected one below 587'),
        ([{**TAG, 'id': '7'}], "id: got '7', expected a whole number"),
        ([{**TAG, 'size': 80}], r'size: got 80, expected the side.*looks like millimetres \(0.08 m\)'),
        ([{**TAG, 'size': 0}], 'size: got 0, expected the side'),
        ([{**TAG, 'position': [1, 2]}], r'position: got \[1, 2\], expected three numbers in metres'),
        ([{**TAG, 'position': [200, 0, 0]}], 'three numbers in metres, none beyond 5'),
        ([{**TAG, 'rpy_deg': 'up'}], 'rpy_deg: got .up., expected three numbers in degrees'),
        ([{**TAG, 'print': 'mine'}], 'print: got .mine., expected one of family, opencv'),
        ([{'id': 7}], 'family, size must be given'),
        ([{**TAG, 'sise': 1}], "unknown key 'sise', known are family, id, size"),
        ([TAG, {'id': 'x', 'family': 'y'}], "tag 1 .*: size must be given; family: got 'y'.*; id: got 'x'"),
    ],
)
def test_wrong_tags_say_all_that_is_wrong(value: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        tags(value)


@pytest.mark.parametrize(
    'value, said',
    [
        ([], 'keys and values such as'),
        ({}, 'family, columns, rows, size, gap must be given'),
        ({**GRID, 'gap': -0.1}, 'gap: got -0.1, expected metres between'),
        ({**GRID, 'first_at': 'middle'}, 'first_at: got .middle., expected one of top_left, bottom_left'),
        ({**GRID, 'family': '16h5', 'columns': 6, 'rows': 6}, 'ids below 30.*these are 6 x 6 from id 0'),
        ({**GRID, 'first_id': 582}, 'ids below 587.*these are 3 x 2 from id 582'),
        ({**GRID, 'columns': 100, 'rows': 100}, 'at most 1000 tags'),
        ({**GRID, 'id': 3}, "unknown key 'id'"),
        ({'columns': 0, 'rows': 'a'}, "family, size, gap must be given; columns: got 0.*; rows: got 'a'"),
    ],
)
def test_wrong_grids_say_all_that_is_wrong(value: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        tag_grid(value)
