# SPDX-License-Identifier: Apache-2.0
"""Whether the outputs of a top-down network are what its card says, by their shapes alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from isaac_inference.models.card.tasks import PRESENCE, KeypointForm, TopDownKeypointsSpec
from isaac_inference.models.card.tensor_spec import TensorSpec, shape_text
from isaac_inference.ops.image.options import TensorLayout

Shape = Sequence[int | None]


def problems_of(spec: TopDownKeypointsSpec, outputs: Sequence[TensorSpec], input_wh: tuple[int, int]) -> list[str]:
    """What of a spec contradicts itself or the file's outputs, a sentence each; [] for one that can be right."""
    wrong = []
    by_name = {item.name: item for item in outputs}
    missing = [role for role in spec.form.roles if role not in spec.roles]
    if missing:
        wrong.append(f'no output is named for {", ".join(missing)}, which {spec.form.value} are read from')
    gone = [f'{name} (the {role})' for role, name in spec.roles.items() if name not in by_name]
    if gone:
        wrong.append(f'it has no output {", ".join(gone)}; its outputs are {", ".join(by_name)}')
    skeleton, count = spec.keypoints.skeleton, spec.keypoints.count
    if skeleton is not None and len(skeleton.names) != count:
        wrong.append(f'the skeleton names {len(skeleton.names)} points, but the model has {count}')
    if spec.form is KeypointForm.POINTS and (spec.columns.count('x') != 1 or spec.columns.count('y') != 1):
        wrong.append(f'columns: got {list(spec.columns)}, expected x and y once each')
    if not missing and not gone:
        shapes = {role: by_name[name].shape for role, name in spec.roles.items()}
        wrong += shape_problems(spec, shapes, input_wh, lambda role: f'output {spec.roles[role]} (the {role})')
    return wrong


def shape_problems(
    spec: TopDownKeypointsSpec,
    shapes: Mapping[str, Shape],
    input_wh: tuple[int, int],
    named: Callable[[str], str],
) -> list[str]:
    """What is wrong with the shapes of the outputs, by role; an axis that the file leaves open is None."""
    check = {
        KeypointForm.POINTS: _points_problems,
        KeypointForm.SIMCC: _simcc_problems,
        KeypointForm.HEATMAPS: _heatmap_problems,
    }[spec.form]
    wrong = check(spec, shapes, input_wh, named)
    each = shapes.get(PRESENCE, ())[1:]
    if None not in each and math.prod(size or 0 for size in each) != 1:
        wrong.append(
            f'{named(PRESENCE)}: got shape {shape_text(tuple(shapes[PRESENCE]))}, expected one number for each image'
        )
    batches = {shape[0] for role, shape in shapes.items() if role != PRESENCE and shape and shape[0] is not None}
    if len(batches) > 1:
        wrong.append(f'the outputs are of {" and ".join(map(str, sorted(batches)))} images; expected the same number')
    return wrong


def _points_problems(
    spec: TopDownKeypointsSpec, shapes: Mapping[str, Shape], _: tuple[int, int], named: Callable[[str], str]
) -> list[str]:
    shape = shapes['keypoints']
    each, count = len(spec.columns), spec.keypoints.count + spec.extra
    values = None if None in shape[1:] else math.prod(size or 0 for size in shape[1:])
    if len(shape) >= 2 and values in (None, each * count):
        return []
    more = f' and {spec.extra} further points' if spec.extra else ''
    return [
        f'{named("keypoints")}: got shape {shape_text(tuple(shape))}, expected {each * count} values for each image: '
        f'{spec.keypoints.count} keypoints{more} of {each} ({", ".join(spec.columns)}); check keypoints in the card'
    ]


def _simcc_problems(
    spec: TopDownKeypointsSpec, shapes: Mapping[str, Shape], input_wh: tuple[int, int], named: Callable[[str], str]
) -> list[str]:
    wrong = _count_problems(spec, shapes, ('x', 'y'), 3, 1, named)
    if wrong:
        return wrong
    x, y = shapes['x'][2], shapes['y'][2]
    if x is None or y is None:
        return []
    width, height = input_wh
    low = max((x - 0.5) / width, (y - 0.5) / height)  # ratios from low to high are rounded to these lengths
    high = min((x + 0.5) / width, (y + 0.5) / height)
    ratio = spec.split_ratio
    if low <= high and (ratio is None or low <= ratio <= high):
        return []
    expected = 'as many for each px along both' if ratio is None else f'{ratio:g} for each px (keypoints.split_ratio)'
    return [
        f'{named("x")} and {named("y")}: got {x} and {y} bins for an input of {width} x {height} px, which are '
        f'{x / width:g} and {y / height:g} for each px; expected {expected}; check which output is x, and input_size'
    ]


def _heatmap_problems(
    spec: TopDownKeypointsSpec, shapes: Mapping[str, Shape], input_wh: tuple[int, int], named: Callable[[str], str]
) -> list[str]:
    is_last = spec.layout is TensorLayout.NHWC
    wrong = _count_problems(spec, shapes, ('heatmaps',), 4, 3 if is_last else 1, named)
    if wrong:
        return wrong
    shape = shapes['heatmaps']
    height, width = shape[1:3] if is_last else shape[2:4]
    if height is None or width is None:
        return []
    fits = 0 < width <= input_wh[0] and 0 < height <= input_wh[1]
    if fits and abs(width - input_wh[0] * height / input_wh[1]) <= 1.0:
        return []
    return [
        f'{named("heatmaps")}: got maps of {width} x {height} cells for an input of {input_wh[0]} x {input_wh[1]} px; '
        f'expected the same proportions and no more cells than px; check output_layout ({spec.layout}) and the input '
        'size'
    ]


def _count_problems(
    spec: TopDownKeypointsSpec,
    shapes: Mapping[str, Shape],
    roles: Sequence[str],
    rank: int,
    axis: int,
    named: Callable[[str], str],
) -> list[str]:
    """Outputs of another rank, or without one entry a keypoint along `axis`."""
    return [
        f'{named(role)}: got shape {shape_text(tuple(shapes[role]))}, expected {rank} axes, of which number '
        f'{axis + 1} has the {spec.keypoints.count} keypoints; check keypoints in the card'
        for role in roles
        if len(shapes[role]) != rank or shapes[role][axis] not in (spec.keypoints.count, None) or 0 in shapes[role][1:]
    ]
