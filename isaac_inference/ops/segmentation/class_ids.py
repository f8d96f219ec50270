# SPDX-License-Identifier: Apache-2.0
"""Class ids that a network puts out itself."""

from __future__ import annotations

import numpy as np

from isaac_inference.errors import FrameError
from isaac_inference.ops.decoders.base import non_finite
from isaac_inference.ops.segmentation.unlabelled import mask_dtype, unlabelled

ROLE = 'classes'
_IGNORED = (-1, 255)  # of networks that leave cells without a class


def class_ids(output: np.ndarray, class_count: int) -> np.ndarray:
    """One image's class ids, checked.

    Args:
        output: (h, w) or (h, w, 1), whole numbers of any integer or floating type. -1, and 255 where that is no class,
            are cells without a class.
        class_count: how many classes there are.

    Returns:
        (h, w), uint8 or uint16 as of `mask_dtype`; cells without a class have the id `unlabelled`.

    Raises:
        FrameError: 'bad_output_shape', 'bad_output_type', 'non_finite_output', or 'bad_class_id' for what is no whole
            number or no class.

    Example:
        >>> class_ids(np.array([[0.0, 2.0, -1.0]], np.float32), 3).tolist()
        [[0, 2, 255]]
    """
    cells = output[..., 0] if output.ndim == 3 and output.shape[-1] == 1 else output
    if cells.ndim != 2 or not cells.size:
        raise FrameError(
            'bad_output_shape',
            f'output {ROLE!r}: got {output.shape}, expected (h, w) or (h, w, 1) without the batch axis; check the '
            'outputs in the model card',
        )
    if cells.dtype.kind not in 'fiub':
        raise FrameError('bad_output_type', f'output {ROLE!r}: got {cells.dtype}, expected numbers; check the model')
    dtype = mask_dtype(class_count)
    lowest, highest = cells.min(), cells.max()
    if cells.dtype.kind == 'f' and not np.isfinite((lowest, highest)).all():  # NaN survives both
        raise non_finite(ROLE, 'a class id')
    if cells.dtype.kind == 'f' and (cells != np.trunc(cells)).any():
        wrong = cells[cells != np.trunc(cells)][0]
        raise _bad_id(wrong, class_count, 'is the output one of scores rather than classes?')
    ids = cells.astype(dtype)
    if lowest >= 0 and highest < class_count:
        return ids
    known = (cells >= 0) & (cells < class_count)
    ignored = np.isin(cells, _IGNORED) & ~known
    if not (known | ignored).all():
        raise _bad_id(cells[~(known | ignored)][0], class_count, 'give the card a label for each class of the model')
    ids[ignored] = unlabelled(dtype)
    return ids


def _bad_id(wrong: object, class_count: int, advice: str) -> FrameError:
    return FrameError(
        'bad_class_id',
        f'output {ROLE!r}: got class {wrong}, expected a whole number in 0..{class_count - 1}; {advice}',
    )
