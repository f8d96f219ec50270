# SPDX-License-Identifier: Apache-2.0
"""Disparity and depth of the simulator's stereo pairs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from isaac_inference.evaluation.depth.errors import depth_errors, disparity_errors
from isaac_inference.evaluation.measure import Measure, percent
from isaac_inference.evaluation.tasks.frame_means import FrameMeansTask, with_worst
from isaac_inference.evaluation.tasks.mono_depth import ABS_REL, COMPLETENESS
from isaac_inference.evaluation.tasks.pictures import error_map, limits_of, side_by_side
from isaac_inference.ops.drawing.depth import color_map
from isaac_inference.sim.stereo import StereoSample, stereo_sample

_MAE = Measure('mae_px', 'MAE', False, 'px')
_BAD = percent('bad_2', 'off by > 2 px', more_is_better=False)
_BAD_OR_MISSING = percent('bad_2_or_missing', '> 2 px or missing', more_is_better=False)
_DENSITY = percent('density', 'density', more_is_better=True)
_LARGEST_OFF = 5.0  # px, red in pictures


@dataclass(frozen=True, eq=False)
class StereoAnswer:
    """What was made of a pair, in the left image: (H, W) float32 px and m, NaN for unknown."""

    disparity: np.ndarray
    depth: np.ndarray


class StereoTask(FrameMeansTask[StereoSample, StereoAnswer]):
    """Errors are of the pixels that both cameras see and that have a match; `completeness` is their part of those that
    both see, `density` is the part of all pixels that has a match.
    """

    name = 'stereo'
    figures = (_MAE, _BAD, _BAD_OR_MISSING, ABS_REL, COMPLETENESS, _DENSITY)
    measures = (*with_worst(_MAE), *with_worst(_BAD), _BAD_OR_MISSING, ABS_REL, *with_worst(COMPLETENESS), _DENSITY)
    ranked = _BAD_OR_MISSING

    def sample(self, scene: int, time_s: float) -> StereoSample:
        return stereo_sample(scene, time_s)

    def nothing(self, sample: StereoSample) -> StereoAnswer:
        unknown = np.full_like(sample.disparity, np.nan)
        return StereoAnswer(unknown, unknown)

    def score(self, sample: StereoSample, answer: StereoAnswer) -> Mapping[str, float]:
        errors = disparity_errors(answer.disparity, sample.disparity, sample.visible)
        return {
            'mae_px': errors.mae,
            'bad_2': errors.bad / 100.0,
            'bad_2_or_missing': errors.bad_or_missing / 100.0,
            'abs_rel': depth_errors(answer.depth, sample.depth, sample.visible).abs_rel,
            'completeness': errors.completeness,
            'density': float(np.isfinite(answer.disparity).mean()),
        }

    def picture(self, sample: StereoSample, answer: StereoAnswer, score: Mapping[str, float]) -> np.ndarray:
        limits = limits_of(sample.disparity)
        off = np.where(sample.visible, np.abs(answer.disparity - sample.disparity), np.nan)
        return side_by_side(
            [
                ('input: left', sample.left),
                ('truth', color_map(sample.disparity, 'px', limits, near_is_large=True)),
                ('answer', color_map(answer.disparity, 'px', limits, near_is_large=True)),
                (f'error: MAE {_MAE.text(score["mae_px"])}, {_BAD.text(score["bad_2"])} > 2 px',
                 error_map(off, 'px', _LARGEST_OFF)),
            ]
        )  # fmt: skip
