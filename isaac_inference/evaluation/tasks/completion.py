# SPDX-License-Identifier: Apache-2.0
"""The holes of a simulated depth camera."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from isaac_inference.evaluation.depth.errors import depth_errors
from isaac_inference.evaluation.measure import Measure, percent
from isaac_inference.evaluation.tasks.frame_means import FrameMeansTask, with_worst
from isaac_inference.evaluation.tasks.mono_depth import ABS_REL, COMPLETENESS, LARGEST_OFF, RMSE
from isaac_inference.evaluation.tasks.pictures import error_map, limits_of, side_by_side
from isaac_inference.ops.drawing.depth import color_map
from isaac_inference.sim.completion import CompletionSample, completion_sample

_HOLES = percent('holes_abs_rel', 'AbsRel in holes', more_is_better=False)
_HOLES_RMSE = Measure('holes_rmse_m', 'RMSE in holes', False, 'm', digits=4)
_FILLED = percent('holes_filled', 'holes filled', more_is_better=True)


class CompletionTask(FrameMeansTask[CompletionSample, np.ndarray]):
    """An answer is (H, W) float32 m, NaN for unknown; holes are the pixels that the camera read nothing of."""

    name = 'completion'
    figures = (_HOLES, _HOLES_RMSE, _FILLED, ABS_REL, RMSE, COMPLETENESS)
    measures = (
        *with_worst(_HOLES),
        *with_worst(_HOLES_RMSE),
        *with_worst(_FILLED),
        *with_worst(ABS_REL),
        RMSE,
        COMPLETENESS,
    )
    ranked = _HOLES

    def sample(self, scene: int, time_s: float) -> CompletionSample:
        return completion_sample(scene, time_s)

    def nothing(self, sample: CompletionSample) -> np.ndarray:
        return np.full_like(sample.truth, np.nan)

    def score(self, sample: CompletionSample, answer: np.ndarray) -> Mapping[str, float]:
        holes = depth_errors(answer, sample.truth, np.isnan(sample.measured))
        every = depth_errors(answer, sample.truth)
        return {
            'holes_abs_rel': holes.abs_rel,
            'holes_rmse_m': holes.rmse,
            'holes_filled': holes.completeness,
            'abs_rel': every.abs_rel,
            'rmse_m': every.rmse,
            'completeness': every.completeness,
        }

    def picture(self, sample: CompletionSample, answer: np.ndarray, score: Mapping[str, float]) -> np.ndarray:
        limits = limits_of(sample.truth)
        off = np.abs(answer - sample.truth) / sample.truth
        return side_by_side(
            [
                ('input', sample.color),
                ('input: depth as measured', color_map(sample.measured, 'm', limits)),
                ('truth', color_map(sample.truth, 'm', limits)),
                ('answer', color_map(answer, 'm', limits)),
                (f'error: AbsRel {ABS_REL.text(score["abs_rel"])}, in holes {_HOLES.text(score["holes_abs_rel"])}',
                 error_map(100 * off, '%', 100 * LARGEST_OFF)),
            ],
            columns=3,
        )  # fmt: skip
