# SPDX-License-Identifier: Apache-2.0
"""Joints of people in space: how far they are off, how many are left out, and whether their covariance is true.

One to three people walk about a room (`sim/people`), seen at 640x480 (f = 602 px) from 2 to 6 m by a camera at 0.4 to
1.5 m. Keypoints are the true ones with normal noise of 2 to 4 px, drawn for each frame; confidences are random: 0.45 to
1 for what is visible, below 0.45 for most of what is hidden, but of three hidden joints in ten the network is as sure
as of a seen one. Joints are what `ops/keypoints/joints.py` makes of that and of depth, with its defaults, as the
skeletons node calls it. The truth is the joint's centre, inside the limb; limbs are as thick as a seed draws them.

Depth is

- exact: of the renderer;
- sensor: as the simulated camera measures it (noise, holes along edges);
- real-like: with all faults of `sim/depth_scenes` (also a scale error of the whole image, steps, mixed pixels, shadows,
  specks, misregistration to colour);
- sensor, surface: as sensor, with joints taken to lie on the skin;
- behind a board: as real-like, and a board stands 0.1 to 1 m before one person of each frame, over part of the box; of
  half of the joints behind it the network is as sure as of seen ones.

`visible` are joints that nothing but their own limb hides; `hidden` those that are published although something hides
them, of which depth can only show that; `all` both. `beyond 2 sigma` are the errors along the camera's x, y and z
that are more than two published standard deviations: 5 % if errors were normal and the covariance true.

People in `other postures` are alone, with real-like depth; the angles of their joints are drawn for each frame. Nothing
was tuned on anybody who does not walk.

MoveNet, where its file is beside that of --model, is shown the same people in crops around their true boxes, for
curiosity: PCK are the visible joints that are within a fifth of the trunk (left shoulder to right hip) of the truth.
Nothing is tuned for it.
"""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from scipy.stats import chi2

from benchmark.support.common import Figure, Options, Result, Table, one_core, plt, save_plot
from isaac_inference.errors import FrameError
from isaac_inference.models.card.skeletons.published import COCO_17
from isaac_inference.ops.depth.depth_image import DepthImage
from isaac_inference.ops.keypoints.body import Body, body_of
from isaac_inference.ops.keypoints.joints import joints_in_space
from isaac_inference.sim import default_camera
from isaac_inference.sim.depth_scenes import DepthFaults, measured_depth
from isaac_inference.sim.people import PeopleFrame, PeopleScene, PersonTruth, Posture, observed_keypoints

TITLE = 'Joints of people'
ASKED_MM = 40.0
_BOARD = 'behind a board'
CASES = ('exact', 'sensor', 'real-like', 'sensor, surface', _BOARD)
_FIRST_SEED, _STEP_S, _FRAMES = 9000, 1.3, 6  # nothing was tuned on these seeds
_FAR = 12.0  # m: beyond it a depth camera sees nothing
_MOVENET = 'movenet_singlepose_lightning.onnx'
# posture -> its angles: from and to, in rad; pairs are drawn for each side
_POSTURES: dict[str, dict[str, tuple[float, float]]] = {
    'seated': {'hip': (1.3, 1.7), 'knee': (1.2, 1.8), 'shoulder': (0, 0.6), 'elbow': (0.3, 1.6), 'lean': (-0.1, 0.4)},
    'reaching': {'shoulder': (0.8, 1.7), 'elbow': (0, 0.6), 'spread': (0, 0.4), 'lean': (0, 0.3)},
    'bent': {'lean': (0.7, 1.3), 'shoulder': (0.5, 1.5), 'elbow': (0, 0.5), 'knee': (0, 0.3)},
    'arms up': {'shoulder': (2.3, 3.1), 'elbow': (0, 0.6), 'spread': (0, 0.4)},
    'arms spread': {'spread': (0.8, 1.5), 'hip': (-0.2, 0.4)},
    'crouched': {
        'hip': (1.2, 1.9), 'knee': (1.6, 2.2), 'lean': (0.3, 0.8), 'shoulder': (0.3, 1.2), 'elbow': (0.2, 1.2),
    },
    'arms folded': {'shoulder': (0.1, 0.5), 'elbow': (1.5, 2.2), 'spread': (-0.3, 0.1)},
}  # fmt: skip
_PARTS = [name.replace('left_', '') for name in COCO_17.names if not name.startswith('right_')]


