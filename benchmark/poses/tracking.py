# SPDX-License-Identifier: Apache-2.0
"""Whether an object keeps its identity in a crowd, by boxes and by boxes with masks; and how quiet keypoints become.

Crowded simulated scenes: nine objects slide through each other's places on a table that is seen from low above, all of
one class. Detections are what a network gives: the boxes of what is visible, with noise on each side, masks that are a
pixel too large or too small, some detections missing, in random order; an object that is visible to less than 30 % has
a low score, to less than 10 % none. Every frame is given to both trackers. A switch is an object whose id differs from
its last one.

Keypoints: 17 points of a body, at rest and in motion (sines of 0.3 to 1.5 Hz with amplitudes of 5 to 30 % of the body's
size, walking at up to 0.4 sizes a second), with normal noise. Figures are the errors' RMS after the filter over that
before it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from benchmark.support.common import Figure, Options, Result, Table, plt, save_plot
from isaac_inference.ops.geometry.rigid import Pose
from isaac_inference.ops.tracking import KeypointSmoother, SeenMasks, Tracker
from isaac_inference.sim import OBJECTS, default_camera
from isaac_inference.sim.placement import cells, orbit, resting
from isaac_inference.sim.renderer import Light, Placed, Renderer

TITLE = 'Tracking'
SEED = 3001  # those below 1000 were for development
WAYS = ('boxes', 'boxes and masks')
RATES = (10.0, 5.0, 2.5)
LOSSES = ((0.05, 0.03), (0.10, 0.05))  # part of the detections that is missing; noise of a side, in sides
_OBJECTS, _FRAMES, _SPACING = 9, 90, 0.25
_LIGHT = Light((0.3, 0.4, 0.87), 0.6, 0.4, 0.4)
_HIDDEN, _LOW, _LEAST_PIXELS = 0.1, 0.3, 100
_KERNEL = np.ones((3, 3), np.uint8)


@dataclass(frozen=True, eq=False)
class _Seen:
    """One object of one frame: its number, (4,) box of what is visible, score, and (H, W) uint8 mask."""

    number: int
    box: np.ndarray
    score: float
    mask: np.ndarray


def run(options: Options) -> Result:
    """Crowds, then keypoints."""
    result = Result('tracking', TITLE)
    count = options.pick(24, 2)
    scenes = [list(_crowd(SEED + i)) for i in range(count)]
    table = Table(
        f'Identity switches a scene of {_FRAMES / 10:g} s, {count} scenes',
        ['detections', *(f'{way}: {what}' for way in WAYS for what in ('mean', 'worst', 'with an id [%]'))],
    )
    means: dict[str, list[float]] = {way: [] for way in WAYS}
    for rate in RATES:
        for missing, noise in LOSSES:
            cells_of_row: list[float | str] = []
            for way in WAYS:
                tried = [
                    _switches(scene[:: round(10 / rate)], 1 / rate, missing, noise, (5, SEED + i), way != WAYS[0])
                    for i, scene in enumerate(scenes)
                ]
                switches = np.array([item[0] for item in tried])
                given = 100 * sum(item[1] for item in tried) / sum(item[2] for item in tried)
                means[way].append(float(switches.mean()))
                cells_of_row += [float(switches.mean()), int(switches.max()), f'{given:.1f}']
            table.add(f'{rate:g} Hz, {missing:.0%} missing, {noise:.0%} noise', *cells_of_row)
    result.tables.append(table)
    by_boxes, by_masks = (np.array(means[way]) for way in WAYS)
    result.figures.append(
        Figure(
            'Identity switches in a crowd, boxes and masks against boxes alone',
            'fewer',
            f'{by_masks.mean():.2f} against {by_boxes.mean():.2f} a scene; of the six cases from '
            f'{100 * (1 - (by_masks / by_boxes).max()):.0f} to {100 * (1 - (by_masks / by_boxes).min()):.0f} % fewer',
            bool((by_masks < by_boxes).all()),
        )
    )
    result.data['switches'] = means
    _keypoints(result, options.pick(20, 3))
    figure, axes = plt.subplots(figsize=(8, 4))
    place = np.arange(len(by_boxes))
    for offset, way in zip((-0.2, 0.2), WAYS, strict=True):
        axes.bar(place + offset, means[way], 0.38, label=way)
    axes.set_xticks(place, [f'{rate:g} Hz\n{missing:.0%}, {noise:.0%}' for rate in RATES for missing, noise in LOSSES])
    axes.set_ylabel('identity switches a scene')
    axes.legend()
    save_plot(figure, options, 'tracking', result)
    return result


def _crowd(seed: int) -> Iterator[list[_Seen]]:
    """Frames at 10 Hz."""
    rng, renderer = np.random.default_rng((91, seed)), Renderer(default_camera())
    kinds = [OBJECTS[index % len(OBJECTS)] for index in rng.permutation(_OBJECTS)]
    places = cells(_OBJECTS, _SPACING, rng)
    starts = [
        resting(kind, int(rng.integers(6)), *place, rng.uniform(0, 2 * np.pi))
        for kind, place in zip(kinds, places, strict=True)
    ]
    slides = np.concatenate((rng.uniform(-0.25, 0.25, (_OBJECTS, 2)), np.zeros((_OBJECTS, 1))), axis=1)
    rates, phases = rng.uniform(0.5, 1.5, _OBJECTS), rng.uniform(0, 2 * np.pi, _OBJECTS)
    azimuth, elevation, phase = rng.uniform(-0.5, 0.5), rng.uniform(0.3, 0.6), rng.uniform(0, 2 * np.pi)
    for index in range(_FRAMES):
        time_s = 0.1 * index
        view = orbit(azimuth + 0.3 * np.sin(0.5 * time_s + phase), elevation, 0.9, np.array((0.0, 0.0, 0.06)))
        moved = _moved(starts, slides * np.sin(rates * time_s + phases)[:, None])
        placed = [Placed(kind, view.inverse() @ pose) for kind, pose in zip(kinds, moved, strict=True)]
        shown = renderer.render(placed, view, table=1, wall=2, light=_LIGHT)
        yield _visible(shown.instances, shown.visibility)


def _moved(starts: list[Pose], moves: np.ndarray) -> list[Pose]:
    """Poses, each moved by its row of (N, 3) m."""
    return [Pose(pose.rotation, pose.translation + move) for pose, move in zip(starts, moves, strict=True)]


def _visible(instances: np.ndarray, visibility: np.ndarray) -> list[_Seen]:
    found = []
    for number, part in enumerate(visibility.tolist(), 1):
        mask = (instances == number).astype(np.uint8)
        if part < _HIDDEN or cv2.countNonZero(mask) < _LEAST_PIXELS:
            continue
        x, y, width, height = cv2.boundingRect(mask)
        box = np.array((x, y, x + width, y + height), np.float64)
        found.append(_Seen(number, box, 0.8 if part > _LOW else 0.3, mask))
    return found


def _switches(
    frames: list[list[_Seen]], step_s: float, missing: float, noise: float, seed: tuple[int, int], by_masks: bool
) -> tuple[int, int, int]:
    """Switches of a scene, detections that got an id, and all detections."""
    rng, tracker = np.random.default_rng(seed), Tracker()
    last: dict[int, int] = {}
    switched = given = asked = 0
    for index, seen in enumerate(frames):
        kept = [item for item in seen if rng.random() >= missing]
        kept = [kept[place] for place in rng.permutation(len(kept))]
        boxes = np.array([_noisy(item.box, noise, rng) for item in kept]).reshape(-1, 4)
        image = _painted(kept, rng)
        scores = np.array([item.score for item in kept])
        masks = SeenMasks.of_image(image, len(kept)) if by_masks else None
        ids = tracker.update(index * step_s, boxes, scores, np.zeros(len(kept), np.int64), masks)
        asked += len(kept)
        for item, identity in zip(kept, ids.tolist(), strict=True):
            if identity:
                given += 1
                switched += last.get(item.number, identity) != identity
                last[item.number] = identity
    return switched, given, asked


def _noisy(box: np.ndarray, noise: float, rng: np.random.Generator) -> np.ndarray:
    return box + rng.normal(0.0, noise, 4) * np.tile(box[2:] - box[:2], 2)


def _painted(seen: list[_Seen], rng: np.random.Generator) -> np.ndarray:
    """(H, W) uint16, the masks a pixel too large or too small; the higher score wins."""
    image = np.zeros((480, 640), np.uint16)
    for place in sorted(range(len(seen)), key=lambda row: seen[row].score):
        change = cv2.erode if rng.random() < 0.5 else cv2.dilate
        image[change(seen[place].mask, _KERNEL) > 0] = place + 1
    return image


def _keypoints(result: Result, bodies: int) -> None:
    table = Table(
        'Keypoints behind the one-euro filter, RMS over that before it',
        ['noise [% of the size]', 'rate [Hz]', 'at rest', 'in motion, mean', 'in motion, worst'],
    )
    for noise in (0.003, 0.01, 0.02):
        for rate in (30.0, 10.0):
            rest, motion = (
                np.array([_ratio(SEED + i, rate, noise, moves) for i in range(bodies)]) for moves in (False, True)
            )
            table.add(f'{100 * noise:g}', rate, float(rest.mean()), float(motion.mean()), float(motion.max()))
            result.data[f'keypoints {noise:g} {rate:g}'] = [float(rest.mean()), float(motion.mean())]
    result.tables.append(table)


def _ratio(seed: int, rate: float, noise: float, moves: bool) -> float:
    rng, smoother = np.random.default_rng((6, seed)), KeypointSmoother()
    size = rng.uniform(60.0, 400.0)
    base, swing = rng.uniform(0, 1, (17, 2)), rng.uniform(0.05, 0.3, (17, 2)) * moves
    rates, phases = rng.uniform(0.3, 1.5, (17, 2)), rng.uniform(0, 2 * np.pi, (17, 2))
    walk = rng.uniform(-0.4, 0.4, 2) * moves
    before, after = [], []
    for time_s in np.arange(0.0, 6.0, 1.0 / rate):
        truth = (base + swing * np.sin(2 * np.pi * rates * time_s + phases) + walk * time_s) * size
        seen = truth + rng.normal(0.0, noise * size, truth.shape)
        rows = np.concatenate((seen, np.ones((17, 1))), axis=1)[None]
        smooth = smoother.update(float(time_s), [1], rows, [size])[0, :, :2]
        if time_s > 0.5:
            before.append(seen - truth)
            after.append(smooth - truth)
    return float(np.sqrt(np.mean(np.square(after)) / np.mean(np.square(before))))
