# SPDX-License-Identifier: Apache-2.0
"""Registration on depth: time of an object, and the pose's error before and after.

Simulated frames with a depth camera's usual noise and holes. Each object that is visible to a quarter at least gets
corners with a network's noise (normal, 1 % of the object's extent in the image on each coordinate); `before` is the
pose that PnP makes of them, `after` what `RegistrationMethod` makes of it with depth. Time is that of
`PoseEstimator.estimate` with the method registration, on one core: PnP, the points under the box, the fit and its
gates. PnP's part of it is measured in turn.

The errors are grouped by how many faces of a cuboid look towards the camera (a single face leaves shifts along it to
the keypoints), by how much of the object is visible, and by where the rest is: behind something nearer, or outside the
image. An object that is refused counts as not within 0.1 d afterwards; a pose that registration hands on unchanged,
because depth says nothing about it, counts as it is.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmark.support.common import STATS, Figure, Options, Result, Stats, Table, number, one_core, plt, save_plot
from benchmark.support.tabletop import Error, Judge, View, is_cut, objects_card, observed, views, visible_faces
from isaac_inference.errors import FrameError
from isaac_inference.ops.depth.depth_image import DepthImage
from isaac_inference.stages.poses import DepthView, ObjectPose, Observed, PoseEstimator, PoseMethod

TITLE = 'Registration on depth'
ASKED_MS = 30.0
ADD_LIMIT = 0.1
_WHOLE = 0.97  # visible part from which on nothing is missing
BANDS = {'25 to 50 %': (0.0, 0.5), '50 to 80 %': (0.5, 0.8), '80 to 97 %': (0.8, _WHOLE), 'all of it': (_WHOLE, 2.0)}
_SEED, _WARM_UP = 32, 3


@dataclass(frozen=True)
class _Object:
    """One object: its group, what became of it (`after` is None where it was refused), and times in ms."""

    name: str
    faces: str
    visibility: float
    is_cut: bool  # by the image's border
    before: Error
    after: Error | None
    outcome: str
    whole_ms: float
    pnp_ms: float


def run(options: Options) -> Result:
    """Frames one by one."""
    result = Result('registration', TITLE)
    with one_core():
        items, unposed = _measure(options.pick(250, 16))
    _time(result, items)
    groups = {'faces': sorted({item.faces for item in items}), 'visible': list(BANDS)}
    result.tables.append(_errors('Error before and after', [('all', items)]))
    result.tables.append(
        _errors('By visible faces', [(name, [i for i in items if i.faces == name]) for name in groups['faces']])
    )
    result.tables.append(_errors('By visible part', [(name, _between(items, *band)) for name, band in BANDS.items()]))
    result.tables.append(
        _errors('By object', [(name, [i for i in items if i.name == name]) for name in sorted({i.name for i in items})])
    )
    places = {
        'all of it visible': [item for item in items if not item.is_cut and item.visibility >= _WHOLE],
        'behind something': [item for item in items if not item.is_cut and item.visibility < _WHOLE],
        "cut off by the image's border": [item for item in items if item.is_cut],
    }
    result.tables.append(_errors('By where the rest is', list(places.items())))
    outcomes = Table('What became of the objects', ['outcome', 'objects'])
    for outcome, count in Counter(item.outcome for item in items).most_common():
        outcomes.add(outcome, count)
    outcomes.add('no pose from keypoints', unposed)
    result.tables.append(outcomes)
    _judge(result, items)
    _plot(result, options, items)
    return result


def _measure(count: int) -> tuple[list[_Object], int]:
    """Every object of `count` frames that has a pose to begin with, and how many have none."""
    card, judge = objects_card(), Judge()
    by_keypoints, by_shape = PoseEstimator(card, PoseMethod.KEYPOINTS), PoseEstimator(card, PoseMethod.REGISTRATION)
    items: list[_Object] = []
    unposed = 0
    for place, view in enumerate(views(count + _WARM_UP, _SEED)):
        rng = np.random.default_rng((_SEED, place))
        depth = DepthView(DepthImage.check(view.frame.depth, '32FC1'), view.camera)
        for truth in view.truths:
            seen = observed(truth, view.camera, rng)
            first, _, pnp_ms = _attempt(by_keypoints, seen, view, depth)
            found, outcome, whole_ms = _attempt(by_shape, seen, view, depth)
            if place < _WARM_UP:
                continue
            if first is None:
                unposed += 1
                continue
            items.append(
                _Object(
                    truth.kind.name,
                    visible_faces(truth),
                    truth.visibility,
                    is_cut(truth, view.camera),
                    judge.error(first.pose, truth),
                    None if found is None else judge.error(found.pose, truth),
                    outcome,
                    whole_ms,
                    pnp_ms,
                )
            )
    return items, unposed


def _attempt(
    estimator: PoseEstimator, seen: Observed, view: View, depth: DepthView
) -> tuple[ObjectPose | None, str, float]:
    """The pose, or None and why; and the time in ms."""
    begin = time.perf_counter()
    try:
        found: ObjectPose | None = estimator.estimate(seen, view.camera, depth)
        outcome = found.method if found is not None and 'registration' in found.method else 'keypoints as they were'
    except FrameError as error:
        found, outcome = None, f'refused: {error.reason}'
    return found, outcome, 1e3 * (time.perf_counter() - begin)


def _between(items: Sequence[_Object], low: float, high: float) -> list[_Object]:
    return [item for item in items if low <= item.visibility < high]


def _time(result: Result, items: Sequence[_Object]) -> None:
    whole, pnp = (np.array([getattr(item, name) for item in items]) for name in ('whole_ms', 'pnp_ms'))
    table = Table('Time of an object, one core [ms]', ['what', *STATS])
    table.add('keypoints, then registration', *Stats.of(whole).cells())
    table.add('keypoints alone', *Stats.of(pnp).cells())
    result.tables.append(table)
    stats = Stats.of(whole)
    result.figures.append(
        Figure(
            'Registration, time of an object on one core',
            f'at most {ASKED_MS:g} ms',
            f'p50 {stats.p50:.1f} ms, p95 {stats.p95:.1f} ms, largest {stats.max:.1f} ms',
            stats.p95 <= ASKED_MS,
        )
    )
    result.data['time_ms'] = {'whole': stats.as_json(), 'pnp': Stats.of(pnp).as_json()}


def _errors(title: str, rows: Iterable[tuple[str, Sequence[_Object]]]) -> Table:
    """Medians and 95th percentiles; a refused object has no errors, and isn't within 0.1 d."""
    table = Table(
        f'{title}: before -> after',
        ['objects', 'count', 'position p50 [mm]', 'position p95 [mm]', 'rotation p50 [deg]', 'rotation p95 [deg]',
         'within 0.1 d [%]', 'refused'],
    )  # fmt: skip
    for name, items in rows:
        if not items:
            continue
        cells = []
        for field, factor in (('translation_m', 1000.0), ('rotation_deg', 1.0)):
            before, after = (factor * _values(items, when, field) for when in ('before', 'after'))
            cells += [f'{_percentile(before, p)} -> {_percentile(after, p)}' for p in (50, 95)]
        shares = ' -> '.join(f'{100 * _within(items, when):.1f}' for when in ('before', 'after'))
        table.add(name, len(items), *cells, shares, sum(item.after is None for item in items))
    return table


