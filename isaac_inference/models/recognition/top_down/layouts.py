# SPDX-License-Identifier: Apache-2.0
"""What the outputs of the known top-down networks look like: MoveNet, BlazePose, SimCC, and heatmaps that say so."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from isaac_inference.models.card.shipped_labels.segmentation import SEGMENTATION_LABELS
from isaac_inference.models.card.skeletons.published import BLAZEPOSE_33, COCO_17, skeleton_of
from isaac_inference.models.card.skeletons.spec import SkeletonSpec
from isaac_inference.models.card.tasks import PRESENCE, KeypointForm, PointUnit
from isaac_inference.models.card.tensor_spec import TensorSpec
from isaac_inference.models.recognition.layouts.candidate import Evidence
from isaac_inference.models.recognition.layouts.roles import base_name
from isaac_inference.models.recognition.maps import dense_maps, known_shape

_MOVENET = (1, 17, 3)
_BLAZEPOSE_VALUES, _BLAZEPOSE_WORLD, _BLAZEPOSE_POINTS = 195, 117, 39
_SIMCC_NAMES = ('simcc', 'simdr')
_HEATMAP_NAMES = ('heatmap', 'heat_map', 'keypoint', 'kpt', 'joint')
_HEATMAP_WORDS = ('keypoint_head', 'deconv_layers', 'vitpose', 'simplebaseline')  # in names in the graph
_CLASS_COUNTS = {len(names) for names in SEGMENTATION_LABELS.values()}  # which as many maps are likelier to be
_FEWEST = 5  # keypoints of a network that nobody says is one
_MOST_BINS_PER_PX = 8.0


@dataclass(frozen=True)
class TopDownLayout:
    """One way to read the outputs of a top-down network.

    Attributes:
        form: how the keypoints are put out.
        roles: what each output is.
        why: what speaks for it.
        fields: of `TopDownKeypointsSpec`, those that follow.
        skeleton: of the network that it is; None where it may be any.
        convention: how that network's images are prepared, '' where it may be any.
    """

    form: KeypointForm
    roles: Mapping[str, TensorSpec]
    why: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    skeleton: SkeletonSpec | None = None
    convention: str = ''


def find_top_down(evidence: Evidence) -> TopDownLayout | None:
    """How the outputs are read where they can only be keypoints of one person; None where they may be anything else.

    Raises:
        ModelError: they are such, but which is x and which y is not clear.
    """
    return _movenet(evidence) or _blazepose(evidence) or _simcc(evidence) or _heatmaps(evidence)


def numbers_each(evidence: Evidence, spec: TensorSpec) -> int | None:
    """How many numbers an output has for each image; None where neither its shape nor one run says it."""
    shape = known_shape(evidence, spec)
    return None if not shape or None in shape[1:] else math.prod(size or 0 for size in shape[1:])


def heatmap_layouts(evidence: Evidence, spec: TensorSpec) -> list[tuple[str, int]]:
    """(layout, keypoints) of the ways to read an output as a map for each of five or more keypoints."""
    if len(spec.shape) != 4 or not spec.dtype.startswith('float'):
        return []
    ways = [(item.layout.value, item.channels or 0) for item in dense_maps(evidence, spec) if item.stride]
    return [way for way in ways if way[1] >= _FEWEST]


def _movenet(evidence: Evidence) -> TopDownLayout | None:
    """One row of 17 keypoints as y, x, score."""
    outputs = evidence.outputs
    if len(outputs) != 1 or outputs[0].shape[1:] != _MOVENET or not outputs[0].dtype.startswith('float'):
        return None
    fields = {'columns': ('y', 'x', 'confidence'), 'unit': PointUnit.FRACTION, 'activation': 'none'}
    why = f"shape of {outputs[0].name}: MoveNet's for one person"
    return TopDownLayout(KeypointForm.POINTS, {'keypoints': outputs[0]}, why, fields, COCO_17, 'movenet')


def _blazepose(evidence: Evidence) -> TopDownLayout | None:
    """39 points of five values, a flag, and what else such a network has: places in metres, and maps."""
    counts = {spec.name: numbers_each(evidence, spec) for spec in evidence.outputs}
    points = [spec for spec in evidence.outputs if counts[spec.name] == _BLAZEPOSE_VALUES]
    flags = [spec for spec in evidence.outputs if counts[spec.name] == 1]
    beside = any(
        counts[spec.name] == _BLAZEPOSE_WORLD or (len(spec.shape) == 4 and _BLAZEPOSE_POINTS in spec.shape)
        for spec in evidence.outputs
    )
    if len(points) != 1 or len(flags) != 1 or not beside:
        return None
    fields = {
        'columns': ('x', 'y', 'other', 'confidence', 'confidence'),
        'unit': PointUnit.PIXELS,
        'extra': _BLAZEPOSE_POINTS - len(BLAZEPOSE_33.names),
        'activation': 'sigmoid',
    }
    roles = {'keypoints': points[0], PRESENCE: flags[0]}
    why = f"shapes of {points[0].name} and the outputs beside it: BlazePose's"
    return TopDownLayout(KeypointForm.POINTS, roles, why, fields, BLAZEPOSE_33, 'mediapipe')


def _simcc(evidence: Evidence) -> TopDownLayout | None:
    """Two outputs of as many rows, whose lengths are the width and the height of the input, each as many times."""
    outputs = evidence.outputs
    if len(outputs) != 2 or any(len(spec.shape) != 3 or not spec.dtype.startswith('float') for spec in outputs):
        return None
    first, second = outputs
    shapes = [known_shape(evidence, spec) for spec in outputs]
    if None in (*shapes[0][1:], *shapes[1][1:]) or shapes[0][1] != shapes[1][1]:
        return None
    names = [base_name(spec.name) for spec in outputs]
    if all(any(word in name for word in _SIMCC_NAMES) for name in names):
        ends = [name.rstrip('0123456789_')[-1:] for name in names]
        if sorted(ends) == ['x', 'y']:
            x, y = (first, second) if ends == ['x', 'y'] else (second, first)
            return TopDownLayout(KeypointForm.SIMCC, {'x': x, 'y': y}, f'names of {x.name} and {y.name}')
    ways = [
        (x, y)
        for (x, bins_x), (y, bins_y) in (
            ((first, shapes[0][2]), (second, shapes[1][2])),
            ((second, shapes[1][2]), (first, shapes[0][2])),
        )
        if _are_bins(bins_x or 0, bins_y or 0, evidence.input_wh)
    ]
    if not ways or (shapes[0][1] or 0) < _FEWEST:
        return None
    if len(ways) > 1:
        raise evidence.file.unclear(
            f'{first.name} and {second.name} are histograms over x and y of keypoints (SimCC), but which is which is '
            'not clear',
            *(f'outputs: {{x: {x.name}, y: {y.name}}}' for x, y in ways),
        )
    x, y = ways[0]
    why = f'lengths of {x.name} and {y.name}: as many bins for each px of the input along both'
    return TopDownLayout(KeypointForm.SIMCC, {'x': x, 'y': y}, why)


def _are_bins(x: int, y: int, input_wh: tuple[int, int]) -> bool:
    """True where so many bins are the same number for each px of both sides, one or more."""
    width, height = input_wh
    low, high = max((x - 0.5) / width, (y - 0.5) / height), min((x + 0.5) / width, (y + 0.5) / height)
    return low <= high and x >= width and y >= height and x / width <= _MOST_BINS_PER_PX


def _heatmaps(evidence: Evidence) -> TopDownLayout | None:
    """One output with a map for each keypoint, where its name or those in the graph say that it is that."""
    if len(evidence.outputs) != 1:
        return None
    spec = evidence.outputs[0]
    named = any(word in base_name(spec.name) for word in _HEATMAP_NAMES)
    said = '' if named else evidence.file.mentions(*_HEATMAP_WORDS)
    if not named and not said:
        return None
    ways = heatmap_layouts(evidence, spec)
    if not named:
        ways = [(layout, count) for layout, count in ways if skeleton_of(count) and count not in _CLASS_COUNTS]
    if len(ways) != 1:
        return None
    why = f'name and shape of {spec.name}' if named else f'shape of {spec.name}, and names in the graph ({said})'
    return TopDownLayout(KeypointForm.HEATMAPS, {'heatmaps': spec}, why, {'layout': ways[0][0]})
