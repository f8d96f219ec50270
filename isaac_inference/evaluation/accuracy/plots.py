# SPDX-License-Identifier: Apache-2.0
"""One picture of an evaluation: accuracy, where errors occur, and speed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from isaac_inference.evaluation.accuracy.average_precision import RECALLS
from isaac_inference.evaluation.accuracy.pose_errors import ADD_LIMIT
from isaac_inference.evaluation.accuracy.result import EvaluationResult
from isaac_inference.evaluation.figure import new_figure, save_figure
from isaac_inference.evaluation.panels import FILE_NAME, Against, Histogram, say_nothing

_LARGEST_ADD = 0.3  # of the diameter; the curve's right end
_CLASS_LINES = 10  # more curves can't be distinguished


def save_plots(result: EvaluationResult, folder: str | Path, title: str = '') -> Path:
    """Writes `evaluation.png`, three by three panels, into `folder` (created if missing) and returns its path.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    figure, axes = new_figure(3, 3, (18, 14), title or 'evaluation', fontsize=15)
    poses = result.poses
    rotation = poses.values('rotation_deg')
    translation = poses.values('translation_rel') * 100
    distance, visibility = poses.values('distance_m'), poses.values('visibility') * 100
    _add_curve(axes[0, 0], result)
    Histogram(translation, 'translation error [% of the distance]', 'objects').draw(axes[0, 1])
    Histogram(rotation, 'rotation error [deg]', 'objects').draw(axes[0, 2])
    _precision_recall(axes[1, 0], result)
    Against(distance, translation, 'distance [m]', 'translation error [%]').draw(axes[1, 1])
    Against(distance, rotation, 'distance [m]', 'rotation error [deg]').draw(axes[1, 2])
    _latencies(axes[2, 0], result)
    Against(visibility, translation, 'visible part of the object [%]', 'translation error [%]').draw(axes[2, 1])
    Against(visibility, rotation, 'visible part of the object [%]', 'rotation error [deg]').draw(axes[2, 2])
    return save_figure(figure, Path(folder) / FILE_NAME, dpi=80)


def _add_curve(axes: Any, result: EvaluationResult) -> None:
    limits = np.linspace(0.0, _LARGEST_ADD, 121)
    recall = result.poses.recall()
    title = 'poses within a limit' + ('' if recall is None else f', {100 * recall:.1f} % within {ADD_LIMIT:g} d')
    for name, scores in list(result.poses_by_class.items())[:_CLASS_LINES]:
        if scores.truths:
            axes.plot(limits * 100, [100 * (scores.recall(limit) or 0.0) for limit in limits], label=name, alpha=0.7)
    if result.poses.truths:
        curve = [100 * (result.poses.recall(limit) or 0.0) for limit in limits]
        axes.plot(limits * 100, curve, color='black', linewidth=2.5, label='all')
        axes.legend(loc='lower right', fontsize=9)
    axes.axvline(ADD_LIMIT * 100, color='grey', linestyle='--')
    axes.set(title=title, xlabel='ADD(-S) limit [% of the diameter]', ylabel='objects [%]', ylim=(0, 102))
    axes.grid(alpha=0.3)


def _precision_recall(axes: Any, result: EvaluationResult) -> None:
    axes.set(
        title='precision and recall at IoU 0.5', xlabel='recall', ylabel='precision', xlim=(0, 1.02), ylim=(0, 1.02)
    )
    if not result.detection.classes:
        return say_nothing(axes)
    for name, scores in list(result.detection.classes.items())[:_CLASS_LINES]:
        axes.plot(RECALLS, scores.curve, label=f'{name} {scores.ap50:.3f}')
    axes.legend(title='AP50', loc='lower left', fontsize=9)
    axes.grid(alpha=0.3)


def _latencies(axes: Any, result: EvaluationResult) -> None:
    axes.set(title='latency', xlabel='[ms]')
    speed = result.speed
    if speed is None:
        return say_nothing(axes)
    rows = {**speed.stages_ms, 'first stage to output': speed.pipeline_ms, 'image stamp to output': speed.total_ms}
    rows = {name: values for name, values in rows.items() if len(values)}
    if not rows:
        return say_nothing(axes)
    for place, values in enumerate(reversed(rows.values())):
        p5, p50, p95 = np.percentile(values, (5, 50, 95))
        axes.plot([p5, p95], [place, place], color='tab:blue', linewidth=8, alpha=0.4, solid_capstyle='butt')
        axes.plot(p50, place, '|', color='black', markersize=16, markeredgewidth=2)
        axes.annotate(
            f'p50 {p50:.1f}', (p95, place), xytext=(6, 0), textcoords='offset points', va='center', fontsize=9
        )
    axes.set_yticks(range(len(rows)), list(reversed(rows)))
    fps = f', {speed.fps:.1f} frames per second' if speed.fps else ''
    axes.set(title=f'latency, p5 to p95{fps}', ylim=(-0.7, len(rows) - 0.3))
    axes.set_xlim(0, 1.2 * max(float(np.percentile(values, 95)) for values in rows.values()))
    axes.grid(axis='x', alpha=0.3)
