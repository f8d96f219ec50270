# SPDX-License-Identifier: Apache-2.0
"""The skeleton that a card gives: a published one by its name, or names, edges and sides of another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from isaac_inference.models.card.skeletons.published import SKELETONS
from isaac_inference.models.card.skeletons.spec import SkeletonSpec

_KEYS = ('names', 'edges', 'left', 'right')


def skeleton(value: Any) -> SkeletonSpec:
    """A skeleton from YAML.

    Raises:
        ValueError: what is accepted.
    """
    if isinstance(value, str) and value in SKELETONS:
        return SKELETONS[value]
    if not isinstance(value, Mapping) or not set(value) <= set(_KEYS) or 'names' not in value:
        raise ValueError(
            f'one of {", ".join(SKELETONS)}, or {{names: [nose, left_eye, right_eye], edges: [[nose, left_eye]], left: '
            '[left_eye], right: [right_eye]}'
        )
    names = value['names']
    if not _are_texts(names) or len(set(names)) != len(names) or not names:
        raise ValueError('skeleton names as a list of texts that differ, one per keypoint')
    edges = value.get('edges', [])
    if not isinstance(edges, Sequence) or not all(_are_texts(edge) and len(edge) == 2 for edge in edges):
        raise ValueError('skeleton edges as a list of pairs of names, such as [[left_hip, left_knee]]')
    left, right = value.get('left', []), value.get('right', [])
    if not _are_texts(left) or not _are_texts(right) or len(left) != len(right) or set(left) & set(right):
        raise ValueError('left and right as two lists of as many names, in one order, no name in both')
    used = [*(name for edge in edges for name in edge), *left, *right]
    unknown = next((name for name in used if name not in names), None)
    if unknown is not None:
        raise ValueError(f'no other names in edges, left and right than those in names; {unknown!r} is none of them')
    if any(first == second for first, second in edges) or len({*left}) != len(left) or len({*right}) != len(right):
        raise ValueError('edges between two keypoints, and each name once in left or right')
    at = {name: index for index, name in enumerate(names)}
    return SkeletonSpec(
        tuple(names),
        tuple((at[first], at[second]) for first, second in edges),
        tuple(at[name] for name in left),
        tuple(at[name] for name in right),
    )


def _are_texts(value: Any) -> bool:
    """True for a list of texts that are not empty."""
    return isinstance(value, (list, tuple)) and all(isinstance(item, str) and item.strip() for item in value)
