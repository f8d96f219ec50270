# SPDX-License-Identifier: Apache-2.0
"""Which output plays which role: by shape and type, and by name if those leave a choice."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from isaac_inference.models.card.tensor_spec import TensorSpec

_NAME_PARTS = {
    'logits': ('logit', 'label', 'class', 'cls', 'score'),
    'boxes': ('box', 'det', 'bbox'),
    'scores': ('score', 'conf', 'prob', 'cls'),
    'labels': ('label', 'class', 'cls', 'categor'),
    'num_detections': ('num', 'count'),
}
_TAO_ORDER = ('num_detections', 'boxes', 'scores', 'labels')


def base_name(name: str) -> str:
    """A tensor's name without the scopes and the output number that exporters add."""
    return name.lower().rpartition('/')[2].split(':')[0]


def finished_roles(outputs: Sequence[TensorSpec]) -> dict[str, TensorSpec] | None:
    """The roles boxes, labels and, where they are there, scores and num_detections of finished boxes.

    Batched outputs have boxes [N, boxes, 4], or 5 columns with the score last; others lack the batch axis.

    Args:
        outputs: the model's outputs; others than these four are left out.
    """
    tao = _tao_roles(outputs)
    if tao is not None:
        return tao
    for rank in (3, 2):
        for width in (4, 5):
            roles = _finished_of(outputs, rank, width)
            if roles is not None:
                return roles
    return None


def _tao_roles(outputs: Sequence[TensorSpec]) -> dict[str, TensorSpec] | None:
    """TensorRT's BatchedNMS gives its four outputs numbered names in a fixed order."""
    numbered = sorted((spec for spec in outputs if base_name(spec.name).startswith('batchednms')), key=_number)
    if len(numbered) != len(_TAO_ORDER):
        return None
    return dict(zip(_TAO_ORDER, numbered, strict=True))


def _number(spec: TensorSpec) -> int:
    tail = base_name(spec.name).rpartition('_')[2]
    return int(tail) if tail.isdigit() else 0


def _finished_of(outputs: Sequence[TensorSpec], rank: int, width: int) -> dict[str, TensorSpec] | None:
    """The roles for boxes of one rank and number of columns."""
    boxes = _the_one('boxes', [spec for spec in outputs if _is_float(spec) and _has(spec, rank, width)])
    if boxes is None:
        return None
    flat = [spec for spec in outputs if spec is not boxes and _is_flat(spec, rank, boxes)]
    labels = _the_one('labels', [spec for spec in flat if not _is_float(spec) or _named('labels', spec)])
    if labels is None:
        return None
    roles = {'boxes': boxes, 'labels': labels}
    if width == 4:
        floats = [spec for spec in flat if spec is not labels and _is_float(spec)]
        scores = _the_one('scores', floats)
        if scores is None:
            return None
        roles = {'boxes': boxes, 'scores': scores, 'labels': labels}
    count = _the_one('num_detections', [spec for spec in outputs if _is_count(spec) and spec not in roles.values()])
    if count is not None and rank == 3:
        roles = {'num_detections': count, **roles}
    return roles if _same_rows(roles.values()) else None


def split_pair(outputs: Sequence[TensorSpec]) -> tuple[TensorSpec, TensorSpec] | None:
    """(boxes, scores or logits) where boxes [N, rows, 4] or [N, rows, 1, 4] and scores [N, rows, nc] or [N, nc, rows]
    are two tensors; others beside these are left out. None where it is not clear.
    """
    boxes = [spec for spec in outputs if _is_float(spec) and (_has(spec, 3, 4) or _has(spec, 4, 4, 1))]
    scores = [spec for spec in outputs if _is_float(spec) and len(spec.shape) == 3 and _scores_fit(spec, boxes)]
    if len(outputs) > 2:  # Hugging Face's models may put out all that they know
        named = {base_name(spec.name): spec for spec in outputs}
        if 'logits' in named and 'pred_boxes' in named:
            return named['pred_boxes'], named['logits']
        boxes = [spec for spec in boxes if _named('boxes', spec) and spec not in scores] or boxes
    if len(boxes) > 1:
        boxes = [spec for spec in boxes if _named('boxes', spec) and not base_name(spec.name).startswith('enc')]
    if len(boxes) != 1:
        return None
    scores = [spec for spec in scores if spec is not boxes[0] and _scores_fit(spec, boxes)]
    if len(scores) > 1:
        scores = [spec for spec in scores if _named('logits', spec) and not base_name(spec.name).startswith('enc')]
    return (boxes[0], scores[0]) if len(scores) == 1 else None


def _scores_fit(spec: TensorSpec, boxes: Sequence[TensorSpec]) -> bool:
    """True when one of two axes has as many entries as there are boxes."""
    counts = {box.shape[1] for box in boxes if box is not spec}
    return bool(counts) and (None in counts or None in spec.shape[1:] or bool(counts & set(spec.shape[1:])))


def _has(spec: TensorSpec, rank: int, width: int, beside: int | None = None) -> bool:
    """True for a tensor of this rank whose last axis has this many entries."""
    if len(spec.shape) != rank or spec.shape[-1] not in (width, None if width == 4 else width):
        return False
    return beside is None or spec.shape[-2] == beside


def _is_flat(spec: TensorSpec, rank: int, boxes: TensorSpec) -> bool:
    """True for one number per box: [N, rows], [N, rows, 1] or, without a batch axis, [rows]."""
    shape = spec.shape[:-1] if len(spec.shape) == rank and spec.shape[-1] == 1 else spec.shape
    if len(shape) != rank - 1:
        return False
    return shape[-1] == boxes.shape[-2] or None in (shape[-1], boxes.shape[-2])


def _is_count(spec: TensorSpec) -> bool:
    """True for one number per image."""
    rank, last = len(spec.shape), spec.shape[-1] if spec.shape else None
    return (rank == 1 and last in (1, None)) or (rank == 2 and last == 1)


def _the_one(role: str, fitting: list[TensorSpec]) -> TensorSpec | None:
    """The only fitting output, or the only one of them whose name says what it is."""
    if len(fitting) > 1:
        fitting = [spec for spec in fitting if _named(role, spec)]
    return fitting[0] if len(fitting) == 1 else None


def _named(role: str, spec: TensorSpec) -> bool:
    return any(part in spec.name.lower() for part in _NAME_PARTS[role])


def _is_float(spec: TensorSpec) -> bool:
    return spec.dtype.startswith(('float', 'bfloat'))


def _same_rows(specs: Iterable[TensorSpec]) -> bool:
    """True when all outputs with a box axis agree on its length, as far as they fix it."""
    rows = set()
    for spec in specs:
        if len(spec.shape) >= 2 and spec.shape[1:] != (1,):
            rows.add(spec.shape[1] if len(spec.shape) > 2 or spec.shape[1] not in (4, 5) else spec.shape[0])
    return len(rows - {None}) <= 1
