# SPDX-License-Identifier: Apache-2.0
"""What travels with a batch of crops, over the wire and back; and what is not believed."""

from __future__ import annotations

import numpy as np
import pytest
from support.ros.probe import image_message

from isaac_inference.errors import FrameError
from isaac_inference.ops.image.crop import crop_of
from isaac_inference.ros.messages.crops import CROPS, CROPS_OF, CropRows, is_of_crops, read_crop_rows
from isaac_inference.ros.messages.tensors import SOURCE_SIZE, TensorFrame, from_tensor_list, to_tensor_list

BOXES = np.array([[10.0, 20.0, 30.5, 60.25], [600.0, 400.0, 640.0, 480.0]])


def two() -> CropRows:
    crops = tuple(crop_of(box, (640, 480), (48, 64), 1.25) for box in BOXES)
    return CropRows(5, (3, 0), BOXES, crops, (640, 480))


def on_the_wire(auxiliary):
    frame = TensorFrame(image_message().header, {'image': np.zeros((2, 3, 4, 4), np.float32)}, auxiliary)
    return from_tensor_list(to_tensor_list(frame)).auxiliary


@pytest.mark.parametrize('way', [dict, on_the_wire], ids=['by reference', 'over the wire'])
@pytest.mark.parametrize('rows', [two(), CropRows(0), CropRows(4), CropRows(4, source_wh=(640, 480))])
def test_it_is_read_as_it_was_written(way, rows):
    auxiliary = way(rows.auxiliary())
    assert is_of_crops(auxiliary)
    found = read_crop_rows(auxiliary)
    assert (found.detections, found.rows, found.letterboxes, found.source_wh) == (
        rows.detections,
        rows.rows,
        rows.letterboxes,
        rows.source_wh,
    )
    np.testing.assert_array_equal(found.boxes, rows.boxes)


def test_a_whole_image_is_none():
    assert not is_of_crops({'letterbox': np.zeros(8)})


@pytest.mark.parametrize(
    ('changed', 'said'),
    [
        ({CROPS_OF: None}, 'crops_of is missing'),
        ({'letterbox': None}, 'letterbox is missing'),
        ({CROPS: np.zeros((2, 4))}, r'crops is float64 \[2, 4\]'),
        ({CROPS: np.full((2, 5), np.nan)}, 'finite numbers'),
        ({CROPS: np.zeros((3, 5))}, 'for 3 crops'),
        ({CROPS_OF: np.array([5, 5])}, r'crops_of is \[2\]'),
        ({CROPS_OF: np.array([3])}, r'of detections \[3, 0\] of 3'),
        ({CROPS: np.zeros((2, 5))}, r'of detections \[0, 0\] of 5'),
        ({CROPS: np.full((2, 5), -1.0)}, r'of detections \[-1, -1\]'),
        ({SOURCE_SIZE: np.array([1.5, 2.0])}, 'source_size is float64'),
    ],
)
def test_what_contradicts_itself_costs_the_frame(changed, said):
    auxiliary = {**two().auxiliary(), **changed}
    auxiliary = {name: array for name, array in auxiliary.items() if array is not None}
    with pytest.raises(FrameError, match=f'crops: .*{said}') as caught:
        read_crop_rows(auxiliary)
    assert caught.value.reason == 'bad_crops'


def test_crops_of_images_of_different_size():
    crops = [crop_of(box, size, (48, 64)) for box, size in zip(BOXES, ((640, 480), (1280, 960)), strict=True)]
    with pytest.raises(FrameError, match='of images of different size'):
        read_crop_rows({**two().auxiliary(), 'letterbox': np.array([crop.to_array() for crop in crops])})


def test_a_letterbox_that_is_none():
    with pytest.raises(FrameError) as caught:
        read_crop_rows({**two().auxiliary(), 'letterbox': np.zeros((2, 8))})
    assert caught.value.reason == 'bad_letterbox'