def _values(items: Sequence[_Object], when: str, field: str) -> np.ndarray:
    errors = [getattr(item, when) for item in items]
    return np.array([getattr(error, field) for error in errors if error is not None])


def _percentile(values: np.ndarray, percent: float) -> str:
    return number(float(np.percentile(values, percent))) if len(values) else '-'


def _within(items: Sequence[_Object], when: str) -> float:
    """Part of the objects."""
    return float((_values(items, when, 'add') < ADD_LIMIT).sum()) / len(items)


def _judge(result: Result, items: Sequence[_Object]) -> None:
    figures = {
        when: {
            'within_0_1d': _within(items, when),
            'translation_rel_p50': float(np.median(_values(items, when, 'translation_rel'))),
            'rotation_deg_p50': float(np.median(_values(items, when, 'rotation_deg'))),
        }
        for when in ('before', 'after')
    }
    before, after = figures['before'], figures['after']
    result.figures.append(
        Figure(
            'Registration, simulated frames, keypoints off by 1 % of the object',
            'for information: error before and after',
            f'{sum(item.after is None for item in items)} of {len(items)} refused; '
            f'ADD(-S) within 0.1 d {100 * before["within_0_1d"]:.1f} -> {100 * after["within_0_1d"]:.1f} %; median '
            f'position {100 * before["translation_rel_p50"]:.2f} -> {100 * after["translation_rel_p50"]:.2f} % of the '
            f'distance, median rotation {before["rotation_deg_p50"]:.2f} -> {after["rotation_deg_p50"]:.2f} deg',
            None,
        )
    )
    result.data['errors'] = figures


def _plot(result: Result, options: Options, items: Sequence[_Object]) -> None:
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(15, 4.4))
    kept = [item for item in items if item.after is not None]
    for axes, field, factor, unit in ((left, 'translation_m', 1000.0, 'mm'), (middle, 'rotation_deg', 1.0, 'deg')):
        for name in sorted({item.faces for item in kept}):
            group = [item for item in kept if item.faces == name]
            x, y = (np.maximum(factor * _values(group, when, field), 1e-2) for when in ('before', 'after'))
            axes.scatter(x, y, s=10, alpha=0.5, label=name)
        axes.axline((1, 1), slope=1, color='black', linewidth=0.8)
        axes.set_xscale('log')
        axes.set_yscale('log')
        axes.set_xlabel(f'before [{unit}]')
        axes.set_ylabel(f'after [{unit}]')
        axes.set_title('Position' if unit == 'mm' else 'Rotation')
        axes.grid(alpha=0.3)
        axes.legend()
    right.hist([item.whole_ms for item in items], bins=40)
    right.axvline(ASKED_MS, color='black', linestyle='--', linewidth=1, label=f'asked: at most {ASKED_MS:g} ms')
    right.set_xlabel('time of an object [ms]')
    right.set_ylabel('objects')
    right.set_title('PnP and registration, one core')
    right.legend()
    save_plot(figure, options, 'registration', result)
