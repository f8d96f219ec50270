# SPDX-License-Identifier: Apache-2.0
"""The skeletons of published data sets and networks, by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from isaac_inference.models.card.skeletons.spec import SkeletonSpec

COCO_17 = SkeletonSpec(
    (
        'nose', 'left_eye', 'right_eye', 'left_ear', 'right_ear', 'left_shoulder', 'right_shoulder', 'left_elbow',
        'right_elbow', 'left_wrist', 'right_wrist', 'left_hip', 'right_hip', 'left_knee', 'right_knee', 'left_ankle',
        'right_ankle',
    ),
    (
        (15, 13), (13, 11), (16, 14), (14, 12), (11, 12), (5, 11), (6, 12), (5, 6), (5, 7), (6, 8), (7, 9), (8, 10),
        (0, 1), (0, 2), (1, 3), (2, 4),
    ),
    (1, 3, 5, 7, 9, 11, 13, 15),
    (2, 4, 6, 8, 10, 12, 14, 16),
)  # fmt: skip
"""The 17 keypoints of a person in COCO, as YOLO-pose, MoveNet, HRNet and RTMPose have them."""


def _mirrored(name: str) -> str:
    """The name of the other side; a name without a side as it is."""
    return name.replace('left', 'right') if 'left' in name else name.replace('right', 'left')


def _sided(names: Sequence[str], chains: Iterable[Sequence[str]]) -> SkeletonSpec:
    """A skeleton whose sides are in its names, joined along chains of names, each with its mirror image."""
    at = {name: index for index, name in enumerate(names)}
    edges: dict[frozenset[int], tuple[int, int]] = {}
    for chain in chains:
        for side in (tuple(chain), tuple(map(_mirrored, chain))):
            for first, second in pairwise(side):
                edges.setdefault(frozenset((at[first], at[second])), (at[first], at[second]))
    left = [name for name in names if 'left' in name]
    return SkeletonSpec(
        tuple(names),
        tuple(edges.values()),
        tuple(at[name] for name in left),
        tuple(at[_mirrored(name)] for name in left),
    )


def _both(*names: str) -> tuple[str, ...]:
    """Each name and that of the other side."""
    return tuple(side for name in names for side in (name, _mirrored(name)))


_FINGERS = ('thumb', 'index_finger', 'middle_finger', 'ring_finger', 'pinky')
_JOINTS = {'thumb': ('cmc', 'mcp', 'ip', 'tip')}
_HAND = (
    'wrist',
    *(f'{name}_{joint}' for name in _FINGERS for joint in _JOINTS.get(name, ('mcp', 'pip', 'dip', 'tip'))),
)
_HAND_CHAINS = tuple(('wrist', *_HAND[first : first + 4]) for first in range(1, 21, 4))

BLAZEPOSE_33 = _sided(
    (
        'nose', 'left_eye_inner', 'left_eye', 'left_eye_outer', 'right_eye_inner', 'right_eye', 'right_eye_outer',
        *_both('left_ear', 'mouth_left', 'left_shoulder', 'left_elbow', 'left_wrist', 'left_pinky', 'left_index',
               'left_thumb', 'left_hip', 'left_knee', 'left_ankle', 'left_heel', 'left_foot_index'),
    ),
    (
        ('nose', 'left_eye_inner', 'left_eye', 'left_eye_outer', 'left_ear'),
        ('mouth_left', 'mouth_right'),
        ('left_shoulder', 'right_shoulder'),
        ('left_hip', 'right_hip'),
        ('left_hip', 'left_shoulder', 'left_elbow', 'left_wrist', 'left_thumb'),
        ('left_wrist', 'left_pinky', 'left_index', 'left_wrist'),
        ('left_hip', 'left_knee', 'left_ankle', 'left_heel', 'left_foot_index', 'left_ankle'),
    ),
)  # fmt: skip
"""The 33 landmarks of MediaPipe's pose networks."""

HALPE_26 = _sided(
    (
        *COCO_17.names, 'head', 'neck', 'hip', *_both('left_big_toe', 'left_small_toe', 'left_heel'),
    ),
    (
        ('nose', 'left_eye', 'left_ear'),
        ('head', 'neck', 'hip', 'left_hip', 'left_knee', 'left_ankle', 'left_big_toe'),
        ('neck', 'left_shoulder', 'left_elbow', 'left_wrist'),
        ('left_ankle', 'left_small_toe'),
        ('left_ankle', 'left_heel'),
    ),
)  # fmt: skip
"""The 26 keypoints of Halpe, as RTMPose's body networks with feet have them: COCO's, and head, neck, hip and feet."""

