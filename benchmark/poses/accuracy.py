# SPDX-License-Identifier: Apache-2.0
"""Accuracy and speed of the whole graph against the simulated camera's truth, by `isaac-inference evaluate`.

Each run is a process of its own: `isaac-inference evaluate --sim --frames 500 --seed 20260 --json ... --plots ...`,
with poses from keypoints and, by `--registration`, refined on depth; both again with a camera whose lens distorts. The
scenes of that seed were never trained on, and a new one begins every 50 frames. Accuracy is of frames that are shown
one by one, so none is lost; rate and latency are of further 150 frames of the same kind, at 30 Hz. `evaluate` measures
what TrackNode publishes: boxes with ids and smoothed poses. Objects that are visible to less than a quarter don't
count. ADD(-S) below a tenth of the diameter is asked of all others: an object without a pose is a miss. An id switch
is a change of the id that an object keeps within its scene; latency is from the image's stamp to the last answer.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.support.common import COLORS, Figure, Options, Result, Table, number, plt, save_plot
from benchmark.support.evaluated import evaluated

TITLE = 'Accuracy of the whole graph'
SEED, FRAMES, RATE_FRAMES, SCENE_FRAMES = 20260, 500, 150, 50
_DISTORTED = '/**/sim_camera:\n  ros__parameters:\n    distorted: true\n'


@dataclass(frozen=True)
class _Way:
    """One run: its name, and what it is given."""

    name: str
    registration: bool
    distorted: bool

    @property
    def file(self) -> str:
        """Of its JSON and its plot."""
        return 'accuracy_' + self.name.replace(', ', '_').replace(' ', '_')


WAYS = (
    _Way('keypoints', False, False),
    _Way('registration', True, False),
    _Way('keypoints, distorted lens', False, True),
    _Way('registration, distorted lens', True, True),
)


@dataclass(frozen=True)
class _Target:
    """One figure: its key in evaluate's JSON, how it is shown, and the limit for keypoints and for registration; None
    where nothing is asked. `at_least` says which side of the limit is good; `per_frames` scales it with the run."""

    name: str
    key: str
    unit: str
    factor: float
    keypoints: float | None
    registration: float | None
    at_least: bool
    per_frames: bool = False

    def limit(self, way: _Way, frames: int) -> float | None:
        """In the unit that is shown."""
        limit = self.registration if way.registration else self.keypoints
        return limit if limit is None or not self.per_frames else limit * max(1.0, frames / FRAMES)

    def asked(self, way: _Way, frames: int) -> str:
        """In words."""
        limit = self.limit(way, frames)
        if limit is None:
            return 'for information'
        return f'{"at least" if self.at_least else "at most"} {limit:g}{self.unit}'

    def shown(self, summary: dict[str, Any]) -> str:
        """The measured value, '-' where there is none."""
        value = self.value(summary)
        return '-' if value is None else f'{number(value)}{self.unit}'

    def value(self, summary: dict[str, Any]) -> float | None:
        """In the unit that is shown."""
        value = summary.get(self.key)
        return None if value is None else self.factor * float(value)

    def met(self, way: _Way, summary: dict[str, Any]) -> bool | None:
        """None where nothing is asked; a value that is missing falls short."""
        limit, value = self.limit(way, summary['frames']), self.value(summary)
        if limit is None:
            return None
        return value is not None and (value >= limit if self.at_least else value <= limit)


TARGETS = (
    _Target('mAP@50', 'map50', '', 1.0, 0.95, 0.95, True),
    _Target('mAP@50:95', 'map50_95', '', 1.0, None, None, True),
    _Target('ADD(-S) within 0.1 d', 'add_0_1d', ' %', 100.0, 95.0, 98.0, True),
    _Target('median translation error, of the distance', 'median_translation_rel', ' %', 100.0, 1.0, 1.0, False),
    _Target('median rotation error', 'median_rotation_deg', ' deg', 1.0, 3.0, 3.0, False),
    _Target('id switches', 'id_switches', '', 1.0, 1.0, 1.0, False, per_frames=True),
    # rate and latency are asked of the demo, whose poses come from keypoints
    _Target('frames per second', 'fps', '', 1.0, 20.0, None, True),
    _Target('total latency p50', 'total_ms_p50', ' ms', 1.0, 50.0, None, False),
)


def run(options: Options) -> Result:
    """Keypoints and registration, through both lenses."""
    result = Result('accuracy', TITLE)
    model = options.pose_model_path()
    summaries: dict[str, dict[str, Any]] = {}
    for way in WAYS:
        print(f'{way.name} ...', flush=True)
        summaries[way.name] = _evaluate(way, model, options)
    _tabulate(result, summaries)
    _plot(result, options, summaries)
    result.plots += [f'{way.file}.png' for way in WAYS]
    result.data = {
        'model': Path(model).name,
        'seed': SEED,
        'runs': {name: {key: summary[key] for key in _KEPT if key in summary} for name, summary in summaries.items()},
    }
    return result


_KEPT = (
    'frames', *(target.key for target in TARGETS), 'dropped_frames', 'misses', 'false_poses', 'fragmentations',
    'tracked_objects', 'track_ids', 'poses', 'classes', 'speed', 'settings',
)  # fmt: skip


def _evaluate(way: _Way, model: str, options: Options) -> dict[str, Any]:
    """The summary that `isaac-inference evaluate` writes; its plot goes beside the results."""
    frames, rate_frames = options.pick(FRAMES, 60), options.pick(RATE_FRAMES, 30)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        parameters = folder / 'distorted.yaml'
        parameters.write_text(_DISTORTED)
        arguments = [
            *('--model', model, '--frames', str(frames), '--seed', str(SEED), '--rate-frames', str(rate_frames)),
            *('--scene-frames', str(options.pick(SCENE_FRAMES, 10)), '--plots', name),
            *(['--registration'] if way.registration else []),
            *(['--params-file', str(parameters)] if way.distorted else []),
        ]
        summary = evaluated(way.name, arguments, folder)
        results = Path(options.results)
        results.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / 'evaluation.png', results / f'{way.file}.png')
    return summary


def _tabulate(result: Result, summaries: dict[str, dict[str, Any]]) -> None:
    against = Table('Against what is asked (an asterisk: falls short)', ['figure', 'asked', *summaries])
    for target in TARGETS:
        cells, asked = [], dict.fromkeys(target.asked(way, summaries[way.name]['frames']) for way in WAYS)
        for way in WAYS:
            met = target.met(way, summaries[way.name])
            cells.append(target.shown(summaries[way.name]) + (' *' if met is False else ''))
        against.add(target.name, ' / '.join(asked), *cells)
    for name, key in (('frames', 'frames'), ('frames without an answer', 'dropped_frames')):
        against.add(name, 'for information', *(summary[key] for summary in summaries.values()))
    for name, key in (('objects to find', 'truths'), ('without a pose', 'misses'), ('false poses', 'false_poses')):
        against.add(name, 'for information', *(summary['poses'][key] for summary in summaries.values()))
    result.tables.append(against)
    for way in WAYS:
        summary = summaries[way.name]
        result.tables += [_classes(way, summary), _stages(way, summary)]
        # what is asked doesn't name a lens; the distorted one is a further look, and the table has its limits
        if way.distorted:
            shown = ', '.join(f'{target.name} {target.shown(summary)}' for target in TARGETS)
            result.figures.append(Figure(f'{way.name}, {summary["frames"]} frames', 'for information', shown, None))
            continue
        result.figures += [
            Figure(
                f'{target.name}, {way.name}, {summary["frames"]} frames',
                target.asked(way, summary['frames']),
                target.shown(summary),
                target.met(way, summary),
            )
            for target in TARGETS
        ]


def _classes(way: _Way, summary: dict[str, Any]) -> Table:
    table = Table(
        f'By class, {way.name}',
        ['class', 'AP50', 'objects', 'ADD(-S) within 0.1 d [%]', 'without a pose', 'translation p50 [%]', 'p95 [%]',
         'rotation p50 [deg]', 'p95 [deg]'],
    )  # fmt: skip
    for name, row in summary['classes'].items():
        boxes, poses = row['detection'] or {}, row['poses'] or {}
        shifts, turns = poses.get('translation_rel') or {}, poses.get('rotation_deg') or {}
        table.add(
            name,
            _cell(boxes.get('ap50')),
            poses.get('truths', '-'),
            _cell(poses.get('add_0_1d'), 100.0),
            poses.get('misses', '-'),
            *(_cell(shifts.get(rank), 100.0) for rank in ('p50', 'p95')),
            *(_cell(turns.get(rank)) for rank in ('p50', 'p95')),
        )
    return table


def _stages(way: _Way, summary: dict[str, Any]) -> Table:
    table = Table(f'Time at 30 Hz, {way.name} [ms]', ['what', 'p50', 'p95'])
    speed = summary['speed'] or {}
    rows = {**speed.get('stages_ms', {}), 'first stage to output': speed.get('pipeline_ms', {})}
    for name, values in {**rows, 'image to output': speed.get('total_ms', {})}.items():
        table.add(name, *(_cell(values.get(rank)) for rank in ('p50', 'p95')))
    return table


def _cell(value: float | None, factor: float = 1.0) -> str:
    return '-' if value is None else number(factor * value)


def _plot(result: Result, options: Options, summaries: dict[str, dict[str, Any]]) -> None:
    shown = [target for target in TARGETS if target.keypoints is not None]
    figure, axes = plt.subplots(2, (len(shown) + 1) // 2, figsize=(15, 6.4))
    panels = list(axes.ravel())
    for panel, target in zip(panels, shown, strict=False):
        _bars(panel, target, summaries)
    for panel in panels[len(shown) :]:
        panel.axis('off')
    handles = [plt.Rectangle((0, 0), 1, 1, color=COLORS[index]) for index in range(len(WAYS))]
    panels[-1].legend(handles, [way.name for way in WAYS], loc='center', frameon=False)
    save_plot(figure, options, 'accuracy', result)


def _bars(panel: Any, target: _Target, summaries: dict[str, dict[str, Any]]) -> None:
    for place, way in enumerate(WAYS):
        height = target.value(summaries[way.name]) or 0.0
        panel.bar(place, height, color=COLORS[place])
        panel.text(place, height, target.shown(summaries[way.name]), ha='center', va='bottom', fontsize=8)
        limit = target.limit(way, summaries[way.name]['frames'])
        if limit is not None:
            panel.plot((place - 0.45, place + 0.45), (limit, limit), color='black', linewidth=1.5)
    panel.set_title(f'{target.name}\n{"at least" if target.at_least else "at most"} the line', fontsize=9)
    panel.set_xticks([])
    panel.margins(y=0.15)
    panel.grid(axis='y', alpha=0.3)
