# SPDX-License-Identifier: Apache-2.0
"""Whether several cameras together find more than the best of them, and whether what they are sure of is so.

Three simulated cameras around one table, in scenes of seeds that nothing was trained or tuned on, 12 moments of each at
10 Hz. Detector, keypoints and poses are those of the demo model; poses are taken as the pose node gives them, without a
graph in between (`isaac-inference demo --cameras 3` measures the same through all nodes). Fused poses are judged by
all objects that any camera sees to a quarter or more, a camera's own by those that it sees so far.

Cases: calibration exact, and told so; calibration off by 3 mm and 3 mrad (standard deviations on each axis, drawn anew
for each scene), and told so; cameras a third of the period apart; nine objects, so that some are neighbours of their
own kind. Asked: fused at least what the best single camera of that scene reaches and half of what it misses, on the
mean; of the errors of the six axes 90 to 99 % within two standard deviations, on the mean.

At last, one camera of three is moved by 5 cm: is it named, and what does it cost?
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from benchmark.support.common import Figure, Options, Result, Table, one_core, plt, save_plot
from benchmark.support.tabletop import MIN_VISIBILITY
from isaac_inference.engines import create_engine
from isaac_inference.errors import FrameError
from isaac_inference.evaluation import FrameRecord, ObjectGeometry, Poses
from isaac_inference.evaluation.accuracy.frame_record import Boxes
from isaac_inference.evaluation.accuracy.matching import match_poses
from isaac_inference.evaluation.accuracy.pose_scorer import PoseScorer
from isaac_inference.models import read_card
from isaac_inference.ops.fusion import CameraView, Fuser, FusionSettings, Sighting
from isaac_inference.ops.geometry.rigid import Pose, transform_covariance
from isaac_inference.ops.geometry.symmetry import nearest
from isaac_inference.ops.pose.second_pose import difference, moved
from isaac_inference.ros.bringup.evaluation.graph import object_geometries
from isaac_inference.sim import KINDS, Scene, default_camera
from isaac_inference.sim.placement import calibration_error
from isaac_inference.stages import Postprocessor, Preprocessor
from isaac_inference.stages.poses import ObjectPose, Observed, PoseEstimator

TITLE = 'Fusion of three cameras'
SEED = 3101  # those below 1000 were for development
CAMERAS = ('front', 'left', 'right')
LEAST, MOST = 0.90, 0.99
_MOMENTS, _STEP_S = 12, 0.1
_OFF = 0.003  # m, and rad
_MOVED = np.array((0.03, 0.0, 0.04))  # m


@dataclass(frozen=True)
class _Case:
    """`off`: standard deviations of the calibration, m and rad; `phases`: parts of the period between cameras."""

    name: str
    objects: int = 6
    off: float = 0.0
    phases: float = 0.0


CASES = (
    _Case('exact calibration'),
    _Case('calibration off by 3 mm, 3 mrad', off=_OFF),
    _Case('cameras a third of the period apart', phases=1 / 3),
    _Case('nine objects', objects=9, off=_OFF),
)


@dataclass(frozen=True, eq=False)
class _Shot:
    """What one camera sees at one moment: (instance, class, T_world_object, visible part) of each true object."""

    stamp_s: float
    T_world_camera: Pose
    found: tuple[ObjectPose, ...]
    truths: tuple[tuple[int, str, Pose, float], ...]


@dataclass
class _Judged:
    """Of one scene. `good` and `truths` by camera and of all together."""

    good: dict[str, int] = field(default_factory=dict)
    truths: dict[str, int] = field(default_factory=dict)
    false: dict[str, int] = field(default_factory=dict)
    scaled: list[np.ndarray] = field(default_factory=list)  # (6,) errors in standard deviations
    switches: int = 0

    def share(self, name: str) -> float:
        return self.good[name] / max(self.truths[name], 1)

    @property
    def best(self) -> float:
        return max(self.share(name) for name in CAMERAS)

    @property
    def asked(self) -> float:
        return self.best + (1.0 - self.best) / 2.0

    @property
    def inside(self) -> float:
        return float((np.array(self.scaled) <= 2.0).mean())


def run(options: Options) -> Result:
    """Every case, then one camera that was moved."""
    result, count = Result('fusion', TITLE), options.pick(30, 3)
    table = Table(
        f'{count} scenes of {_MOMENTS} moments, ADD(-S) below 0.1 of the diameter [%]',
        ['case', *CAMERAS, 'best of a scene', 'asked', 'fused', 'worst scene', 'best single there', 'missed or wrong',
         'false', 'switched ids', 'within 2 sigma', 'worst scene', 'within 1', 'within 3'],
    )  # fmt: skip
    judged: dict[str, list[_Judged]] = {}
    geometries = object_geometries(read_card(options.pose_model_path()), simulated=True)
    with one_core():
        shown: dict[tuple[int, float], list[list[dict[str, _Shot]]]] = {}
        for case in CASES:
            key = (case.objects, case.phases)
            if key not in shown:
                shown[key] = list(_scenes(options.pose_model_path(), count, *key))
            scenes = shown[key]
            judged[case.name] = [_judge(shots, case, SEED + place, geometries) for place, shots in enumerate(scenes)]
            table.add(case.name, *_row(judged[case.name]))
        named, cost = _moved_camera(shown[6, 0.0], geometries)
    result.tables.append(table)
    for case in CASES:
        _figures(result, case, judged[case.name])
    result.figures.append(
        Figure(
            'One camera of three moved by 50 mm: named with its size, and left out',
            'in every scene',
            f'{named} of {count}, within {_MOMENTS} moments; fused then {cost:.1%}',
            named == count,
        )
    )
    result.data['scenes'] = {
        name: [{'best': one.best, 'fused': one.share('fused'), 'within_2_sigma': one.inside} for one in scenes]
        for name, scenes in judged.items()
    }
    _plot(result, options, judged)
    return result


def _row(scenes: Sequence[_Judged]) -> list[str]:
    worst = min(scenes, key=lambda one: one.share('fused'))
    scaled = np.concatenate([one.scaled for one in scenes])
    good, truths = (sum(getattr(one, what)['fused'] for one in scenes) for what in ('good', 'truths'))
    percents = [np.mean([one.share(name) for one in scenes]) for name in CAMERAS]
    percents += [np.mean([one.best for one in scenes]), np.mean([one.asked for one in scenes])]
    percents += [np.mean([one.share('fused') for one in scenes]), worst.share('fused'), worst.best]
    inside = [(scaled <= 2.0).mean(), min(one.inside for one in scenes), (scaled <= 1.0).mean(), (scaled <= 3.0).mean()]
    false, switches = sum(one.false['fused'] for one in scenes), sum(one.switches for one in scenes)
    return [
        *(f'{100 * value:.1f}' for value in percents),
        f'{truths - good} of {truths}',
        str(false),
        str(switches),
        *(f'{100 * value:.1f}' for value in inside),
    ]


def _figures(result: Result, case: _Case, scenes: Sequence[_Judged]) -> None:
    fused, asked = (
        float(np.mean(values)) for values in zip(*((one.share('fused'), one.asked) for one in scenes), strict=True)
    )
    below = sum(one.share('fused') < one.asked - 1e-9 for one in scenes)
    worst = min(scenes, key=lambda one: one.share('fused'))
    result.figures.append(
        Figure(
            f'Fused poses, ADD(-S) < 0.1 d, {case.name}',
            f'at least the best single camera and half of what it misses: {asked:.1%}',
            f'{fused:.1%} on the mean (best single {np.mean([one.best for one in scenes]):.1%}); {below} of '
            f'{len(scenes)} scenes below; worst scene {worst.share("fused"):.1%} (best single there {worst.best:.1%})',
            fused >= asked,
        )
    )
    inside = float((np.concatenate([one.scaled for one in scenes]) <= 2.0).mean())
    result.figures.append(
        Figure(
            f'Errors of fused poses within 2 standard deviations, {case.name}',
            f'{LEAST:.0%} to {MOST:.0%}',
            f'{inside:.1%} on the mean of six axes, worst scene {min(one.inside for one in scenes):.1%}',
            LEAST <= inside <= MOST,
        )
    )


def _scenes(model: str, count: int, objects: int, phases: float) -> Iterator[list[dict[str, _Shot]]]:
    """Of each scene, by moment, what each camera sees."""
    card, camera = read_card(model), default_camera()
    estimator, preprocess, postprocess = PoseEstimator(card), Preprocessor(card), Postprocessor(card)
    with create_engine(card) as engine:
        for seed in range(SEED, SEED + count):
            views = [
                Scene(camera, seed * 1000, objects=objects, view=view, views=len(CAMERAS))
                for view in range(len(CAMERAS))
            ]
            moments = []
            for index in range(_MOMENTS):
                shots = {}
                for view, name in enumerate(CAMERAS):
                    time_s = (index + view * phases) * _STEP_S
                    frame = views[view].frame(time_s)
                    feeds, letterbox = preprocess(frame.color)
                    found = postprocess(engine.infer(feeds), letterbox)
                    assert found.keypoints is not None
                    poses = []
                    for row in range(len(found.boxes)):
                        label, points = card.labels[found.class_ids[row]], found.keypoints[row]
                        seen = Observed(label, float(found.scores[row]), found.boxes[row], points)
                        try:
                            poses.append(estimator.estimate(seen, camera))
                        except FrameError:
                            continue
                    truths = tuple(
                        (item.instance, item.kind.name, frame.T_world_camera @ item.pose, item.visibility)
                        for item in frame.truths
                    )
                    shots[name] = _Shot(time_s, frame.T_world_camera, tuple(poses), truths)
                moments.append(shots)
            yield moments


def _view(shot: _Shot, calibration: Pose) -> CameraView:
    T = shot.T_world_camera @ calibration
    sightings = [
        Sighting(
            item.label,
            T @ item.pose,
            transform_covariance(item.covariance, T),
            item.score,
            (float(item.size[0]), float(item.size[1]), float(item.size[2])),
            symmetries=KINDS[item.label].symmetries,
            second=item.other and moved(item.other, T),
        )
        for item in shot.found
    ]
    return CameraView(shot.stamp_s, sightings, T.translation)


def _judge(
    moments: Sequence[Mapping[str, _Shot]], case: _Case, seed: int, geometries: Mapping[str, ObjectGeometry]
) -> _Judged:
    fuser = Fuser(FusionSettings(extrinsic_sigma_m=case.off, extrinsic_sigma_rad=case.off))
    calibrations = {name: calibration_error(seed, view, case.off, case.off) for view, name in enumerate(CAMERAS)}
    records: dict[str, list[FrameRecord]] = {name: [] for name in (*CAMERAS, 'fused')}
    judged, numbers = _Judged(), {}
    for index, shots in enumerate(moments):
        views = {name: _view(shot, calibrations[name]) for name, shot in shots.items()}
        fused = fuser.update(views).fused
        newest = max(shots.values(), key=lambda shot: shot.stamp_s)
        seen = {}
        for shot in shots.values():
            for instance, _, _, visible in shot.truths:
                seen[instance] = max(visible, seen.get(instance, 0.0))
        now = {instance: (name, pose) for shot in (*shots.values(), newest) for instance, name, pose, _ in shot.truths}
        truth = _poses([(name, pose, seen[number], str(number)) for number, (name, pose) in now.items()])
        found = _poses(
            [(item.sighting.label, item.sighting.pose, item.sighting.score, str(item.number)) for item in fused]
        )
        records['fused'].append(_record(index, truth, found))
        for name, shot in shots.items():
            own = _poses([(label, pose, visible, str(number)) for number, label, pose, visible in shot.truths])
            alone = [(item.label, item.pose, item.score, '') for item in views[name].sightings]
            records[name].append(_record(index, own, _poses(alone)))
        pairs = match_poses(
            truth, found, limit=lambda row, truth=truth: geometries[truth.classes[row]].diameter,
            min_visibility=MIN_VISIBILITY,
        ).pairs  # fmt: skip
        for row, column in pairs:
            item = fused[column].sighting
            error = difference(nearest(Pose.from_matrix(truth.poses[row]), item.pose, item.symmetries), item.pose)
            judged.scaled.append(np.abs(error) / np.sqrt(item.covariance.diagonal()))
            judged.switches += numbers.get(truth.ids[row], found.ids[column]) != found.ids[column]
            numbers[truth.ids[row]] = found.ids[column]
    scorer = PoseScorer(geometries, MIN_VISIBILITY)
    for name, some in records.items():
        scores = scorer.score(some).values()
        judged.good[name] = sum(error.add_of_diameter < 0.1 for score in scores for error in score.errors)
        judged.truths[name] = sum(score.truths for score in scores)
        judged.false[name] = sum(score.false for score in scores)
    return judged


def _moved_camera(
    scenes: Sequence[Sequence[Mapping[str, _Shot]]], geometries: Mapping[str, ObjectGeometry]
) -> tuple[int, float]:
    """In how many scenes a camera that was moved is named with its size and left out; share of right poses then."""
    named, good, truths = 0, 0, 0
    scorer = PoseScorer(geometries, MIN_VISIBILITY)
    for moments in scenes:
        fuser, result = Fuser(), None
        for index, shots in enumerate(moments):
            views = {name: _view(shot, Pose.identity()) for name, shot in shots.items()}
            wrong = shots['left'].T_world_camera.rotation.T @ _MOVED
            views['left'] = _view(shots['left'], Pose(np.eye(3), wrong))
            result = fuser.update(views)
            if not result.left_out:
                continue
            known = {number: item for name in ('front', 'right') for number, *item in shots[name].truths}
            truth = _poses([(label, pose, visible, str(number)) for number, (label, pose, visible) in known.items()])
            found = [(item.sighting.label, item.sighting.pose, item.sighting.score, '') for item in result.fused]
            for score in scorer.score([_record(index, truth, _poses(found))]).values():
                good += sum(error.add_of_diameter < 0.1 for error in score.errors)
                truths += score.truths
        sizes = [item.size_m for item in result.disagreements] if result else []
        is_right = bool(sizes) and all(abs(size - float(np.linalg.norm(_MOVED))) < 0.01 for size in sizes)
        named += result is not None and result.left_out == ('left',) and is_right
    return named, good / max(truths, 1)


def _record(index: int, truth: Poses, found: Poses) -> FrameRecord:
    return FrameRecord(index + 1, Boxes.empty(), truth, poses=found)


def _poses(items: Sequence[tuple[str, Pose, float, str]]) -> Poses:
    """Of (class, pose, score, id) each."""
    return Poses(
        np.array([pose.matrix() for _, pose, *_ in items], float).reshape(-1, 4, 4),
        np.array([KINDS[label].size for label, *_ in items], float).reshape(-1, 3),
        tuple(label for label, *_ in items),
        np.array([score for *_, score, _ in items], float),
        tuple(number for *_, number in items),
    )


def _plot(result: Result, options: Options, judged: Mapping[str, Sequence[_Judged]]) -> None:
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 5))
    for name, scenes in judged.items():
        best, fused = (
            [100 * value(one) for one in scenes] for value in (lambda one: one.best, lambda one: one.share('fused'))
        )
        left.scatter(best, fused, s=18, label=name)
    line = np.linspace(left.get_xlim()[0], 100, 10)
    left.plot(line, line, color='grey', linewidth=1)
    left.plot(line, (line + 100) / 2, color='black', linestyle='--', linewidth=1, label='asked')
    left.set(xlabel='best single camera of the scene [%]', ylabel='fused [%]', title='ADD(-S) < 0.1 d, scene by scene')
    levels = np.linspace(0.1, 3.0, 30)
    expected = [100 * math.erf(level / math.sqrt(2)) for level in levels]
    right.plot(levels, expected, color='black', linestyle='--', linewidth=1, label='normal')
    for name, scenes in judged.items():
        scaled = np.concatenate([one.scaled for one in scenes])
        right.plot(levels, [100 * (scaled <= level).mean() for level in levels], label=name)
    right.set(xlabel='standard deviations', ylabel='errors within [%]', title='What fused covariances say')
    for axes in (left, right):
        axes.legend(fontsize=8)
        axes.grid(alpha=0.3)
    save_plot(figure, options, 'fusion', result)
