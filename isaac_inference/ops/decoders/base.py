# SPDX-License-Identifier: Apache-2.0
"""What a decoder is, and the checks that all decoders share.

A decoder takes the model's outputs by ROLE (what a tensor means; the model card maps tensor names to roles),
without the batch axis, and returns `Detections` in pixels of the model's INPUT, corners as (x_min, y_min,
x_max, y_max).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from isaac_inference.errors import ConfigError, FrameError
from isaac_inference.ops.boxes.detections import Detections


@dataclass(frozen=True)
class Decoder:
    """One kind of model output and how to read it.

    Attributes:
        name: its name in the model card.
        roles: the outputs that it needs.
        needs_nms: whether its boxes may overlap, so that NMS must follow.
        option_names: keyword arguments of `decode` besides the common ones.
        decode: `decode(outputs, *, input_wh, class_count, score_threshold, **options) -> Detections`, where
            outputs: role to array without batch axis, float32 or float16 (labels and counts: integers of any type
                as well);
            input_wh: the model input's (width, height) in pixels;
            class_count: number of classes the model was trained for;
            score_threshold: [0, 1], one or (class_count,); a box whose score equals it is kept.
            Raises FrameError 'missing_output', 'bad_output_shape', 'bad_output_type', 'non_finite_output' or
            'bad_class_id', and ConfigError for an invalid option.
    """

    name: str
    roles: tuple[str, ...]
    needs_nms: bool
    option_names: tuple[str, ...]
    decode: Callable[..., Detections]


def take_output(outputs: Mapping[str, np.ndarray], role: str, expected: tuple[int | str, ...]) -> np.ndarray:
    """The output of a role as float32 (a view if it is that already).

    Args:
        outputs: role to array.
        role: of the output.
        expected: its shape; a letter stands for any size.

    Raises:
        FrameError: 'missing_output', 'bad_output_shape' or 'bad_output_type'.

    Example:
        >>> take_output({'scores': np.ones(3, np.float16)}, 'scores', ('N',)).dtype.name
        'float32'
    """
    array = take_any(outputs, role, expected)
    if array.dtype.kind != 'f':
        raise FrameError(
            'bad_output_type',
            f'output {role!r}: got {array.dtype}, expected floating point; check the model card',
        )
    return array.astype(np.float32, copy=False)


def take_any(outputs: Mapping[str, np.ndarray], role: str, expected: tuple[int | str, ...]) -> np.ndarray:
    """The output of a role in its own type, with its shape checked.

    Example:
        >>> take_any({'labels': np.array([2, 0])}, 'labels', ('N',)).tolist()
        [2, 0]
    """
    array = take(outputs, role)
    if array.ndim != len(expected) or not all(
        isinstance(size, str) or size == got for size, got in zip(expected, array.shape, strict=True)
    ):
        raise bad_shape(role, array, expected)
    return array


def take(outputs: Mapping[str, np.ndarray], role: str) -> np.ndarray:
    """The output of a role, which must exist.

    Example:
        >>> take({'boxes': np.zeros((7, 4))}, 'boxes').shape
        (7, 4)
    """
    if role not in outputs:
        raise FrameError(
            'missing_output',
            f'output {role!r}: missing, got {", ".join(sorted(outputs)) or "none"}; '
            f'map a tensor to it in the model card',
        )
    return outputs[role]


def bad_shape(role: str, array: np.ndarray, expected: tuple[int | str, ...] | str) -> FrameError:
    """The error for an output of the wrong shape.

    Example:
        >>> str(bad_shape('boxes', np.zeros((3, 5)), ('N', 4))).split(' without')[0]
        "output 'boxes': got (3, 5), expected (N, 4)"
    """
    shape = expected if isinstance(expected, str) else f'({", ".join(str(size) for size in expected)})'
    return FrameError(
        'bad_output_shape',
        f'output {role!r}: got {array.shape}, expected {shape} without the batch axis; '
        f'check decoder, class count and input size in the model card',
    )


def non_finite(role: str, where: str = 'a box or score') -> FrameError:
    """The error for NaN or infinity where a number is needed.

    Example:
        >>> non_finite('boxes').reason
        'non_finite_output'
    """
    return FrameError(
        'non_finite_output',
        f'output {role!r}: got NaN or infinity in {where}, expected finite numbers; '
        f'check the precision of the model and its input',
    )


def check_thresholds(score_threshold: float | np.ndarray, class_count: int) -> np.ndarray:
    """The threshold as float32, () or (class_count,).

    Raises:
        ConfigError: NaN, no class at all, or another number of thresholds.

    Example:
        >>> check_thresholds(0.25, class_count=3).tolist()
        0.25
        >>> check_thresholds(np.array([0.25, 0.5]), class_count=2).tolist()
        [0.25, 0.5]
    """
    if class_count < 1:
        raise ConfigError(f'class_count: got {class_count}, expected at least 1')
    thresholds = np.asarray(score_threshold, np.float32)
    if thresholds.shape not in ((), (class_count,)) or np.isnan(thresholds).any():
        raise ConfigError(
            f'score_threshold: got {score_threshold!r}, expected one number, or {class_count}: one per class'
        )
    return thresholds


def find_candidates(scores: np.ndarray, thresholds: np.ndarray, role: str) -> np.ndarray:
    """Indices of the scores that reach the lowest threshold; scores (N,) float32.

    NaN compares false with everything, so without the check a broken model would look like an empty image.

    Raises:
        FrameError: 'non_finite_output', for NaN.

    Example:
        >>> find_candidates(np.array([0.1, 0.5, 0.9], np.float32), check_thresholds(0.5, 1), 'scores').tolist()
        [1, 2]
    """
    if np.isnan(scores).any():
        raise non_finite(role)
    return np.flatnonzero(scores >= thresholds.min())


def collect(
    boxes: np.ndarray,
    scores: np.ndarray,
    class_ids: np.ndarray,
    thresholds: np.ndarray,
    role: str,
    keypoints: np.ndarray | None = None,
) -> Detections:
    """Candidates to detections: applies each class's own threshold and refuses values that are not finite.

    Args:
        boxes: (K, 4) corners in input pixels.
        scores: (K,).
        class_ids: (K,) integers, in range.
        thresholds: () or (class_count,).
        role: the output that an error names.
        keypoints: (K, points, 3) float32, or None.

    Raises:
        FrameError: 'non_finite_output'.

    Example: of two candidates that score 0.5 only the one of class 0 reaches the threshold of its class.
        >>> thresholds = check_thresholds(np.array([0.25, 0.75]), class_count=2)
        >>> found = collect(np.zeros((2, 4)), np.array([0.5, 0.5]), np.array([0, 1]), thresholds, 'boxes')
        >>> found.class_ids.tolist()
        [0]
    """
    if not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
        raise non_finite(role)
    if keypoints is not None and not np.isfinite(keypoints).all():
        raise non_finite(role, 'a keypoint')
    found = Detections(
        boxes.astype(np.float32, copy=False),
        scores.astype(np.float32, copy=False),
        class_ids.astype(np.int32, copy=False),
        keypoints,
    )
    return found.select(found.scores >= thresholds[found.class_ids]) if thresholds.ndim else found


def check_labels(labels: np.ndarray, class_count: int, role: str) -> np.ndarray:
    """Class ids that are an output of the model, (K,), as int32; floats must be whole numbers.

    Raises:
        FrameError: 'bad_class_id'.

    Example:
        >>> check_labels(np.array([0.0, 2.0]), class_count=3, role='labels').tolist()
        [0, 2]
    """
    usable = (labels >= 0) & (labels < class_count) & (labels == np.trunc(labels))
    if not usable.all():
        raise FrameError(
            'bad_class_id',
            f'output {role!r}: got class {labels[~usable][0]}, expected a whole number in '
            f'0..{class_count - 1}; check the class count in the model card',
        )
    return labels.astype(np.int32)


def corners_from_centers(boxes: np.ndarray) -> np.ndarray:
    """(K, 4) (x_center, y_center, width, height) to (x_min, y_min, x_max, y_max), same unit and type.

    Example:
        >>> corners_from_centers(np.array([[10.0, 20.0, 4.0, 2.0]])).tolist()
        [[8.0, 19.0, 12.0, 21.0]]
    """
    half = boxes[:, 2:] * 0.5
    with np.errstate(invalid='ignore'):  # infinity minus infinity is NaN, which `collect` reports
        return np.concatenate((boxes[:, :2] - half, boxes[:, :2] + half), axis=1)


def score_candidates(
    predictions: np.ndarray, index: np.ndarray, thresholds: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Objectness times best class score, for rows whose objectness alone reaches the threshold.

    Class scores are at most 1, so no row that objectness rules out could come back.

    Args:
        predictions: (N, 5 + class_count), objectness in column 4.
        index: (K,) rows.
        thresholds: () or (class_count,).

    Returns:
        The rows that remain, their scores and their class ids, (M,) each.

    Example: objectness 0.5, and class 1 is certain.
        >>> predictions = np.array([[8, 8, 4, 4, 0.5, 0.25, 1.0]], np.float32)
        >>> index, scores, class_ids = score_candidates(predictions, np.array([0]), check_thresholds(0.25, 2))
        >>> index.tolist(), scores.tolist(), class_ids.tolist()
        ([0], [0.5], [1])
    """
    rows = predictions[index]
    class_ids = rows[:, 5:].argmax(axis=1)
    scores = rows[:, 4] * rows[np.arange(len(rows)), 5 + class_ids]
    left = find_candidates(scores, thresholds, 'predictions')
    return index[left], scores[left], class_ids[left]
