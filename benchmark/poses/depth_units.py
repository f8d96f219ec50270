# SPDX-License-Identifier: Apache-2.0
"""The same scene with depth in 16UC1 (mm) and in 32FC1 (m): how far the poses are apart.

Simulated frames with a depth camera's usual noise and holes. Each frame's depth goes through the camera node's own
conversion into an ImageFrame of either encoding and is read back as the pose node reads it; the same detections (true
boxes; for registration corners with a network's noise) then get their poses from both. Millimetres round depth by up
to 0.5 mm, that is all that differs. Two methods: depth alone (the card knows the objects' sizes), and registration
that begins at the keypoints' pose. Depth at the image's resolution and at half of it. `other outcome` are objects that
have a pose with one encoding and none with the other, or of another kind.
"""

from __future__ import annotations

import math

import numpy as np
from std_msgs.msg import Header

from benchmark.support.common import Figure, Options, Result, Stats, Table, plt, save_plot
from benchmark.support.tabletop import View, objects_card, observed, views
from isaac_inference.errors import FrameError
from isaac_inference.ops.depth.depth_image import DepthImage
from isaac_inference.ops.geometry.rigid import rotation_angle
from isaac_inference.ros.messages.depth import DepthEncoding, depth_array, depth_frame
from isaac_inference.ros.messages.image import from_image_message, to_image_message
from isaac_inference.stages.poses import DepthView, ObjectPose, Observed, PoseEstimator, PoseMethod

TITLE = 'Depth in millimetres and in metres'
ASKED_MM = 1.0
METHODS = (PoseMethod.DEPTH, PoseMethod.REGISTRATION)
SIZES = ((640, 480), (320, 240))
_SEED = 31


def run(options: Options) -> Result:
    """Both methods at both resolutions."""
    result = Result('depth_units', TITLE)
    table = Table(
        'Between 16UC1 and 32FC1',
        ['method', 'depth image', 'p50 [mm]', 'p95 [mm]', 'largest [mm]', 'above 1 mm', 'rotation, largest [deg]',
         'other outcome', 'objects'],
    )  # fmt: skip
    apart: dict[str, np.ndarray] = {}
    card = objects_card()
    for method in METHODS:
        estimator = PoseEstimator(card, method)
        for size in SIZES:
            moved, turned, other = _compare(estimator, size, options.pick(120, 10))
            stats, above = Stats.of(moved), int((moved > ASKED_MM).sum())
            table.add(
                method.value, f'{size[0]}x{size[1]}', stats.p50, stats.p95, stats.max, above, float(turned.max()),
                other, len(moved) + other,
            )  # fmt: skip
            apart[f'{method.value}, {size[0]}x{size[1]}'] = moved
            result.data[f'{method.value} {size[0]}x{size[1]}'] = {
                'position_mm': stats.as_json(),
                'rotation_deg': Stats.of(turned).as_json(),
                'other_outcome': other,
            }
    result.tables.append(table)
    for method in METHODS:
        moved = np.concatenate([values for name, values in apart.items() if name.startswith(method.value)])
        result.figures.append(
            Figure(
                f'Same scene in 16UC1 and 32FC1, {method.value}: positions',
                f'equal within {ASKED_MM:g} mm',
                f'p50 {np.median(moved):.2f} mm, largest {moved.max():.2f} mm; {int((moved > ASKED_MM).sum())} of '
                f'{len(moved)} above',
                bool(moved.max() <= ASKED_MM),
            )
        )
    _plot(result, options, apart)
    return result


def _compare(estimator: PoseEstimator, size: tuple[int, int], count: int) -> tuple[np.ndarray, np.ndarray, int]:
    """(n,) mm and (n,) degrees between the two poses of each object, and how many have only one of them."""
    moved, turned, other = [], [], 0
    for number, view in enumerate(views(count, _SEED)):
        depths = [_as_received(view, encoding, size) for encoding in DepthEncoding]
        rng = np.random.default_rng((_SEED, number)) if estimator.uses_keypoints else None
        for truth in view.truths:
            seen = observed(truth, view.camera, rng)
            first, second = (_pose(estimator, seen, view, depth) for depth in depths)
            if first is None or second is None or first.method != second.method:
                other += (first is None) != (second is None) or first is not None
                continue
            moved.append(1000 * float(np.linalg.norm(first.pose.translation - second.pose.translation)))
            turned.append(math.degrees(rotation_angle(first.pose.rotation @ second.pose.rotation.T)))
    return np.array(moved), np.array(turned), other


def _as_received(view: View, encoding: DepthEncoding, size: tuple[int, int]) -> DepthView:
    """Through the message and back."""
    frame = from_image_message(to_image_message(depth_frame(view.frame.depth, encoding, Header(), size)))
    return DepthView(DepthImage.check(depth_array(frame), frame.image.encoding), view.camera.resized(*size))


def _pose(estimator: PoseEstimator, seen: Observed, view: View, depth: DepthView) -> ObjectPose | None:
    try:
        return estimator.estimate(seen, view.camera, depth)
    except FrameError:
        return None


def _plot(result: Result, options: Options, apart: dict[str, np.ndarray]) -> None:
    figure, axes = plt.subplots(figsize=(9, 4))
    for name, moved in apart.items():
        ordered = np.sort(np.maximum(moved, 1e-3))
        axes.step(ordered, 100 * np.arange(1, len(ordered) + 1) / len(ordered), where='post', label=name)
    axes.axvline(ASKED_MM, color='black', linestyle='--', linewidth=1, label='asked: at most 1 mm')
    axes.set_xscale('log')
    axes.set_xlabel('distance between the two positions [mm]')
    axes.set_ylabel('objects [%]')
    axes.set_title('The same object with depth in 16UC1 and in 32FC1')
    axes.grid(alpha=0.3)
    axes.legend()
    save_plot(figure, options, 'depth_units', result)
