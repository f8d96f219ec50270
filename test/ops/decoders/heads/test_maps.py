# SPDX-License-Identifier: Apache-2.0
"""DetectNet_v2's and CenterNet's maps."""

from __future__ import annotations

import numpy as np
import pytest

from isaac_inference.errors import FrameError
from isaac_inference.ops.decoders.heads import centernet, detectnet

OPTIONS = {'input_wh': (64, 32), 'class_count': 2, 'score_threshold': 0.5}


def test_detectnet_reads_each_class_s_own_box() -> None:
    scores, boxes = np.zeros((2, 2, 4), np.float32), np.zeros((8, 2, 4), np.float32)
    scores[:, 1, 2] = 0.75, 0.625  # the point is 2 * 16 + 0.5, 1 * 16 + 0.5
    boxes[:, 1, 2] = 0.2, 0.4, 0.6, 0.8, 0, 0.1, 0.1, 0.2
    found = detectnet.decode({'scores': scores, 'boxes': boxes}, **OPTIONS)
    np.testing.assert_allclose(found.boxes, [[25.5, 2.5, 53.5, 44.5], [32.5, 13, 36, 23.5]], rtol=1e-6)
    assert (found.scores.tolist(), found.class_ids.tolist(), found.best_score) == ([0.75, 0.625], [0, 1], 0.75)


def test_detectnet_s_maps_belong_together() -> None:
    outputs = {'scores': np.zeros((2, 2, 4), np.float32), 'boxes': np.zeros((8, 4, 2), np.float32)}
    with pytest.raises(FrameError, match=r"'boxes': got \(8, 4, 2\), expected \(8, 2, 4\)"):
        detectnet.decode(outputs, **OPTIONS)
    with pytest.raises(FrameError, match=r"'scores': got \(3, 2, 4\), expected \(2, H, W\)"):
        detectnet.decode({**outputs, 'scores': np.zeros((3, 2, 4), np.float32)}, **OPTIONS)


def peaks(sizes: int = 2) -> dict[str, np.ndarray]:
    """Channels-first maps of 8 x 16 cells of 4 px: peaks of class 1 at (3, 5) and of class 0 at the edge, (0, 15)."""
    outputs = {
        'heatmap': np.zeros((2, 8, 16), np.float32),
        'sizes': np.ones((sizes, 8, 16), np.float32),
        'offsets': np.zeros((2, 8, 16), np.float32),
    }
    outputs['heatmap'][1, 2:5, 4:7] = 0.625
    outputs['heatmap'][1, 3, 5] = 0.75
    outputs['heatmap'][0, 0, 15] = 0.5
    outputs['heatmap'][0, 1, 15] = 0.375
    outputs['offsets'][:, 3, 5] = 0.25, 0.75
    outputs['sizes'][:2, 3, 5] = 2, 3
    return outputs


@pytest.mark.parametrize('channels_first', [True, False])
def test_centernet_reads_the_peaks(channels_first: bool) -> None:
    outputs = {role: a if channels_first else np.moveaxis(a, 0, -1).copy() for role, a in peaks().items()}
    found = centernet.decode(outputs, **OPTIONS)
    # centres (60, 0) with size (4, 4), and (5.25 * 4, 3.75 * 4) with size (8, 12)
    assert found.boxes.tolist() == [[58, -2, 62, 2], [17, 9, 25, 21]]
    assert (found.scores.tolist(), found.class_ids.tolist(), found.best_score) == ([0.5, 0.75], [0, 1], 0.75)


def test_centernet_without_offsets_takes_the_cell_s_centre() -> None:
    outputs = peaks()
    del outputs['offsets']
    assert centernet.decode(outputs, **OPTIONS).boxes.tolist() == [[60, 0, 64, 4], [18, 8, 26, 20]]


def test_four_distances_are_pixels_from_the_cell_s_corner() -> None:
    outputs = peaks(4)
    outputs['sizes'][:, 3, 5] = 1, 2, 3, 4
    assert centernet.decode(outputs, **OPTIONS).boxes.tolist() == [[59, -1, 61, 1], [19, 10, 23, 16]]


@pytest.mark.parametrize(('activation', 'score'), [('sigmoid', 0.75), ('softmax', 0.9)])
def test_centernet_s_heatmap_may_be_logits(activation: str, score: float) -> None:
    outputs = peaks()
    outputs['heatmap'][:] = -9
    outputs['heatmap'][1, 3, 5] = np.log(3) if activation == 'sigmoid' else -9 + np.log(9)
    found = centernet.decode(outputs, **{**OPTIONS, 'score_threshold': 0.6}, activation=activation)
    assert found.scores.tolist() == pytest.approx([score])


@pytest.mark.parametrize(
    ('change', 'says'),
    [
        ({'heatmap': np.zeros((3, 8, 16), np.float32)}, r"'heatmap': got \(3, 8, 16\), expected \(2, H, W\) or"),
        ({'sizes': np.zeros((2, 16, 8), np.float32)}, r"'sizes': got \(2, 16, 8\), expected \(2, H, W\)"),
        ({'offsets': np.zeros((3, 8, 16), np.float32)}, r"'offsets': got \(3, 8, 16\)"),
        ({'heatmap': np.zeros((8, 16, 2), np.float32)}, 'all maps alike'),
        ({'sizes': np.zeros((2, 8), np.float32)}, r"'sizes': got \(2, 8\)"),
    ],
)
def test_centernet_s_maps_belong_together(change: dict, says: str) -> None:
    with pytest.raises(FrameError, match=says):
        centernet.decode({**peaks(), **change}, **OPTIONS)
