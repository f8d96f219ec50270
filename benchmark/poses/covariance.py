# SPDX-License-Identifier: Apache-2.0
"""Whether covariances of poses mean what they say: how many errors are within how many standard deviations.

Each case gives errors of poses (x, y, z in m, rotation about the camera's x, y, z in rad) with their covariances. For a
normal distribution 68.3, 95.4 and 99.7 % of each axis's errors are within 1, 2 and 3 standard deviations, and the
squared distance by the whole covariance is chi-square with 6 degrees of freedom. Asked are 90 to 99 % within 2; where
the noise is below what a method takes to be the least (`pnp.pixel_noise`, 1 px), more is right.

- keypoints, simulated: cuboids of the simulator's sizes in any pose, 0.4 to 1.5 m from a 640x480 camera (f = 600 px),
  with noise on each corner: normal at six levels; with Student's distribution (4 degrees of freedom); with one of
  seven corners 2.5 times as noisy; with confidences that say nothing, and that are inverse to the standard deviation;
  with one and two of eight corners 20 to 150 px off.
- keypoints, network: what the demo model finds in simulated scenes of seeds that it was not trained or tuned on, of
  objects that are visible to a quarter or more, judged against the canonical truth.

Another method is a case more: a function from seed and number to `Sample`s, in `_cases`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.stats import chi2, norm

from benchmark.support.common import Figure, Options, Result, Table, one_core, plt, save_plot
from benchmark.support.tabletop import MIN_VISIBILITY
from isaac_inference.engines import create_engine
from isaac_inference.errors import FrameError
from isaac_inference.models import read_card
from isaac_inference.ops.boxes.nms import box_iou
from isaac_inference.ops.geometry.camera_model import CameraModel
from isaac_inference.ops.geometry.cuboid import cuboid_corners
from isaac_inference.ops.geometry.rigid import Pose
from isaac_inference.ops.geometry.symmetry import canonical
from isaac_inference.ops.pose.pnp import PnpSettings, estimate_pnp
from isaac_inference.ops.pose.second_pose import difference
from isaac_inference.sim import KINDS, OBJECT_SIZES, Scene, default_camera
from isaac_inference.stages import Postprocessor, Preprocessor
from isaac_inference.stages.poses import Observed, PoseEstimator, PoseMethod

TITLE = 'Covariance of poses'
LEAST, MOST = 0.90, 0.99
SEED = 2100
CAMERA = CameraModel(640, 480, np.array(((600.0, 0, 320), (0, 610.0, 240), (0, 0, 1))))
_LEVELS = (0.5, 0.68, 0.8, 0.9, 0.954, 0.99)
_SCENE_FRAMES, _STEP_S = 10, 0.7


@dataclass(frozen=True, eq=False)
class Sample:
    """One pose: (6,) its error, and its (6, 6) covariance."""

    error: np.ndarray
    covariance: np.ndarray


Source = Callable[[int, int], Iterator[Sample | None]]  # of a seed and a number of objects; None: refused


@dataclass(frozen=True)
class _Case:
    """`floor`: the noise is below what the method takes to be the least, so more than `MOST` is right."""

    name: str
    source: Source
    floor: bool = False


@dataclass(frozen=True)
class _Noise:
    """Of simulated keypoints; `kind` is normal, student or mixed, `confidence` certain, random or right."""

    px: float
    kind: str = 'normal'
    confidence: str = 'certain'
    outliers: int = 0


def run(options: Options) -> Result:
    """Every case."""
    result = Result('covariance', TITLE)
    table = Table(
        'Errors within their covariance [%]',
        ['case', 'poses', '1 sigma', '2 sigma', 'worst axis', 'best axis', '3 sigma', 'chi2 50', '90', '95', '99'],
    )
    curves: dict[str, np.ndarray] = {}
    within: dict[str, float] = {}
    with one_core():
        for case in _cases():
            scaled, squares, kept = _judge(case, options.pick(3000, 300))
            inside = (scaled <= 2.0).mean(axis=0)
            within[case.name] = float(inside.mean())
            table.add(
                case.name,
                f'{kept:.1%}',
                *(f'{100 * value:.1f}' for value in ((scaled <= 1).mean(), inside.mean(), inside.min(), inside.max())),
                f'{100 * (scaled <= 3).mean():.1f}',
                *(f'{100 * (squares <= chi2.ppf(level, 6)).mean():.1f}' for level in (0.5, 0.9, 0.95, 0.99)),
            )
            curves[case.name] = np.array([(scaled <= norm.ppf(0.5 + level / 2)).mean() for level in _LEVELS])
            result.data[case.name] = {'kept': kept, 'within_2_sigma': inside.tolist()}
    result.tables.append(table)
    judged = {case.name: within[case.name] for case in _cases() if not case.floor}
    low, high = min(judged, key=judged.__getitem__), max(judged, key=judged.__getitem__)
    result.figures.append(
        Figure(
            f'Errors within 2 standard deviations, mean of the six axes, {len(judged)} cases',
            f'{LEAST:.0%} to {MOST:.0%} in each',
            f'{judged[low]:.1%} ({low}) to {judged[high]:.1%} ({high})',
            judged[low] >= LEAST and judged[high] <= MOST,
        )
    )
    _plot(result, options, curves)
    return result


def _cases() -> list[_Case]:
    noises = {f'keypoints, {px:g} px': _Noise(px) for px in (0.3, 0.5, 1.0, 2.0, 3.0, 5.0)}
    noises |= {f'keypoints, {px:g} px, heavy tails': _Noise(px, 'student') for px in (1.0, 2.0)}
    noises |= {f'keypoints, {px:g} px, mixed': _Noise(px, 'mixed') for px in (1.0, 2.0)}
    noises |= {f'keypoints, 2 px, {word} confidences': _Noise(2.0, confidence=word) for word in ('random', 'right')}
    noises |= {f'keypoints, 1 px, {count} outliers': _Noise(1.0, outliers=count) for count in (1, 2)}
    noises['keypoints, 3 px, 1 outlier'] = _Noise(3.0, outliers=1)
    cases = [
        _Case(name, partial(_simulated, noise), noise.px < PnpSettings().pixel_noise) for name, noise in noises.items()
    ]
    return [*cases, _Case('keypoints, demo network', _network)]


def _judge(case: _Case, count: int) -> tuple[np.ndarray, np.ndarray, float]:
    """(N, 6) errors in standard deviations, (N,) squared distances, and the share that has a pose."""
    samples = list(case.source(SEED, count))
    poses = [sample for sample in samples if sample is not None]
    scaled = [np.abs(sample.error) / np.sqrt(sample.covariance.diagonal()) for sample in poses]
    squares = [float(sample.error @ np.linalg.solve(sample.covariance, sample.error)) for sample in poses]
    return np.array(scaled), np.array(squares), len(poses) / len(samples)


def _simulated(noise: _Noise, seed: int, count: int) -> Iterator[Sample | None]:
    rng, sizes, settings = np.random.default_rng(seed), list(OBJECT_SIZES.values()), PnpSettings()
    for _ in range(count):
        model = cuboid_corners(sizes[rng.integers(len(sizes))])
        distance = rng.uniform(0.4, 1.5)
        truth = Pose.from_quaternion(rng.normal(size=4), (*rng.uniform(-0.2, 0.2, 2) * distance, distance))
        keypoints = np.column_stack((CAMERA.project(truth.apply(model)) + 0.5, np.ones(8)))
        error = rng.normal(size=(8, 2))
        if noise.kind == 'student':
            error = rng.standard_t(4, (8, 2)) / math.sqrt(2.0)  # of variance 1
        elif noise.kind == 'mixed':
            error *= np.where(rng.random(8) < 1 / 7, 2.5, 1.0)[:, None]
        if noise.confidence != 'certain':
            keypoints[:, 2] = rng.uniform(0.25, 1.0, 8)
        if noise.confidence == 'right':
            error *= np.sqrt((keypoints[:, 2] ** 2).mean()) / keypoints[:, 2:]
        keypoints[:, :2] += noise.px * error
        wrong = rng.choice(8, noise.outliers, replace=False)
        keypoints[wrong, :2] += rng.choice([-1, 1], (len(wrong), 2)) * rng.uniform(20, 150, (len(wrong), 2))
        try:
            found = estimate_pnp(keypoints, model, CAMERA, settings)
        except FrameError:
            yield None
            continue
        assert found.covariance is not None
        yield Sample(difference(truth, found.pose), found.covariance)


def _network(seed: int, count: int) -> Iterator[Sample | None]:
    card, camera = read_card(Options().pose_model_path()), default_camera()
    estimator = PoseEstimator(card, PoseMethod.KEYPOINTS)
    preprocess, postprocess, asked = Preprocessor(card), Postprocessor(card), 0
    with create_engine(card) as engine:
        while asked < count:
            scene, seed = Scene(camera, seed), seed + 1
            for index in range(_SCENE_FRAMES):
                frame = scene.frame(index * _STEP_S)
                feeds, letterbox = preprocess(frame.color)
                found = postprocess(engine.infer(feeds), letterbox)
                assert found.keypoints is not None
                for truth in frame.truths:
                    same = np.array([card.labels[number] == truth.kind.name for number in found.class_ids], bool)
                    if truth.visibility < MIN_VISIBILITY or not same.any():
                        continue
                    asked += 1
                    overlap = np.where(same, box_iou(found.boxes, np.asarray(truth.box)[None])[:, 0], 0.0)
                    row = int(overlap.argmax())
                    seen = Observed(truth.kind.name, float(found.scores[row]), found.boxes[row], found.keypoints[row])
                    try:
                        pose = estimator.estimate(seen, camera)
                    except FrameError:
                        yield None
                        continue
                    turns = KINDS[truth.kind.name].symmetries
                    yield Sample(difference(canonical(truth.pose, turns), pose.pose), pose.covariance)


def _plot(result: Result, options: Options, curves: dict[str, np.ndarray]) -> None:
    figure, axes = plt.subplots(figsize=(7.5, 6))
    expected = 100 * np.array(_LEVELS)
    axes.plot((40, 100), (40, 100), color='black', linestyle='--', linewidth=1, label='as said')
    for name, observed in curves.items():
        style = {'linewidth': 2.5, 'color': 'black'} if 'network' in name else {'linewidth': 1.2}
        axes.plot(expected, 100 * observed, marker='.', label=name.removeprefix('keypoints, '), **style)
    axes.set_xlabel('expected share of errors [%]')
    axes.set_ylabel('observed share of errors [%]')
    axes.set_title('Poses from keypoints: errors of the six axes within their standard deviations')
    axes.legend(fontsize=7)
    axes.grid(alpha=0.3)
    save_plot(figure, options, 'covariance', result)
