# SPDX-License-Identifier: Apache-2.0
"""From the outputs of a top-down network to keypoints in its input, as its card says."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from isaac_inference.errors import FrameError, ModelError
from isaac_inference.models.card.card import ModelCard
from isaac_inference.models.card.tasks import PRESENCE, KeypointForm, PointUnit, TopDownKeypointsSpec
from isaac_inference.models.recognition.top_down.check import problems_of, shape_problems
from isaac_inference.ops.image.options import TensorLayout
from isaac_inference.ops.keypoints.confidence import activated
from isaac_inference.ops.keypoints.decode_heatmaps import decode_heatmaps
from isaac_inference.ops.keypoints.decode_points import decode_points
from isaac_inference.ops.keypoints.decode_simcc import decode_simcc


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
        wrong = shape_problems(spec, shapes, self._input_wh, self._named)
        if wrong:
            raise FrameError('bad_output_shape', f'model {self._name}: ' + '; '.join(wrong))
        with np.errstate(over='ignore'):
            found = self._read(arrays)
        if not np.isfinite(found).all():  # of numbers that are too large for px
            raise self._not_finite(spec.form.roles[0])
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
            raise self._not_finite(role)
        return array

    def _not_finite(self, role: str) -> FrameError:
        return FrameError(
            'non_finite_output',
            f'model {self._name}: {self._named(role)} holds NaN or infinity, expected finite numbers; check the '
            'precision of the engine, and the preprocess lines of the card',
        )

    def _named(self, role: str) -> str:
        return f'tensor {self._spec.roles[role]} (the {role})'
