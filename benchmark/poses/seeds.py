# SPDX-License-Identifier: Apache-2.0
"""Accuracy of the whole graph over twenty seeds that nothing was tuned on: mean and worst.

`isaac-inference evaluate --sim --seeds 20 --seed 2001 --frames 60 --warmup 2 --scene-frames 6`, with poses from
keypoints and with `--registration`: ten scenes a seed, 60 frames. What is asked is asked of what TrackNode publishes;
an object of which a quarter at least is visible and that has no pose counts as lost. Below are the frames in which most
is lost: the truth as a thin outline, and what became of each object.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmark.support.common import COLORS, Figure, Options, Result, Table, plt, save_plot
from benchmark.support.evaluated import evaluated

TITLE = 'Twenty seeds'
FIRST_SEED = 2001
_ASKED = {'keypoints': (0.96, 0.90), 'registration': (0.985, None)}  # mean and worst ADD(-S) within 0.1 d
_FIGURES = {
    'add_0_1d': ('ADD(-S) within 0.1 d [%]', 100.0),
    'map50': ('mAP@50', 1.0),
    'median_translation_rel': ('median translation error [% of the distance]', 100.0),
    'median_rotation_deg': ('median rotation error [deg]', 1.0),
    'misses': ('objects without a pose', 1.0),
    'false_poses': ('false poses', 1.0),
    'id_switches': ('id switches', 1.0),
}
_PICTURES = 6


def run(options: Options) -> Result:
    """Both ways to a pose."""
    result = Result('seeds', TITLE)
    model = options.pose_model_path()
    by_way: dict[str, dict[str, Any]] = {}
    for way in _ASKED:
        print(f'{way} ...', flush=True)
        with tempfile.TemporaryDirectory() as name:
            by_way[way] = _evaluate(way, model, options, Path(name))
            _worst(result, options, way, sorted((Path(name) / 'worst').glob('*.png')))
    _tabulate(result, by_way)
    _plot(result, options, by_way)
    result.data = {'model': Path(model).name, 'first_seed': FIRST_SEED, **{w: s['figures'] for w, s in by_way.items()}}
    return result


def _evaluate(way: str, model: str, options: Options, folder: Path) -> dict[str, Any]:
    arguments = [
        *('--model', model, '--seeds', str(options.pick(20, 2)), '--seed', str(FIRST_SEED)),
        *('--frames', str(options.pick(60, 12)), '--warmup', '2', '--scene-frames', '6'),
        *('--worst', str(_PICTURES), str(folder / 'worst')),
        *(['--registration'] if way == 'registration' else []),
    ]
    return evaluated(way, arguments, folder)


def _tabulate(result: Result, by_way: dict[str, dict[str, Any]]) -> None:
    spread = Table(
        'Over the seeds', ['poses from', 'figure', 'mean', 'worst', 'best', 'standard deviation', 'worst seed']
    )
    for way, summary in by_way.items():
        for name, (title, factor) in _FIGURES.items():
            if name in summary['figures']:
                row = summary['figures'][name]
                spread.add(
                    way, title, *(factor * row[key] for key in ('mean', 'worst', 'best', 'std')), row['worst_seed']
                )
    result.tables.append(spread)
    seeds = Table('By seed: ADD(-S) within 0.1 d [%]', ['seed', *by_way])
    for seed in next(iter(by_way.values()))['seeds']:
        seeds.add(seed, *(100.0 * summary['seeds'][seed]['add_0_1d'] for summary in by_way.values()))
    result.tables.append(seeds)
    for way, (mean, worst) in _ASKED.items():
        row = by_way[way]['figures']['add_0_1d']
        asked = f'mean at least {mean:g}' + (f', worst at least {worst:g}' if worst else '')
        count = len(by_way[way]['seeds'])
        result.figures.append(
            Figure(
                f'ADD(-S) within 0.1 d, {way}, {count} unseen seeds',
                asked,
                f'mean {row["mean"]:.4f}, worst {row["worst"]:.4f} (seed {row["worst_seed"]}), std {row["std"]:.4f}',
                bool(row['mean'] >= mean and (worst is None or row['worst'] >= worst)),
            )
        )


def _worst(result: Result, options: Options, way: str, paths: list[Path]) -> None:
    """The pictures side by side."""
    if not paths:
        return
    pictures = [cv2.imread(str(path)) for path in paths]
    pictures += [np.zeros_like(pictures[0])] * (-len(pictures) % 3)
    sheet = np.vstack([np.hstack(pictures[i : i + 3]) for i in range(0, len(pictures), 3)])
    Path(options.results).mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(Path(options.results) / f'seeds_{way}_worst.png'), cv2.resize(sheet, None, fx=0.6, fy=0.6))
    result.plots.append(f'seeds_{way}_worst.png')


def _plot(result: Result, options: Options, by_way: dict[str, dict[str, Any]]) -> None:
    figure, axes = plt.subplots(figsize=(12, 4))
    for place, (way, summary) in enumerate(by_way.items()):
        heights = [100.0 * row['add_0_1d'] for row in summary['seeds'].values()]
        axes.bar(np.arange(len(heights)) + 0.4 * place, heights, 0.38, color=COLORS[place], label=way)
        axes.axhline(100.0 * _ASKED[way][0], color=COLORS[place], linestyle='--', linewidth=1)
    axes.set_xticks(np.arange(len(heights)) + 0.2, list(summary['seeds']), rotation=60)
    axes.set_ylim(80, 100)
    axes.set_ylabel('ADD(-S) within 0.1 d [%]')
    axes.set_title('By seed; dashed: the mean that is asked')
    axes.legend(loc='lower right')
    save_plot(figure, options, 'seeds', result)
