# SPDX-License-Identifier: Apache-2.0
"""From a picture to keypoints in its px, through files: networks that find coloured spots, and rows of numbers."""

from __future__ import annotations

import numpy as np
import pytest
from support.onnx_models.constant import write_constant
from support.onnx_models.joints import spots_picture, write_heatmaps, write_simcc

from isaac_inference.models import read_card
from isaac_inference.ops.image.letterbox import Letterbox
from isaac_inference.ops.image.options import ColorOrder
from isaac_inference.stages import Postprocessor, Preprocessor
from isaac_inference.stages.keypoints.decoder import TopDownDecoder

RNG = np.random.default_rng(28)


def outputs_of(card, tensors):
    """One run of the card's file."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(card.path), providers=['CPUExecutionProvider'])
    return dict(zip((spec.name for spec in card.outputs), session.run(None, tensors), strict=True))


def pictures(count, size_wh, sigma, margin):
    """Places (count, 3, 2) of spots and the pictures of them."""
    places = RNG.uniform((margin, margin), (size_wh[0] - margin, size_wh[1] - margin), (count, 3, 2))
    return places, [spots_picture(size_wh, item, sigma) for item in places]


def in_source(card, images):
    """(N, 3, 3): keypoints of pictures in their px, by one run on all of them."""
    preprocessor = Preprocessor(card)
    fed = [preprocessor(image, ColorOrder.RGB) for image in images]
    name = card.image.tensor.name
    found = TopDownDecoder(card).decode(outputs_of(card, {name: np.concatenate([item[0][name] for item in fed])}))
    for keypoints, (_, letterbox) in zip(found, fed, strict=True):
        keypoints[:, :2] = letterbox.points_to_source(keypoints[:, :2])
    return found


@pytest.mark.parametrize('grid', ['scaled', 'corners', 'cells'])
@pytest.mark.parametrize(
    ('input_wh', 'cells_wh'),
    [((96, 128), (24, 32)), ((144, 96), (48, 32)), ((105, 63), (35, 21)), ((130, 65), (26, 13))],  # strides 4, 3, 3, 5
)
@pytest.mark.parametrize('size_wh', [(333, 181), (200, 250)])
def test_spots_are_where_heatmaps_say(tmp_path, grid, input_wh, cells_wh, size_wh):
    path = write_heatmaps(tmp_path / 'm.onnx', input_wh, cells_wh, grid)
    path.with_suffix('.yaml').write_text(
        f'outputs: {{heatmaps: heatmaps}}\nkeypoints: {{grid: {grid}}}\npreprocess: {{convention: mediapipe}}'
    )
    shown = max(size_wh[0] / input_wh[0], size_wh[1] / input_wh[1])  # px of the picture for one of the input
    places, images = pictures(4, size_wh, sigma=5 * shown, margin=16 * shown)
    found = in_source(read_card(path), images)
    assert found.shape == (4, 3, 3)
    error = np.abs(found[..., :2] - places).max()
    assert error < 0.15 * shown  # of a cell of several px; what a picture of whole numbers allows
    assert (found[..., 2] > 0.7).all()
    other = 'scaled' if grid != 'scaled' else 'cells'
    path.with_suffix('.yaml').write_text(
        f'outputs: {{heatmaps: heatmaps}}\nkeypoints: {{grid: {other}}}\npreprocess: {{convention: mediapipe}}'
    )
    assert np.abs(in_source(read_card(path), images)[..., :2] - places).max() > 0.5 * shown


@pytest.mark.parametrize('ratio', [1, 2, 3])
@pytest.mark.parametrize('input_wh', [(96, 128), (131, 77)])
def test_spots_are_where_histograms_say(tmp_path, ratio, input_wh):
    path = write_simcc(tmp_path / 'm.onnx', input_wh, ratio)
    path.with_suffix('.yaml').write_text('preprocess: {convention: mediapipe}')
    size_wh = (300, 200)
    shown = max(size_wh[0] / input_wh[0], size_wh[1] / input_wh[1])
    places, images = pictures(4, size_wh, sigma=4 * shown, margin=5 * shown)
    card = read_card(path)
    assert dict(card.spec.roles) == {'x': 'simcc_x', 'y': 'simcc_y'} and card.dynamic_batch
    found = in_source(card, images)
    assert np.abs(found[..., :2] - places).max() < 0.6 * shown  # these histograms are no finer than a px
    assert (found[..., 2] > 0.7).all()


def test_movenet_for_several_people_in_px_of_a_picture_that_is_not_square(tmp_path):
    size_wh, input_wh = (640, 360), (320, 192)
    letterbox = Letterbox.between(size_wh, input_wh, 'letterbox', 'center', 'floor')
    keypoints = RNG.uniform((0, 0), size_wh, (2, 17, 2))
    boxes = np.array([[20.0, 30.0, 200.0, 340.0], [300.0, 10.0, 500.0, 350.0]])
    rows = np.zeros((1, 6, 56), np.float32)
    for row, points, box, score in zip(rows[0], keypoints, boxes, (0.9, 0.6), strict=False):
        fractions = letterbox.points_to_input(points) / input_wh
        row[0:51:3], row[1:51:3], row[2:51:3] = fractions[:, 1], fractions[:, 0], 0.7
        row[51:55] = (letterbox.points_to_input(box.reshape(2, 2)) / input_wh)[:, ::-1].ravel()
        row[55] = score
    image = ('input', 'int32', (1, None, None, 3))
    path = write_constant(tmp_path / 'm.onnx', {'output_0': rows}, image=image, producer='tf2onnx')
    path.with_suffix('.yaml').write_text('input_size: [320, 192]')
    card = read_card(path)
    tensors, made = Preprocessor(card)(np.full((*size_wh[::-1], 3), 90, np.uint8))
    assert made == letterbox and tensors['input'].shape == (1, 192, 320, 3) and tensors['input'].dtype == np.int32
    found = Postprocessor(card)(outputs_of(card, tensors), made)
    np.testing.assert_allclose(found.boxes, boxes, atol=0.01)
    np.testing.assert_allclose(found.keypoints[..., :2], keypoints, atol=0.01)
    np.testing.assert_allclose(found.keypoints[..., 2], 0.7, atol=1e-6)