@dataclass
class _Case:
    """What became of all joints of a case."""

    errors: list[np.ndarray] = field(default_factory=list)  # (3,) m each
    scaled: list[np.ndarray] = field(default_factory=list)  # (3,) errors over their standard deviations
    squares: list[float] = field(default_factory=list)  # by the whole covariance
    visible: list[bool] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    seen: int = 0  # joints that are visible
    seen_and_found: int = 0
    heights: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)

    @property
    def mm(self) -> np.ndarray:
        return 1e3 * np.linalg.norm(np.array(self.errors), axis=1)

    def of(self, which: str) -> np.ndarray:
        """(N,) bool, the visible ones, the hidden ones, or all."""
        visible: np.ndarray = np.array(self.visible, bool)
        return {'visible': visible, 'hidden': ~visible, 'all': np.ones_like(visible)}[which]


def run(options: Options) -> Result:
    """All cases over the same frames; then MoveNet."""
    result = Result('joints', TITLE)
    seeds = range(_FIRST_SEED, _FIRST_SEED + options.pick(30, 3))
    cases = {name: _Case() for name in CASES}
    bodies = {name: _body(name) for name in CASES}
    with one_core():
        for seed, index, frame in _frames(seeds):
            for name, case in cases.items():
                rng = np.random.default_rng([seed, index])
                truths, rows = frame.truths, observed_keypoints(frame.truths, rng)
                metres = _depth(frame, name, rng)
                if name == _BOARD:
                    metres, truths = _behind_a_board(metres, truths, rows, np.random.default_rng([seed, index, 7]))
                depth = DepthImage(metres, 1.0)
                for truth, row in zip(truths, rows, strict=True):
                    _judge(case, truth, row, depth, bodies[name])
        _add_tables(result, cases, len(seeds))
        result.tables.append(_postures(seeds))
        _add_movenet(result, Path(options.model).with_name(_MOVENET), seeds)
    _plot(result, options, cases)
    return result


def _frames(seeds: range) -> Iterator[tuple[int, int, PeopleFrame]]:
    for seed in seeds:
        scene = PeopleScene(default_camera(), seed)
        for index in range(_FRAMES):
            yield seed, index, scene.frame(index * _STEP_S)


def _body(case: str) -> Body:
    surface = dict.fromkeys(COCO_17.names, 0.0) if case.endswith('surface') else {}
    return body_of(COCO_17.names, COCO_17.edges, surface)


def _depth(frame: PeopleFrame, case: str, rng: np.random.Generator) -> np.ndarray:
    if case == 'exact':
        return frame.exact_depth
    if case not in ('real-like', _BOARD):
        return frame.depth
    filled = np.where(np.isfinite(frame.exact_depth), frame.exact_depth, _FAR + 3.0)
    faults = DepthFaults()
    measured = measured_depth(filled, np.ones_like(filled), faults, float(rng.normal()) * faults.bias, rng)
    measured[measured > _FAR] = np.nan
    return np.asarray(measured, np.float32)


def _behind_a_board(
    depth: np.ndarray, truths: Sequence[PersonTruth], rows: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, tuple[PersonTruth, ...]]:
    """The depth with a board before one person, and who is still visible; changes the confidences of rows in place."""
    person = truths[int(rng.integers(len(truths)))] if truths else None
    ahead, where = rng.uniform(0.1, 1.0), rng.uniform((0.1, 0.2, 0.15, 0.08), (0.9, 0.9, 0.7, 0.35))
    if person is None or person.joints[:, 2].min() - ahead < 0.6:
        return depth, tuple(truths)
    (x0, y0, x1, y1), z = person.box.tolist(), float(person.joints[:, 2].min()) - ahead
    x, y = x0 + where[0] * (x1 - x0), y0 + where[1] * (y1 - y0)
    half = where[2] * (x1 - x0), where[3] * (y1 - y0)
    height, width = depth.shape
    left, right = max(0, int(x - half[0])), min(width, int(x + half[0]))
    top, bottom = max(0, int(y - half[1])), min(height, int(y + half[1]))
    changed = depth.copy()
    changed[top:bottom, left:right] = z + rng.normal(0.0, 0.0015 * z * z, (bottom - top, right - left))
    seen = []
    for truth, row in zip(truths, rows, strict=True):
        with np.errstate(invalid='ignore'):
            under = ((truth.pixels >= (left, top)) & (truth.pixels < (right, bottom))).all(axis=1)
        newly = under & truth.visible
        sure = rng.random(len(row)) < 0.5
        row[newly, 2] = np.where(sure, rng.uniform(0.45, 1.0, len(row)), rng.uniform(0.0, 0.3, len(row)))[newly]
        seen.append(dataclasses.replace(truth, visible=truth.visible & ~under))
    return changed, tuple(seen)


