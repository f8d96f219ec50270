# SPDX-License-Identifier: Apache-2.0
"""What a decoder is, and the checks that all decoders share.

A decoder takes the model's outputs by ROLE (what a tensor means; the model card maps tensor names to roles),
without the batch axis, and returns `Detections` in pixels of the model's INPUT, corners as (x_min, y_min,
x_max, y_max).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from isaac_inference.errors import ConfigError, FrameError
from isaac_inference.ops.boxes.detections import Detections
from isaac_inference.ops.boxes.formats import Activation, Background, best_scores, without_background
from isaac_inference.ops.image.options import option


@dataclass(frozen=True)
class Decoder:
    """One kind of model output and how to read it.

    Attributes:
        name: its name in the model card.
        roles: the outputs that it needs.
        needs_nms: whether its boxes may overlap, so that NMS must follow, unless the card's option `nms` says
            otherwise.
        option_names: keyword arguments of `decode` besides the common ones; the card's `nms` is none of them.
        decode: `decode(outputs, *, input_wh, class_count, score_threshold, **options) -> Detections`, where
            outputs: role to array without batch axis, float32 or float16 (labels and counts: integers of any type
                as well);
            input_wh: the model input's (width, height) in pixels;
            class_count: number of classes the model was trained for;
            score_threshold: [0, 1], one or (class_count,); a box whose score equals it is kept.
            Raises FrameError 'missing_output', 'bad_output_shape', 'bad_output_type', 'non_finite_output' or
            'bad_class_id', and ConfigError for an invalid option.
        ranks: the number of axes of each role's array without the batch axis.
        optional_roles: outputs that it uses where there are any.
        level_roles: for decoders with one output for each level of a grid, whose roles are then '<role>_<stride>' with
            the stride in pixels, such as 'scores_8' and 'scores_16'; `roles` is then empty, and `optional_roles` are
            per level as well.
        other_ranks: further numbers of axes that a role's array may have without the batch axis.
        tells_rows: whether its detections say which row of 'boxes', or of 'predictions', each was.
    """

    name: str
    roles: tuple[str, ...]
    needs_nms: bool
    option_names: tuple[str, ...]
    decode: Callable[..., Detections]
    ranks: Mapping[str, int] = field(default_factory=dict)
    optional_roles: tuple[str, ...] = ()
    level_roles: tuple[str, ...] = ()
    other_ranks: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    tells_rows: bool = False

    def ranks_of(self, role: str) -> tuple[int, ...]:
        """All numbers of axes that a role's array may have without the batch axis; () for a role that it does not
        know. A level's role is written with its stride.
        """
        kind = role.rpartition('_')[0] if self.level_roles else role
        return (self.ranks[kind], *self.other_ranks.get(kind, ())) if kind in self.ranks else ()


def one_image(array: np.ndarray, ranks: tuple[int, ...], index: int) -> np.ndarray:
    """One image's part of an output.

    Args:
        array: as the model gave it.
        ranks: the numbers of axes that it may have without the batch axis. With one more it has a batch axis; with just
            that many it has none and is the only image's, unless both are possible: then it has one. Axes of size 1 in
            front of all that are dropped.
        index: which image of the batch.

    Raises:
        FrameError: 'bad_output_shape', there is no such image.

    Example:
        >>> one_image(np.zeros((2, 300, 6)), (2,), 1).shape, one_image(np.zeros((300, 6)), (2,), 0).shape
        ((300, 6), (300, 6))
        >>> one_image(np.zeros((1, 1, 200, 7)), (2,), 0).shape
        (200, 7)
    """
    if array.ndim in ranks and array.ndim - 1 not in ranks:
        if index == 0:
            return array
        raise FrameError(
            'bad_output_shape', f'got shape {list(array.shape)} without a batch axis, expected image {index} of a batch'
        )
    if not array.ndim or len(array) <= index:
        raise FrameError(
            'bad_output_shape',
            f'got shape {list(array.shape)}, expected {index + 1} or more images along the first axis',
        )
    image: np.ndarray = array[index]
    while ranks and image.ndim > max(ranks) and len(image) == 1:
        image = image[0]
    return image


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
    take_any(outputs, role, expected)
    return take_floats(outputs, role)


def take_floats(outputs: Mapping[str, np.ndarray], role: str) -> np.ndarray:
    """The output of a role as float32, in any shape.

    Raises:
        FrameError: 'missing_output' or 'bad_output_type'.

    Example:
        >>> take_floats({'scores_8': np.ones((3, 2), np.float16)}, 'scores_8').dtype.name
        'float32'
    """
    array = take(outputs, role)
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


def non_finite(role: str, where: str = 'a box or score', hint: str = '') -> FrameError:
    """The error for NaN or infinity where a number is needed.

    Example:
        >>> non_finite('boxes').reason
        'non_finite_output'
    """
    return FrameError(
        'non_finite_output',
        f'output {role!r}: got NaN or infinity in {where}, expected finite numbers; '
        f'{hint or "check the precision of the model and its input"}',
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
    *,
    angles: np.ndarray | None = None,
    coefficients: np.ndarray | None = None,
    rows: np.ndarray | None = None,
    best_score: float = np.nan,
) -> Detections:
    """Candidates to detections: applies each class's own threshold and refuses values that are not finite.

    Args:
        boxes: (K, 4) corners in input pixels.
        scores: (K,).
        class_ids: (K,) integers, in range.
        thresholds: () or (class_count,).
        role: the output that an error names.
        keypoints: (K, points, 3) float32, or None.
        angles: (K,) rad, or None.
        coefficients: (K, C) of the boxes' masks, or None.
        rows: (K,) integers, which rows of the output the boxes were, or None.
        best_score: as of `Detections`.

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
    if angles is not None and not np.isfinite(angles).all():
        raise non_finite(role, 'an angle')
    if coefficients is not None and not np.isfinite(coefficients).all():
        raise non_finite(role, 'a mask coefficient')
    found = Detections(
        boxes.astype(np.float32, copy=False),
        scores.astype(np.float32, copy=False),
        class_ids.astype(np.int32, copy=False),
        keypoints,
        None if angles is None else angles.astype(np.float32, copy=False),
        coefficients=None if coefficients is None else coefficients.astype(np.float32, copy=False),
        rows=None if rows is None else rows.astype(np.int32, copy=False),
        best_score=best_score,
    )
    return found.select(found.scores >= thresholds[found.class_ids]) if thresholds.ndim else found


