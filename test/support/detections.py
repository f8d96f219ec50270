# SPDX-License-Identifier: Apache-2.0
"""Small objects that several tests need."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from isaac_inference.ops.boxes.detections import Detections

Row = tuple[Sequence[float], float, int]


def detections(*rows: Row) -> Detections:
    """Detections from (box, score, class) rows."""
    if not rows:
        return Detections.empty()
    boxes, scores, class_ids = zip(*rows, strict=True)
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4), np.array(scores, np.float32), np.array(class_ids, np.int32)
    )


def random_detections(rng: np.random.Generator, count: int, class_count: int, spread: float = 100.0) -> Detections:
    """Boxes with whole-pixel corners and scores with many ties."""
    corner = rng.integers(0, max(1, int(spread)), (count, 2))
    size = rng.integers(1, 30, (count, 2))
    return Detections(
        np.concatenate((corner, corner + size), axis=1).astype(np.float32),
        (rng.integers(0, 50, count) / 50).astype(np.float32),
        rng.integers(0, class_count, count).astype(np.int32),
    )
