# SPDX-License-Identifier: Apache-2.0
"""Outputs for each level of the grid: anchor-free heads, YOLO's raw maps, DetectNet and CenterNet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from isaac_inference.models.card.families import ANCHORS, LEVEL_STRIDES
from isaac_inference.models.card.tensor_spec import TensorSpec
from isaac_inference.models.recognition.layouts.candidate import Candidate, Evidence
from isaac_inference.models.recognition.layouts.roles import base_name

_HEAT_MAPS = ('heat', 'hm')  # in CenterNet's names of outputs
_BINS = (4, 32, 64, 68, 72)  # 4 sides as distances, or as distributions of 8, 16, 17 or 18 bins
_ANCHORS_PER_LEVEL = 3


def level_outputs(evidence: Evidence) -> list[Candidate]:
    """The decoder for outputs of several grid levels, or maps of one; [] where they are none."""
    wh = evidence.input_wh
    levels: dict[int, list[tuple[TensorSpec, int]]] = {}
    for spec in evidence.outputs:
        stride, channels = _level(spec, wh)
        if stride is None or channels is None:
            return _one_level(evidence)
        levels.setdefault(stride, []).append((spec, channels))
    if len(levels) == 1:
        return _one_level(evidence)
    widths = [sorted(channels for _, channels in found) for found in levels.values()]
    if len(levels) < 2 or any(found != widths[0] for found in widths):
        return []
    per_level = len(widths[0])
    if per_level == 1:
        return _anchor_heads(evidence, levels, widths[0][0])
    return _anchor_free_heads(evidence, levels) if per_level in (2, 3) else []


def _level(spec: TensorSpec, wh: tuple[int, int]) -> tuple[int | None, int | None]:
    """(stride in px, channels) of one level's output: [N, cells, channels] or a map; None where it is not one."""
    width, height = wh
    for stride in LEVEL_STRIDES:
        columns, rows = -(-width // stride), -(-height // stride)
        shape = spec.shape
        if len(shape) == 3 and shape[1] == rows * columns:
            return stride, shape[2]
        if len(shape) == 4 and shape[2:] == (rows, columns):
            return stride, shape[1]
        if len(shape) == 4 and shape[1:3] == (rows, columns):
            return stride, shape[3]
        if len(shape) == 5 and (shape[2:4] == (rows, columns) or shape[1:3] == (rows, columns)):
            anchors = shape[1] if shape[2:4] == (rows, columns) else shape[3]
            return stride, None if None in (anchors, shape[4]) else anchors * shape[4]  # type: ignore[operator]
    return None, None


def _anchor_heads(
    evidence: Evidence, levels: Mapping[int, Sequence[tuple[TensorSpec, int]]], channels: int
) -> list[Candidate]:
    """YOLO's raw maps: three anchors with box, objectness and classes each."""
    if channels % _ANCHORS_PER_LEVEL or channels // _ANCHORS_PER_LEVEL <= 5 or len(levels) not in (2, 3):
        return []
    specs = {stride: levels[stride][0][0] for stride in sorted(levels)}
    tails = [evidence.tail(spec) for spec in specs.values()]
    activated = all(tail.is_known and 'Sigmoid' in tail.ops for tail in tails)
    ranks = {len(spec.shape) for spec in specs.values()}
    is_v5 = ranks == {5} and evidence.file.producer.startswith('pytorch')
    options = {
        'anchors': ANCHORS['yolov3' if len(levels) == 3 else 'yolov3_tiny'],
        'formula': 'v5' if is_v5 else 'v3',
        'activated': activated,
    }
    roles = {f'predictions_{stride}': spec for stride, spec in specs.items()}
    why = f'maps of strides {", ".join(map(str, specs))}, {_ANCHORS_PER_LEVEL} x (5 + nc) channels each'
    count = channels // _ANCHORS_PER_LEVEL - 5
    return [Candidate('anchor_heads', roles, why, options, count, 'ultralytics' if is_v5 else 'darknet')]


def _anchor_free_heads(evidence: Evidence, levels: Mapping[int, Sequence[tuple[TensorSpec, int]]]) -> list[Candidate]:
    """Class scores and distances for each level, and an objectness in some."""
    roles: dict[str, TensorSpec] = {}
    count = bins = 0
    for stride in sorted(levels):
        found = dict(_split_level(levels[stride]))
        if 'scores' not in found or 'boxes' not in found:
            return []
        roles |= {f'{role}_{stride}': spec for role, (spec, _) in found.items()}
        count, bins = found['scores'][1], found['boxes'][1]
    scores = [spec for role, spec in roles.items() if role.startswith('scores')]
    boxes = [spec for role, spec in roles.items() if role.startswith('boxes')]
    options: dict[str, object] = {}
    if not all('Sigmoid' in evidence.tail(spec).ops for spec in scores):
        numbers = [evidence.values().get(spec.name) for spec in scores]
        is_raw = any(item is not None and (item.min() < -1e-3 or item.max() > 1 + 1e-3) for item in numbers)
        options['activation'] = 'sigmoid' if is_raw or evidence.tail(scores[0]).is_known else 'none'
    is_rtmdet = bins == 4
    if is_rtmdet:
        options['cell_offset'] = 0.0
        if any('Mul' in evidence.tail(spec).last for spec in boxes):
            options['distances'] = 'px'
    why = f'scores and distances of strides {", ".join(str(stride) for stride in sorted(levels))}'
    convention = (
        'rtmdet' if is_rtmdet else 'nanodet' if 'stride' in scores[0].name and not _is_paddle(evidence) else 'paddle'
    )
    return [Candidate('anchor_free_heads', roles, why, options, count, convention)]


def _is_paddle(evidence: Evidence) -> bool:
    return 'paddle' in evidence.file.producer.lower() or any('tmp_' in spec.name for spec in evidence.outputs)


def _split_level(found: Sequence[tuple[TensorSpec, int]]) -> list[tuple[str, tuple[TensorSpec, int]]]:
    """Role -> output of one level, by the number of channels and by name where that leaves a choice."""
    singles = [item for item in found if item[1] == 1]
    rest = list(found)
    parts = []
    if len(found) == 3 and len(singles) == 1:
        parts.append(('objectness', singles[0]))
        rest.remove(singles[0])
    if len(rest) != 2:
        return []
    boxes = [item for item in rest if item[1] in _BINS]
    if len(boxes) == 2:
        boxes = [item for item in boxes if any(word in base_name(item[0].name) for word in ('box', 'reg', 'dis'))]
    if len(boxes) != 1:
        return []
    scores = next(item for item in rest if item is not boxes[0])
    return [*parts, ('scores', scores), ('boxes', boxes[0])]


def _one_level(evidence: Evidence) -> list[Candidate]:
    """DetectNet's and CenterNet's maps of a single stride."""
    maps = [spec for spec in evidence.outputs if len(spec.shape) == 4]
    if len(maps) != len(evidence.outputs) or not 2 <= len(maps) <= 3:
        return []
    sizes = {spec.shape[2:] for spec in maps}
    if len(sizes) != 1 or None in next(iter(sizes)):
        return []
    by_channels = {spec.shape[1]: spec for spec in maps}
    is_named = any(word in base_name(spec.name) for spec in maps for word in _HEAT_MAPS)
    if len(maps) == 2 and not is_named:
        for count, spec in by_channels.items():
            if count and 4 * count in by_channels:
                roles = {'scores': spec, 'boxes': by_channels[4 * count]}
                return [Candidate('detectnet', roles, 'maps of nc and 4 x nc channels', {}, count, 'detectnet')]
    return _centernet(evidence, maps)


def _centernet(evidence: Evidence, maps: Sequence[TensorSpec]) -> list[Candidate]:
    """A heat map with sizes, and offsets where they are there."""
    heat = [spec for spec in maps if any(word in base_name(spec.name) for word in _HEAT_MAPS)]
    heat = heat or [spec for spec in maps if spec.shape[1] != 2]
    pairs = [spec for spec in maps if spec.shape[1] == 2 and spec not in heat]
    if len(heat) != 1 or not pairs:
        return []
    sizes = next((spec for spec in pairs if any(word in base_name(spec.name) for word in ('wh', 'size'))), pairs[0])
    roles = {'heatmap': heat[0], 'sizes': sizes}
    rest = [spec for spec in pairs if spec is not sizes]
    if rest:
        roles['offsets'] = rest[0]
    activated = 'Sigmoid' in evidence.tail(heat[0]).ops
    return [
        Candidate(
            'centernet',
            roles,
            'a heat map and sizes',
            {'activation': 'none' if activated else 'sigmoid'},
            heat[0].shape[1],
            'centernet',
        )
    ]