def _judge(case: _Case, truth: PersonTruth, row: np.ndarray, depth: DepthImage, body: Body) -> None:
    case.seen += int(truth.visible.sum())
    begin = time.process_time()
    try:
        found = joints_in_space(row, truth.box.astype(np.float64), default_camera(), depth, body)
    except FrameError as error:
        case.refused[error.reason] += 1
        return
    finally:
        case.cpu_ms.append(1e3 * (time.process_time() - begin))
    case.left_out.update(found.left_out)
    case.seen_and_found += int((found.found & truth.visible).sum())
    case.heights.append(found.height / truth.height)
    for joint in np.flatnonzero(found.found).tolist():
        error, covariance = found.positions[joint] - truth.joints[joint], found.covariances[joint]
        case.errors.append(error)
        case.scaled.append(np.abs(error) / np.sqrt(np.diag(covariance)))
        case.squares.append(float(error @ np.linalg.solve(covariance, error)))
        case.visible.append(bool(truth.visible[joint]))
        case.names.append(COCO_17.names[joint].replace('left_', '').replace('right_', ''))


def _add_tables(result: Result, cases: dict[str, _Case], seeds: int) -> None:
    table = Table(
        f'Error of joints [mm], {seeds} seeds of {_FRAMES} frames',
        ['depth', 'joints', 'of', 'p50', 'p90', 'p99', 'worst', 'beyond 2 sigma', 'x', 'y', 'z', 'chi2 95'],
    )
    left = Table(
        'Joints that are left out, of 17 for each person',
        ['depth', 'people', 'found', 'unsure', 'outside', 'no depth', 'elsewhere', 'bone', 'visible ones found',
         'hidden', 'people refused', 'stature: p5, p50, p95 of the true one', 'CPU ms a person'],
    )  # fmt: skip
    for name, case in cases.items():
        scaled, squares = np.array(case.scaled), np.array(case.squares)
        for which in ('visible', 'hidden', 'all'):
            use = case.of(which)
            beyond = (scaled[use] > 2.0).mean(axis=0)
            p50, p90, p99 = np.percentile(case.mm[use], (50, 90, 99))
            table.add(
                name, int(use.sum()), which, *(f'{value:.0f}' for value in (p50, p90, p99, case.mm[use].max())),
                *(f'{value:.1%}' for value in (beyond.mean(), *beyond)),
                f'{(squares[use] <= chi2.ppf(0.95, 3)).mean():.1%}',
            )  # fmt: skip
            result.data[f'{name}, {which}'] = {'p50': p50, 'p90': p90, 'p99': p99, 'beyond_2_sigma': beyond.tolist()}
        people = len(case.cpu_ms)
        reasons = ('joint_unsure', 'joint_outside', 'joint_no_depth', 'joint_elsewhere', 'joint_bone')
        low, middle, high = np.nanpercentile(case.heights, (5, 50, 95))
        left.add(
            name, people, f'{len(case.errors) / (17 * people):.1%}',
            *(f'{case.left_out[reason] / (17 * people):.1%}' for reason in reasons),
            f'{case.seen_and_found / case.seen:.1%}', f'{case.left_out["joint_hidden"] / (17 * people):.1%}',
            sum(case.refused.values()),
            f'{low:.3f}, {middle:.3f}, {high:.3f}', f'{np.median(case.cpu_ms):.1f}',
        )  # fmt: skip
    by_part = Table(
        'Error by joint, depth of the sensor [mm]', ['joint', 'joints', 'p50', 'p90', 'worst', 'hidden', 'p50']
    )
    sensor = cases['sensor']
    names, visible = np.array(sensor.names), np.array(sensor.visible)
    for part in _PARTS:
        own, hidden = sensor.mm[(names == part) & visible], sensor.mm[(names == part) & ~visible]
        by_part.add(
            part, len(own), *(f'{value:.0f}' for value in (*np.percentile(own, (50, 90)), own.max())), len(hidden),
            f'{np.median(hidden):.0f}' if len(hidden) else '-',
        )  # fmt: skip
    result.tables += [table, left, by_part]
    for name in ('sensor', 'real-like'):
        case = cases[name]
        p50, p90 = np.percentile(case.mm, (50, 90))
        result.figures.append(
            Figure(
                f'Joints of people, {name} depth, keypoints with noise of 2 to 4 px',
                f'p50 at most {ASKED_MM:.0f} mm',
                f'{p50:.1f} mm (p90 {p90:.0f}, worst {case.mm.max():.0f}); of visible joints '
                f'{np.median(case.mm[case.of("visible")]):.1f} mm; {1 - case.seen_and_found / case.seen:.1%} of the '
                f'visible ones left out; {(np.array(case.scaled) > 2.0).mean():.1%} beyond 2 sigma',
                bool(p50 <= ASKED_MM),
            )
        )
        within = float((np.array(case.scaled)[case.of('visible')] <= 2.0).mean())
        result.figures.append(
            Figure(
                f'Covariance of visible joints, {name} depth',
                '93 to 97 % within 2 sigma',
                f'{within:.1%}',
                bool(0.93 <= within <= 0.97),
            )
        )


