# SPDX-License-Identifier: Apache-2.0
"""What travels with a batch of crops: which detections they are of, and what leads each back to source pixels.

A frame of crops is a TensorFrame whose tensors have one row for each crop, none where there is nobody. Beside them are
the auxiliary tensors `letterbox`, (N, 8) as `Letterbox.to_array` gives it, a row for each crop; `crops`, (N, 5)
float64, the index of its detection in the `detections` of the same stamp and that one's box; `crops_of`, (1,) int32,
how many detections that message has; and `source_size`, unless there was no image.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from isaac_inference.errors import FrameError
from isaac_inference.ops.image.letterbox import Letterbox
from isaac_inference.ros.messages.tensors import SOURCE_SIZE

CROPS, CROPS_OF = 'crops', 'crops_of'


@dataclass(frozen=True, eq=False)
class CropRows:
    """The rows of a frame of crops.

    Attributes:
        detections: how many the message of the same stamp has.
        rows: of each crop, the index of its detection.
        boxes: (N, 4) x_min, y_min, x_max, y_max of these detections in source px.
        letterboxes: what leads each crop back to source px.
        source_wh: (width, height) of the image in px; None where nobody had to look at it.
    """

    detections: int
    rows: tuple[int, ...] = ()
    boxes: np.ndarray = field(default_factory=lambda: np.empty((0, 4)))
    letterboxes: tuple[Letterbox, ...] = ()
    source_wh: tuple[int, int] | None = None

    def auxiliary(self) -> dict[str, np.ndarray]:
        """The auxiliary tensors of the frame."""
        crops = np.column_stack((np.array(self.rows, np.float64), self.boxes)) if self.rows else np.empty((0, 5))
        size = {} if self.source_wh is None else {SOURCE_SIZE: np.array(self.source_wh, np.int32)}
        return {
            'letterbox': np.array([one.to_array() for one in self.letterboxes], np.float64).reshape(-1, 8),
            CROPS: crops,
            CROPS_OF: np.array([self.detections], np.int32),
            **size,
        }


def is_of_crops(auxiliary: Mapping[str, np.ndarray]) -> bool:
    """Whether a frame with these auxiliary tensors is one of crops, not of a whole image."""
    return CROPS in auxiliary


def read_crop_rows(auxiliary: Mapping[str, np.ndarray]) -> CropRows:
    """What `CropRows.auxiliary` wrote; nothing of it is trusted.

    Raises:
        FrameError: 'bad_crops' where parts are missing or contradict each other; 'bad_letterbox'.
    """
    crops, count, letterboxes = auxiliary.get(CROPS), auxiliary.get(CROPS_OF), auxiliary.get('letterbox')
    size = auxiliary.get(SOURCE_SIZE)
    if crops is None or count is None or letterboxes is None:
        missing = [name for name in (CROPS, CROPS_OF, 'letterbox') if name not in auxiliary]
        raise _bad(f'{", ".join(missing)} is missing')
    if crops.ndim != 2 or crops.shape[1] != 5 or not np.isfinite(crops).all() or crops.dtype.kind != 'f':
        raise _bad(f'{CROPS} is {crops.dtype} {list(crops.shape)}, expected [N, 5] of finite numbers')
    if count.shape != (1,) or letterboxes.shape != (len(crops), 8):
        raise _bad(f'{CROPS_OF} is {list(count.shape)} and letterbox {list(letterboxes.shape)} for {len(crops)} crops')
    if size is not None and (size.shape != (2,) or size.dtype.kind not in 'iu'):
        raise _bad(f'{SOURCE_SIZE} is {size.dtype} {list(size.shape)}, expected two whole numbers')
    rows = crops[:, 0].astype(int).tolist()
    detections = int(count[0])
    if len(set(rows)) != len(rows) or not all(0 <= row < detections for row in rows):
        raise _bad(f'they are of detections {rows} of {detections}')
    made = tuple(Letterbox.from_array(row) for row in letterboxes)
    if len({one.source_wh for one in made}) > 1:
        raise _bad('they are of images of different size')
    source_wh = made[0].source_wh if made else None if size is None else (int(size[0]), int(size[1]))
    return CropRows(detections, tuple(rows), crops[:, 1:], made, source_wh)


def _bad(what: str) -> FrameError:
    return FrameError('bad_crops', f'crops: {what}; look at the node that publishes them')
