# SPDX-License-Identifier: Apache-2.0
"""Depth from one image of the simulator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from isaac_inference.evaluation.depth.alignment import aligned
from isaac_inference.evaluation.depth.errors import depth_errors
from isaac_inference.evaluation.measure import Measure, percent
from isaac_inference.evaluation.tasks.frame_means import FrameMeansTask, with_worst
from isaac_inference.evaluation.tasks.pictures import error_map, limits_of, side_by_side
from isaac_inference.models.card.tasks import DepthKind
from isaac_inference.ops.drawing.depth import color_map
from isaac_inference.sim import Scene, default_camera
from isaac_inference.sim.sensor import SensorSettings

ABS_REL = percent('abs_rel', 'AbsRel', more_is_better=False)
RMSE = Measure('rmse_m', 'RMSE', False, 'm', digits=4)
DELTA1 = percent('delta1', 'delta < 1.25', more_is_better=True)
COMPLETENESS = percent('completeness', 'complete', more_is_better=True)
LARGEST_OFF = 0.2
"""Relative error that is red in pictures."""
_EXACT = SensorSettings(depth_noise=0.0, depth_hole_edges=False)


@dataclass(frozen=True, eq=False)
class DepthSample:
    """One frame: (H, W, 3) uint8 BGR, and (H, W) float32 m, exact; NaN where nothing is in range."""

    color: np.ndarray
    truth: np.ndarray


class MonoDepthTask(FrameMeansTask[DepthSample, np.ndarray]):
    """An answer is (H, W) float32: m of a metric network, else its numbers, which get the scale and shift that suit
    each frame's truth best.

    Args:
        kind: what the numbers of the network mean.
    """

    name = 'depth'
    figures = (ABS_REL, RMSE, DELTA1, COMPLETENESS)
    measures = (*with_worst(ABS_REL), RMSE, DELTA1, COMPLETENESS)
    ranked = ABS_REL

    def __init__(self, kind: DepthKind = DepthKind.INVERSE) -> None:
        self._kind = kind
        self._camera = default_camera()

    def sample(self, scene: int, time_s: float) -> DepthSample:
        color = Scene(self._camera, scene).frame(time_s).color
        return DepthSample(color, Scene(self._camera, scene, sensor=_EXACT).frame(time_s).depth)

    def nothing(self, sample: DepthSample) -> np.ndarray:
        return np.full_like(sample.truth, np.nan)

    def score(self, sample: DepthSample, answer: np.ndarray) -> Mapping[str, float]:
        errors = depth_errors(self._metres(sample, answer), sample.truth)
        return {
            'abs_rel': errors.abs_rel,
            'rmse_m': errors.rmse,
            'delta1': errors.delta1,
            'completeness': errors.completeness,
        }

    def picture(self, sample: DepthSample, answer: np.ndarray, score: Mapping[str, float]) -> np.ndarray:
        depth, limits = self._metres(sample, answer), limits_of(sample.truth)
        off = np.abs(depth - sample.truth) / sample.truth
        return side_by_side(
            [
                ('input', sample.color),
                ('truth', color_map(sample.truth, 'm', limits)),
                ('answer' if self._kind is DepthKind.METRIC else 'answer, aligned', color_map(depth, 'm', limits)),
                (f'error: AbsRel {ABS_REL.text(score["abs_rel"])}', error_map(100 * off, '%', 100 * LARGEST_OFF)),
            ]
        )

    def _metres(self, sample: DepthSample, answer: np.ndarray) -> np.ndarray:
        if self._kind is DepthKind.METRIC:
            return answer
        return aligned(answer, sample.truth, inverse=self._kind is DepthKind.INVERSE)
