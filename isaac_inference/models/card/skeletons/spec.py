# SPDX-License-Identifier: Apache-2.0
"""What the keypoints of a person, or of anything with joints, are called, and which of them are joined."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SkeletonSpec:
    """The keypoints of a skeleton, in the model's order.

    Attributes:
        names: of the keypoints, each once.
        edges: (one, other) indices of the keypoints that are joined.
        left, right: indices of the keypoints that are each other's mirror image, as many of each and in one order; a
            person's own left, which is at the right of a picture of their front.
    """

    names: tuple[str, ...]
    edges: tuple[tuple[int, int], ...] = ()
    left: tuple[int, ...] = ()
    right: tuple[int, ...] = ()

    @property
    def mirrored(self) -> tuple[int, ...]:
        """The index of each keypoint's mirror image: its own where it has none."""
        pairs = {**dict(zip(self.left, self.right, strict=True)), **dict(zip(self.right, self.left, strict=True))}
        return tuple(pairs.get(index, index) for index in range(len(self.names)))