def _postures(seeds: range) -> Table:
    """What becomes of people who do not walk."""
    table = Table(
        f'Other postures, real-like depth [mm], {len(seeds)} seeds of 3 frames',
        ['posture', 'visible', 'found', 'p50', 'p90', 'beyond 2 sigma', 'hidden', 'p50', 'p90', 'people refused'],
    )
    for number, (name, angles) in enumerate(_POSTURES.items()):
        case, body = _Case(), _body('real-like')
        for seed in seeds:
            for index in range(3):
                rng = np.random.default_rng([seed, index, number])
                frame = PeopleScene(default_camera(), seed, people=1, posture=_posture(angles, rng)).frame(
                    index * _STEP_S
                )
                rows = observed_keypoints(frame.truths, rng)
                depth = DepthImage(_depth(frame, 'real-like', rng), 1.0)
                for truth, row in zip(frame.truths, rows, strict=True):
                    _judge(case, truth, row, depth, body)
        visible, hidden = case.mm[case.of('visible')], case.mm[case.of('hidden')]
        beyond = float((np.array(case.scaled)[case.of('visible')] > 2.0).mean())
        table.add(
            name, len(visible), f'{case.seen_and_found / case.seen:.1%}',
            *(f'{value:.0f}' for value in np.percentile(visible, (50, 90))), f'{beyond:.1%}', len(hidden),
            *(f'{value:.0f}' for value in np.percentile(hidden, (50, 90))), sum(case.refused.values()),
        )  # fmt: skip
    return table


def _posture(angles: dict[str, tuple[float, float]], rng: np.random.Generator) -> Posture:
    drawn = {name: (float(rng.uniform(*limits)), float(rng.uniform(*limits))) for name, limits in angles.items()}
    lean = drawn.pop('lean', (0.0, 0.0))[0]
    return Posture(lean=lean, **drawn)  # type: ignore[arg-type]


def _add_movenet(result: Result, path: Path, seeds: range) -> None:
    """PCK of a real keypoint network on people of capsules."""
    if not path.is_file():
        result.notes.append('MoveNet is not there: its PCK on simulated people is not measured.')
        return
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])
    right, total, sure = 0, 0, 0
    for _, _, frame in _frames(seeds[: min(len(seeds), 20)]):
        for truth in frame.truths:
            if truth.visibility < 0.8:
                continue
            x, y, confidence = _movenet(session, frame.color, truth.box)
            trunk = np.linalg.norm(truth.pixels[5] - truth.pixels[12])
            off = np.hypot(x - truth.pixels[:, 0], y - truth.pixels[:, 1])
            right += int((off[truth.visible] < 0.2 * trunk).sum())
            sure += int((confidence[truth.visible] >= 0.3).sum())
            total += int(truth.visible.sum())
    table = Table(
        'MoveNet lightning on simulated people', ['visible joints', 'PCK at 0.2 of the trunk', 'confidence >= 0.3']
    )
    table.add(total, f'{right / total:.1%}', f'{sure / total:.1%}')
    result.tables.append(table)
    result.data['movenet'] = {'joints': total, 'pck': right / total}


def _movenet(session: object, color: np.ndarray, box: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x, y in px of the image (0 is its edge) and confidence of 17 joints, from a square crop around a box."""
    center, side = (box[:2] + box[2:]) / 2, 1.25 * float((box[2:] - box[:2]).max())
    scale = 192 / side
    move = np.array([(scale, 0, 96 - scale * center[0]), (0, scale, 96 - scale * center[1])])
    crop = cv2.cvtColor(cv2.warpAffine(color, move, (192, 192)), cv2.COLOR_BGR2RGB)
    name = session.get_inputs()[0].name  # type: ignore[attr-defined]
    rows = session.run(None, {name: crop[None].astype(np.int32)})[0].reshape(17, 3)  # type: ignore[attr-defined]
    x = (192 * rows[:, 1] - move[0, 2]) / scale
    return x, (192 * rows[:, 0] - move[1, 2]) / scale, rows[:, 2]


def _plot(result: Result, options: Options, cases: dict[str, _Case]) -> None:
    figure, axes = plt.subplots(figsize=(7, 4))
    for name, case in cases.items():
        errors = np.sort(case.mm)
        axes.plot(errors, np.linspace(0, 1, len(errors)), label=name)
    axes.axvline(ASKED_MM, color='#9a9a9a', linestyle=':')
    axes.set(xlim=(0, 200), ylim=(0, 1), xlabel='error [mm]', ylabel='part of the joints', title=TITLE)
    axes.legend()
    save_plot(figure, options, 'joints', result)
