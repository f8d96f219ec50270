# SPDX-License-Identifier: Apache-2.0
"""Makes the pictures of docs/tasks.md and docs/people.md from the simulator: masks of the demo model, stereo depth,
filled holes, and skeletons of true keypoints.

python docs/make_task_pictures.py
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from isaac_inference.engines import create_engine
from isaac_inference.models import read_card
from isaac_inference.models.card.skeletons.published import COCO_17
from isaac_inference.models.demo import demo_model
from isaac_inference.ops.depth.dense.complete import complete_depth
from isaac_inference.ops.drawing.depth import color_map
from isaac_inference.ops.drawing.masks import fill_masks
from isaac_inference.ops.drawing.skeletons import draw_skeleton
from isaac_inference.ops.stereo.matcher import StereoMatcher
from isaac_inference.sim import Scene, default_camera
from isaac_inference.sim.completion import completion_sample
from isaac_inference.sim.people import PeopleScene
from isaac_inference.sim.stereo import stereo_sample
from isaac_inference.stages import Postprocessor, Preprocessor

FOLDER = Path(__file__).parent
SEEDS = (12, 4, 23)
PEOPLE = (1, 12)
QUALITY = [cv2.IMWRITE_JPEG_QUALITY, 88]


def main() -> None:
    """All four."""
    _save('masks', [_masks(seed) for seed in (SEEDS[0], SEEDS[1])])
    pair = stereo_sample(SEEDS[1])
    found = StereoMatcher()(pair.left, pair.right)
    baseline = float(pair.T_left_right.translation[0])
    depth = (pair.left_camera.K[0, 0] * baseline / found.pixels).astype(np.float32)
    _save('stereo', [pair.left, color_map(depth)])
    sample = completion_sample(SEEDS[2])
    limits = tuple(float(value) for value in np.nanpercentile(sample.truth, (1, 99)))
    filled = complete_depth(sample.measured, sample.color)
    _save('completion', [color_map(sample.measured, limits=limits), color_map(filled, limits=limits)])
    _save('people', [_people(seed) for seed in PEOPLE])


def _masks(seed: int) -> np.ndarray:
    """A simulated table top with the masks that the demo model finds on it."""
    card = read_card(str(demo_model()))
    picture = Scene(default_camera(), seed).frame(0.0).color
    tensors, letterbox = Preprocessor(card)(picture)
    with create_engine(card) as engine:
        found = Postprocessor(card)(engine.infer(tensors), letterbox)
    fill_masks(picture, found.masks, [card.labels[index] for index in found.class_ids])
    return picture


def _people(seed: int) -> np.ndarray:
    """Simulated people with the skeletons of those of their true keypoints that are visible."""
    frame = PeopleScene(default_camera(), seed).frame(2.0)
    for truth in frame.truths:
        rows = np.column_stack((truth.pixels, truth.visible))
        draw_skeleton(frame.color, rows, COCO_17.edges, COCO_17.left, COCO_17.right)
    return frame.color


def _save(name: str, pictures: list[np.ndarray]) -> None:
    """Side by side."""
    cv2.imwrite(str(FOLDER / f'{name}.jpg'), np.hstack(pictures), QUALITY)


if __name__ == '__main__':
    main()