MPII_16 = _sided(
    (
        'right_ankle', 'right_knee', 'right_hip', 'left_hip', 'left_knee', 'left_ankle', 'pelvis', 'thorax',
        'upper_neck', 'head_top', 'right_wrist', 'right_elbow', 'right_shoulder', 'left_shoulder', 'left_elbow',
        'left_wrist',
    ),
    (
        ('head_top', 'upper_neck', 'thorax', 'pelvis', 'left_hip', 'left_knee', 'left_ankle'),
        ('thorax', 'left_shoulder', 'left_elbow', 'left_wrist'),
    ),
)  # fmt: skip
"""The 16 joints of the MPII data set."""

HAND_21 = _sided(_HAND, _HAND_CHAINS)
"""The 21 keypoints of a hand, as of MediaPipe, RTMPose and COCO-WholeBody."""

_FACE = (
    *(f'right_jaw_{index}' for index in range(8)), 'chin', *(f'left_jaw_{index}' for index in range(7, -1, -1)),
    *(f'right_brow_{index}' for index in range(5)), *(f'left_brow_{index}' for index in range(4, -1, -1)),
    *(f'nose_bridge_{index}' for index in range(4)),
    'right_nostril_0', 'right_nostril_1', 'nose_base', 'left_nostril_1', 'left_nostril_0',
    *(f'right_eye_{index}' for index in range(6)), *(f'left_eye_{index}' for index in (3, 2, 1, 0, 5, 4)),
    'right_lip_0', 'right_lip_1', 'right_lip_2', 'lip_top', 'left_lip_2', 'left_lip_1', 'left_lip_0', 'left_lip_3',
    'left_lip_4', 'lip_bottom', 'right_lip_4', 'right_lip_3',
    'right_inner_lip_0', 'right_inner_lip_1', 'inner_lip_top', 'left_inner_lip_1', 'left_inner_lip_0',
    'left_inner_lip_2', 'inner_lip_bottom', 'right_inner_lip_2',
)  # fmt: skip
"""The 68 points of a face (300-W); number 0 is at the picture's left, so on a person's right."""

_FACE_CHAINS = (
    (*(f'left_jaw_{index}' for index in range(8)), 'chin'),
    tuple(f'left_brow_{index}' for index in range(5)),
    (*(f'nose_bridge_{index}' for index in range(4)), 'nose_base', 'left_nostril_1', 'left_nostril_0'),
    (*(f'left_eye_{index}' for index in range(6)), 'left_eye_0'),
    ('lip_top', 'left_lip_2', 'left_lip_1', 'left_lip_0', 'left_lip_3', 'left_lip_4', 'lip_bottom'),
    ('inner_lip_top', 'left_inner_lip_1', 'left_inner_lip_0', 'left_inner_lip_2', 'inner_lip_bottom'),
)

WHOLEBODY_133 = _sided(
    (
        *COCO_17.names,
        *(f'{side}_{name}' for side in ('left', 'right') for name in ('big_toe', 'small_toe', 'heel')),
        *_FACE,
        *(f'{side}_hand_{name}' for side in ('left', 'right') for name in _HAND),
    ),
    (
        ('left_ankle', 'left_knee', 'left_hip', 'right_hip'),
        ('left_hip', 'left_shoulder', 'right_shoulder'),
        ('left_shoulder', 'left_elbow', 'left_wrist', 'left_hand_wrist'),
        ('nose', 'left_eye', 'left_ear'),
        *(('left_ankle', f'left_{name}') for name in ('big_toe', 'small_toe', 'heel')),
        *_FACE_CHAINS,
        *(tuple(f'left_hand_{name}' for name in chain) for chain in _HAND_CHAINS),
    ),
)
"""The 133 keypoints of COCO-WholeBody: COCO's, 6 of feet, 68 of the face, 21 of each hand."""

SKELETONS: Mapping[str, SkeletonSpec] = {
    'coco17': COCO_17,
    'blazepose33': BLAZEPOSE_33,
    'halpe26': HALPE_26,
    'wholebody133': WHOLEBODY_133,
    'mpii16': MPII_16,
    'hand21': HAND_21,
}
"""Name in a card -> skeleton."""


def skeleton_of(count: int) -> tuple[str, SkeletonSpec] | None:
    """The published skeleton of so many keypoints, with its name; None where there is none."""
    return next(((name, spec) for name, spec in SKELETONS.items() if len(spec.names) == count), None)
