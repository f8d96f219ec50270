# SPDX-License-Identifier: Apache-2.0
"""From the outputs of a top-down network to keypoints in its input, as its card says."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from isaac_inference.errors import FrameError, ModelError
from isaac_inference.models.card.card import ModelCard
from isaac_inference.models.card.tasks import PRESENCE, KeypointForm, PointUnit, TopDownKeypointsSpec
from isaac_inference.models.card.tensor_spec import TensorSpec
from isaac_inference.ops.image.options import TensorLayout
from isaac_inference.ops.keypoints.confidence import activated
from isaac_inference.ops.keypoints.decode_heatmaps import decode_heatmaps
from isaac_inference.ops.keypoints.decode_points import decode_points
from isaac_inference.ops.keypoints.decode_simcc import decode_simcc

Shape = Sequence[int | None]


class TopDownDecoder:
    """Reads the keypoints of all images of a batch. Keeps nothing of a frame.

    Args:
        card: of a model with a `TopDownKeypointsSpec`.

    Raises:
        ModelError: the card is of another task, or contradicts the file's outputs or its own skeleton: all of it.
    """

    def __init__(self, card: ModelCard) -> None:
        if not isinstance(card.spec, TopDownKeypointsSpec):
            raise ModelError(
                f'model {card.name}: its task is {card.task.value}, expected top_down_keypoints: give a model that '
                'finds the keypoints of the one person that its picture shows'
            )
        self._spec, self._name, self._input_wh = card.spec, card.name, card.image.wh
        wrong = problems_of(card.spec, card.outputs, card.image.wh)
        if wrong:
            raise ModelError(f'model {card.name}: ' + '\n  and: '.join(wrong))

    def decode(self, outputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """The keypoints of N images.

        Args:
            outputs: the model's outputs by name, with their batch axis.

        Returns:
            (N, K, 3) float32: x, y in px of the network's input, measured from its EDGES as everywhere in this
            package, which is what `Letterbox.points_to_source` takes (pixel 0 has its centre at 0.5); not clipped.
            Then a confidence 0..1:
              - points: the model's own, the lowest where a point has several (BlazePose: visible and in the picture);
                without any that of the whole, or 1;
              - SimCC: the lower of the two peaks; heatmaps: the peak's height.
            All confidences of an image are 0 where the model says that nobody is there.

        Raises:
            FrameError: 'missing_tensor', 'bad_output_shape' (another number of points than the card says, lengths that
                do not fit the input, batches that differ), 'bad_output_type' or 'non_finite_output'.
        """
        spec = self._spec
        arrays = {role: self._array(outputs, role) for role in spec.roles}
        shapes = {role: array.shape for role, array in arrays.items()}
        wrong = _shape_problems(spec, shapes, self._input_wh, self._named)
        if wrong:
            raise FrameError('bad_output_shape', f'model {self._name}: ' + '; '.join(wrong))
        found = self._read(arrays)
        if PRESENCE in arrays:
            present = activated(arrays[PRESENCE].reshape(-1), spec.presence_activation)
            if len(present) != len(found):
                raise FrameError(
                    'bad_output_shape',
                    f'model {self._name}: {self._named(PRESENCE)} has {len(present)} values for {len(found)} images; '
                    'expected one for each',
                )
            if spec.keypoints.dims == 2:
                found[..., 2] = present[:, None]
            found[present < spec.min_presence, :, 2] = 0.0
        return found

    def _read(self, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
        spec, count = self._spec, self._spec.keypoints.count
        if spec.form is KeypointForm.POINTS:
            points = arrays['keypoints']
            points = points.reshape(len(points), count + spec.extra, len(spec.columns))[:, :count]
            scale = self._input_wh if spec.unit is PointUnit.FRACTION else (1, 1)
            return decode_points(points, spec.columns, scale, spec.activation)
        if spec.form is KeypointForm.SIMCC:
            x, y = arrays['x'], arrays['y']
            ratios = [
                spec.split_ratio or bins.shape[-1] / size for bins, size in zip((x, y), self._input_wh, strict=True)
            ]
            return decode_simcc(x, y, (ratios[0], ratios[1]), spec.activation)
        maps = arrays['heatmaps']
        if spec.layout is TensorLayout.NHWC:
            maps = np.ascontiguousarray(maps.transpose(0, 3, 1, 2))
        return decode_heatmaps(maps, self._input_wh, spec.grid, spec.activation)

    def _array(self, outputs: Mapping[str, np.ndarray], role: str) -> np.ndarray:
        name = self._spec.roles[role]
        if name not in outputs:
            raise FrameError(
                'missing_tensor',
                f'tensor {name} (the {role}): not among the arrived tensors {sorted(outputs)}; give all nodes the '
                'same model',
            )
        array = outputs[name]
        if array.dtype.kind != 'f':
            raise FrameError(
                'bad_output_type',
                f'model {self._name}: {self._named(role)} is {array.dtype}, expected floating point; check the card',
            )
        array = array.astype(np.float32, copy=False)
        if not np.isfinite(array).all():
            raise FrameError(
                'non_finite_output',
                f'model {self._name}: {self._named(role)} holds NaN or infinity, expected finite numbers; check the '
                'precision of the engine, and the preprocess lines of the card',
            )
        return array

    def _named(self, role: str) -> str:
        return f'tensor {self._spec.roles[role]} (the {role})'


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
        wrong += _shape_problems(spec, shapes, input_wh, lambda role: f'output {spec.roles[role]} (the {role})')
    return wrong


def _shape_problems(
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
        f'{named("keypoints")}: got shape {_text(shape)}, expected {each * count} values for each image: '
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
        f'{named(role)}: got shape {_text(shapes[role])}, expected {rank} axes, of which number {axis + 1} has the '
        f'{spec.keypoints.count} keypoints; check keypoints in the card'
        for role in roles
        if len(shapes[role]) != rank or shapes[role][axis] not in (spec.keypoints.count, None) or 0 in shapes[role][1:]
    ]


def _text(shape: Shape) -> str:
    """A shape for people, '?' where the file leaves a size open."""
    return f'[{", ".join("?" if size is None else str(size) for size in shape)}]'