def check_mask_channels(count: int) -> None:
    """Raise ConfigError unless that can be a number of mask coefficients in a row of boxes; 0 for none.

    Example:
        >>> check_mask_channels(32)
    """
    if count != int(count) or count < 0:
        raise ConfigError(f'mask_channels: got {count!r}, expected a whole number of 0 or more; check the model card')


def last_columns(rows: np.ndarray, count: int) -> np.ndarray | None:
    """The mask coefficients (K, count) that stand last in rows (K, columns); None for a count of 0.

    Example:
        >>> last_columns(np.array([[1, 2, 3, 4]]), 2).tolist(), last_columns(np.array([[1, 2]]), 0)
        ([[3, 4]], None)
    """
    return rows[:, rows.shape[1] - count :] if count else None


def split_coefficients(
    outputs: Mapping[str, np.ndarray], role: str, count: int
) -> tuple[Mapping[str, np.ndarray], np.ndarray | None]:
    """The outputs without the mask coefficients (N, count) that stand last in a role's rows, and these.

    Raises:
        ConfigError: `count` is no number of coefficients.
        FrameError: 'missing_output', 'bad_output_shape' or 'bad_output_type'.

    Example: a box in corners and two coefficients.
        >>> outputs, coefficients = split_coefficients({'boxes': np.array([[0, 0, 8, 4, 1.5, -2]])}, 'boxes', 2)
        >>> outputs['boxes'].shape, coefficients.tolist()
        ((1, 4), [[1.5, -2.0]])
    """
    check_mask_channels(count)
    if not count:
        return outputs, None
    rows = take_output(outputs, role, ('N', 'C'))
    return {**outputs, role: rows[:, : max(0, rows.shape[1] - count)]}, last_columns(rows, min(count, rows.shape[1]))


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


def highest(scores: np.ndarray) -> float:
    """The highest of the scores, NaN where there are none.

    Example:
        >>> highest(np.array([0.25, 0.5])), highest(np.empty(0))
        (0.5, nan)
    """
    return float(scores.max()) if scores.size else float('nan')


def rate(
    scores: np.ndarray,
    role: str,
    activation: Activation | str = 'none',
    background: Background | str = 'none',
    axis: int = -1,
) -> np.ndarray:
    """The score of each box's best class, from the network's class scores; see `formats.best_scores`.

    Raises:
        FrameError: 'non_finite_output', for a logit of plus infinity; NaN is left to `find_candidates`.
        ConfigError: an unknown activation or background.

    Example:
        >>> rate(np.array([[0.25, 0.5]]), 'scores').tolist()
        [0.5]
    """
    if activation != 'none' and np.isposinf(scores).any():
        raise non_finite(role)
    return best_scores(scores, activation, background, axis)


def best_classes(scores: np.ndarray, background: Background | str = 'none') -> np.ndarray:
    """The class of each row of (K, C) class scores, counted without the background.

    Example:
        >>> best_classes(np.array([[0.9, 0.25, 0.5]]), 'first').tolist()
        [1]
    """
    return without_background(scores, background).argmax(axis=1)


def score_columns(class_count: int, background: Background | str) -> int:
    """How many columns the class scores have.

    Example:
        >>> score_columns(80, 'none'), score_columns(80, 'last')
        (80, 81)
    """
    return class_count + (option(Background, background, 'background') is not Background.NONE)


def score_candidates(
    predictions: np.ndarray, thresholds: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Objectness times best class score, for rows whose objectness alone reaches the threshold.

    Class scores are at most 1, so no row that objectness rules out could come back.

    Args:
        predictions: (N, 5 + class_count), objectness in column 4.
        thresholds: () or (class_count,).

    Returns:
        The rows that remain, their scores and their class ids, (M,) each; and the highest score of all candidates, or
        that of the row with the highest objectness where there are none.

    Raises:
        FrameError: 'non_finite_output'.

    Example: objectness 0.5, and class 1 is certain.
        >>> predictions = np.array([[8, 8, 4, 4, 0.5, 0.25, 1.0]], np.float32)
        >>> index, scores, class_ids, best = score_candidates(predictions, check_thresholds(0.25, 2))
        >>> index.tolist(), scores.tolist(), class_ids.tolist(), best
        ([0], [0.5], [1], 0.5)
    """
    objectness = predictions[:, 4]
    index = find_candidates(objectness, thresholds, 'predictions')
    scores, class_ids = _products(predictions[index])
    if len(index):
        best = highest(scores)
    else:
        best = highest(_products(predictions[objectness.argmax()][None])[0]) if len(objectness) else highest(scores)
    left = find_candidates(scores, thresholds, 'predictions')
    return index[left], scores[left], class_ids[left], best


def _products(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    class_ids = rows[:, 5:].argmax(axis=1)
    return rows[:, 4] * rows[np.arange(len(rows)), 5 + class_ids], class_ids
