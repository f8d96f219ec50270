# SPDX-License-Identifier: Apache-2.0
"""Registration of meshes of our own on real-like depth: right, refused or wrong, and how sure it says it is.

The objects are those of `isaac_inference.sim.mesh_shapes`: nearly symmetric, hollow, thin, tapering. Depth is that of
`isaac_inference.sim.depth_scenes`: biased by some half per cent, quantised, with correlated noise, holes, mixed pixels,
and off the colour image by about a pixel; half of the scenes have things beside the object or before it. The seeds here
are used nowhere else. Times are CPU times of one thread, of `PoseEstimator.estimate`.

A pose is wrong when ADD (ADD-S for an object with symmetries) is above a tenth of the diameter, or when it is turned by
more than 15 degrees from the nearest of the declared symmetries. `within 2 sigma` is the part of the six errors of each
pose (x, y, z, and the rotations about the camera's axes) that are at most twice the published standard deviation; wrong
poses count. `search` has no keypoints; `keypoints` are the eight corners of the object's box, off by 1 px each.
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import norm

from benchmark.support.common import Figure, Options, Result, Table, one_core, plt, save_plot
from benchmark.support.real_like import Off, depth_view, mesh_card, off, seen
from isaac_inference.errors import FrameError
from isaac_inference.ops.geometry.object_model import ObjectModel
from isaac_inference.ops.geometry.rigid import Pose, so3_exp
from isaac_inference.ops.pose.registration import register
from isaac_inference.ops.pose.surface_fit import SeenDepth
from isaac_inference.sim.depth_scenes import DepthFaults, DepthScene, depth_scene
from isaac_inference.sim.mesh_shapes import mesh_kinds
from isaac_inference.stages.poses import DepthView, ObjectPose, Observed, PoseEstimator, PoseMethod
from isaac_inference.stages.poses.by_depth import object_region

TITLE = 'Meshes in real-like depth'
_FIRST_SEED = 9000
_SIZES = (0.5, 0.8, 0.9, 0.95, 1.05, 1.1, 1.2, 2.0)
_ROUND = ('bottle', 'soda_can')
_GOOD = DepthFaults(bias=0.0, shift_px=0.0)  # what remains is what a good depth camera has


@dataclass(frozen=True)
class _Try:
    """One object: which, what became of it (None where it was refused), the reason or the method, and CPU ms."""

    name: str
    off: Off | None
    outcome: str
    ms: float


def run(options: Options) -> Result:
    """Everything, kind by kind."""
    result = Result('meshes', TITLE)
    count = options.pick(40, 4)
    names = tuple(mesh_kinds())
    with one_core(), tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scenes = {kind: [depth_scene(kind, _FIRST_SEED + i) for i in range(count)] for kind in names}
        card = mesh_card(folder, names)
        searched = _search(result, PoseEstimator(card, PoseMethod.REGISTRATION), scenes)
        fused, alone = _with_keypoints(result, card, scenes)
        _refinement(result, options.pick(40, 4))
        _sizes(result, folder, {kind: items[: options.pick(12, 2)] for kind, items in scenes.items()})
        _cylinders(result, folder, scenes)
    _plot(result, options, {'search': searched, 'keypoints and depth': fused, 'keypoints alone': alone})
    return result


def _attempt(
    scene: DepthScene, estimate: Callable[[Observed, DepthView], ObjectPose], item: Observed, depth: DepthView
) -> _Try:
    begin = time.process_time()
    try:
        found: ObjectPose | None = estimate(item, depth)
        outcome = found.method if found is not None else ''
    except FrameError as error:
        found, outcome = None, f'refused: {error.reason}'
    spent = 1e3 * (time.process_time() - begin)
    error_of = None if found is None else off(found.pose, found.covariance, scene.pose, scene.kind)
    return _Try(scene.kind.name, error_of, outcome, spent)


def _attempts(estimator: PoseEstimator, scenes: dict[str, list[DepthScene]], noise_px: float | None) -> list[_Try]:
    tries = []
    for items in scenes.values():
        for place, scene in enumerate(items):
            rng = None if noise_px is None else np.random.default_rng((7, place))
            item, depth = seen(scene, rng, noise_px or 0.0), depth_view(scene)
            tries.append(_attempt(scene, lambda a, b, c=scene.camera: estimator.estimate(a, c, b), item, depth))
    return tries


def _search(result: Result, estimator: PoseEstimator, scenes: dict[str, list[DepthScene]]) -> list[_Try]:
    tries = _attempts(estimator, scenes, None)
    result.tables.append(_by_kind('Search without keypoints', tries))
    made, wrong = [t for t in tries if t.off], [t for t in tries if t.off and t.off.wrong]
    sure = [t for t in wrong if t.off is not None and np.abs(t.off.sigmas).max() > 4.0]
    result.figures.append(
        Figure(
            'Meshes without keypoints, real-like depth: published poses that are wrong',
            'none: the best-scoring pose is found, or refused',
            f'{len(wrong)} of {len(made)} published ({len(sure)} of them by more than 4 sigma), {len(tries)} objects',
            not wrong,
        )
    )
    _time(result, 'search', [t.ms for t in tries if t.off], 40.0)
    _time(result, 'search, refused', [t.ms for t in tries if not t.off], 30.0)
    _calibration(result, 'search', made)
    return tries


def _with_keypoints(result: Result, card: object, scenes: dict[str, list[DepthScene]]) -> tuple[list[_Try], list[_Try]]:
    fused = _attempts(PoseEstimator(card, PoseMethod.REGISTRATION), scenes, 1.0)  # type: ignore[arg-type]
    alone = _attempts(PoseEstimator(card, PoseMethod.KEYPOINTS), scenes, 1.0)  # type: ignore[arg-type]
    result.tables.append(_by_kind('Keypoints (1 px noise) and depth', fused))
    result.tables.append(_by_kind('Keypoints (1 px noise) alone', alone))
    lost = sum(1 for a, b in zip(fused, alone, strict=True) if b.off and not b.off.wrong and not a.off)
    wrong = sum(1 for a in fused if a.off and a.off.wrong)
    result.figures.append(
        Figure(
            'Keypoints and real-like depth: poses against keypoints alone',
            'never fewer',
            f'{sum(1 for t in fused if t.off)} against {sum(1 for t in alone if t.off)} of {len(fused)}; {lost} right '
            f'ones lost, {wrong} wrong ones published; keypoints alone: '
            f'{sum(1 for t in alone if t.off and t.off.wrong)}',
            lost == 0,
        )
    )
    _time(result, 'keypoints', [t.ms for t in alone if t.off], 0.4)
    _time(result, 'keypoints and depth', [t.ms for t in fused if t.off], 8.0)
    _calibration(result, 'keypoints and depth', [t for t in fused if t.off])
    _calibration(result, 'keypoints alone', [t for t in alone if t.off])
    return fused, alone


def _refinement(result: Result, count: int) -> None:
    """From 5 mm and 2 degrees off, in good depth."""
    table = Table(
        'Refinement from 5 mm and 2 degrees off, good depth',
        ['object', 'scenes', 'position p50 [mm]', 'p90 [mm]', 'largest [mm]', 'rotation p50 [deg]', 'under 2 mm',
         'moved away', 'refused', 'CPU p50 [ms]'],
    )  # fmt: skip
    shares, every, nearly = [], [], 0.0
    for kind in mesh_kinds().values():
        model = ObjectModel.build('mesh', None, kind.mesh, kind.symmetries)
        tries: list[tuple[float, float]] = []
        spent, refused = [], 0
        for i in range(count):
            scene = depth_scene(kind.name, _FIRST_SEED + 500 + i, _GOOD, clutter=False)
            rng = np.random.default_rng((8, i))
            turn, move = rng.standard_normal(3), rng.standard_normal(3)
            start = Pose(
                so3_exp(np.radians(2.0) * turn / np.linalg.norm(turn)) @ scene.pose.rotation,
                scene.pose.translation + 0.005 * move / np.linalg.norm(move),
            )
            view = depth_view(scene)
            region = object_region(seen(scene), scene.camera, view)
            begin = time.process_time()
            try:
                found = register(model, region.points, SeenDepth(view.image, view.camera), start)
            except FrameError:
                refused += 1
                continue
            finally:
                spent.append(1e3 * (time.process_time() - begin))
            error = off(found.pose, found.covariance, scene.pose, kind)
            tries.append((1e3 * error.translation_m, error.rotation_deg))
        moved, turned = np.array(tries or [(np.nan, np.nan)]).T
        under = float((moved < 2.0).sum()) / count
        table.add(
            kind.name, count, float(np.median(moved)), float(np.percentile(moved, 90)), float(moved.max()),
            float(np.median(turned)), f'{100 * under:.0f} %', int((moved > 5.0).sum()), refused,
            float(np.median(spent)),
        )  # fmt: skip
        shares.append(under)
        every += moved.tolist()
        nearly = under if kind.name == 'squeeze_bottle' else nearly
    result.tables.append(table)
    result.figures.append(
        Figure(
            'Refinement of meshes from 5 mm and 2 degrees off, good depth',
            'under 2 mm',
            f'median {np.nanmedian(every):.2f} mm, p90 {np.nanpercentile(every, 90):.2f} mm; under 2 mm: '
            f'{100 * np.mean(shares):.0f} % of all, {100 * nearly:.0f} % of the nearly symmetric bottle',
            bool(np.nanpercentile(every, 90) < 2.0),
        )
    )


def _sizes(result: Result, folder: Path, scenes: dict[str, list[DepthScene]]) -> None:
    """Cards whose objects are larger or smaller than the truth, and exact keypoints."""
    table = Table(
        'Size in the card wrong, keypoints exact, with depth',
        ['size in the card', 'objects', 'published', 'off by more than 10 mm', 'of these beyond 2 sigma',
         'largest error [mm]', 'refused', 'reasons'],
    )  # fmt: skip
    beyond_all = 0
    for scale in _SIZES:
        estimator = PoseEstimator(mesh_card(folder, tuple(scenes), scale=scale), PoseMethod.REGISTRATION)
        tries = _attempts(estimator, scenes, 0.0)
        made = [t.off for t in tries if t.off]
        far = [error for error in made if error.translation_m > 0.010]
        beyond = [error for error in far if np.abs(error.sigmas[:3]).max() > 2.0]
        beyond_all += len(beyond)
        reasons = Counter(t.outcome.removeprefix('refused: ') for t in tries if not t.off)
        table.add(
            f'x {scale:g}', len(tries), len(made), len(far), len(beyond),
            1e3 * max((error.translation_m for error in made), default=0.0), len(tries) - len(made),
            ', '.join(f'{count} {reason}' for reason, count in reasons.most_common(3)) or '-',
        )  # fmt: skip
    result.tables.append(table)
    result.figures.append(
        Figure(
            'Size in the card wrong (0.5 to 2 times), exact keypoints, depth at hand',
            'refused or corrected; no pose off by more than 10 mm and beyond 2 sigma',
            f'{beyond_all} such poses of {len(_SIZES) * sum(map(len, scenes.values()))} objects',
            beyond_all == 0,
        )
    )


def _cylinders(result: Result, folder: Path, scenes: dict[str, list[DepthScene]]) -> None:
    """Round things with the card of the documentation: shape cylinder, symmetry about z."""
    card = mesh_card(folder, _ROUND, meshes=False)
    tries = _attempts(PoseEstimator(card, PoseMethod.REGISTRATION), {n: scenes[n] for n in _ROUND}, None)
    ambiguous = sum(1 for t in tries if t.outcome == 'refused: registration_ambiguous')
    table = Table('Cards with `shape: cylinder, symmetry: [{axis: z, order: 0}]`, no keypoints', ['outcome', 'objects'])
    for outcome, number in Counter(t.outcome for t in tries).most_common():
        table.add(outcome, number)
    result.tables.append(table)
    cans = [t for t in tries if t.name == 'soda_can']
    result.figures.append(
        Figure(
            'Cylinders with the documented card',
            'none refused as ambiguous',
            f'{ambiguous} of {len(tries)}; {sum(1 for t in cans if t.off)} of {len(cans)} cans have a pose',
            ambiguous == 0,
        )
    )


def _by_kind(title: str, tries: Sequence[_Try]) -> Table:
    table = Table(
        title,
        ['object', 'scenes', 'right', 'wrong', 'refused', 'position p50 [mm]', 'p90 [mm]', 'rotation p50 [deg]',
         'within 2 sigma', 'CPU p50 [ms]', 'p95 [ms]', 'refusals'],
    )  # fmt: skip
    for name in [*dict.fromkeys(t.name for t in tries), 'all']:
        group = [t for t in tries if name in ('all', t.name)]
        made = [t.off for t in group if t.off]
        moved = np.array([1e3 * error.translation_m for error in made] or [np.nan])
        reasons = Counter(t.outcome.removeprefix('refused: ') for t in group if not t.off)
        table.add(
            name, len(group), sum(not error.wrong for error in made), sum(error.wrong for error in made),
            len(group) - len(made), float(np.median(moved)), float(np.percentile(moved, 90)),
            float(np.median([error.rotation_deg for error in made] or [np.nan])),
            f'{100 * _within(made):.0f} %' if made else '-', float(np.median([t.ms for t in group])),
            float(np.percentile([t.ms for t in group], 95)),
            ', '.join(f'{count} {reason}' for reason, count in reasons.most_common(2)) or '-',
        )  # fmt: skip
    return table


def _within(errors: Sequence[Off], sigmas: float = 2.0) -> float:
    return float(np.mean([np.abs(error.sigmas) <= sigmas for error in errors])) if errors else float('nan')


def _time(result: Result, what: str, spent: Sequence[float], limit: float) -> None:
    if spent:
        p50, p95 = np.percentile(spent, (50, 95))
        result.figures.append(
            Figure(
                f'Time of a mesh, {what}',
                f'at most {limit:g} ms',
                f'p50 {p50:.2f} ms, p95 {p95:.2f} ms of CPU',
                bool(p50 <= limit),
            )
        )


def _calibration(result: Result, what: str, tries: Sequence[_Try]) -> None:
    share = _within([t.off for t in tries if t.off])
    result.figures.append(
        Figure(
            f'Covariance on real-like depth, {what}',
            '90 to 99 % within 2 sigma',
            f'{100 * share:.1f} % of 6 x {len(tries)}',
            bool(0.90 <= share <= 0.99),
        )
    )


def _share(tries: Sequence[_Try], name: str, holds: Callable[[Off], bool]) -> float:
    return float(np.mean([t.off is not None and holds(t.off) for t in tries if t.name == name]))


def _plot(result: Result, options: Options, ways: dict[str, list[_Try]]) -> None:
    figure, (left, right) = plt.subplots(1, 2, figsize=(14, 5))
    names = list(dict.fromkeys(t.name for t in ways['search']))
    expected = np.linspace(0.0, 4.0, 60)
    for place, (way, tries) in enumerate(ways.items()):
        right_ones, wrong_ones = (
            np.array([_share(tries, name, lambda error, w=w: error.wrong == w) for name in names])
            for w in (False, True)
        )
        at = np.arange(len(names)) + 0.27 * (place - 1)
        left.bar(at, right_ones, 0.25, color='#5a9e6f')
        left.bar(at, wrong_ones, 0.25, right_ones, color='#b55d60')
        errors = [t.off for t in tries if t.off]
        right.plot(expected, [_within(errors, s) for s in expected], label=way)
    right.plot(expected, 2 * norm.cdf(expected) - 1, 'k--', label='normal distribution')
    left.set_xticks(range(len(names)), names, rotation=60, ha='right')
    left.set_ylabel('part of the scenes')
    left.set_title('right (green) and wrong (red): ' + ', '.join(ways))
    right.set_xlabel('published standard deviations')
    right.set_ylabel('part of the errors within')
    right.set_title('Calibration')
    right.legend()
    right.grid(alpha=0.3)
    figure.tight_layout()
    save_plot(figure, options, 'meshes', result)
