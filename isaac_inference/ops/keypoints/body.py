# SPDX-License-Identifier: Apache-2.0
"""What is known of anybody's body: how long its bones are, and how far below the skin its joints lie.

Lengths are parts of the stature, of Drillis and Contini (Body Segment Parameters, 1966; the table in Winter,
Biomechanics and Motor Control of Human Movement). Networks are taught where people see a shoulder or a hip, which is
not where an anatomist finds it, so limits are wide.

How far a joint lies behind the skin that faces the camera is half of how thick the body is there, rounded: by girth for
wrist and ankle (about 0.165 and 0.22 m; Gordon et al., 2012 Anthropometric Survey of U.S. Army Personnel), by breadth
for elbow and knee, and less than half of the trunk's depth (about 0.24 m) for the hip, which lies towards the front.
What is in the face is on the skin.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

# part of the body, without its side -> (m behind the skin, m radius of what shows the same depth around it)
_PARTS: Mapping[str, tuple[float, float]] = {
    'nose': (0.01, 0.02),
    'eye': (0.005, 0.02),
    'ear': (0.0, 0.025),
    'shoulder': (0.05, 0.04),
    'elbow': (0.035, 0.03),
    'wrist': (0.025, 0.022),
    'hip': (0.09, 0.06),
    'knee': (0.05, 0.045),
    'ankle': (0.035, 0.03),
    'neck': (0.06, 0.04),
    'thorax': (0.06, 0.04),
    'pelvis': (0.09, 0.06),
    'heel': (0.02, 0.02),
    'thumb': (0.01, 0.012),
    'index': (0.01, 0.012),
    'pinky': (0.01, 0.012),
}
_OTHER = (0.0, 0.025)  # of a point that is called otherwise
# bone -> its length over the stature
_BONES: Mapping[frozenset[str], float] = {
    frozenset(bone): length
    for bone, length in {
        ('nose', 'eye'): 0.035,
        ('eye',): 0.037,
        ('eye', 'ear'): 0.055,
        ('nose', 'ear'): 0.075,
        ('ear', 'shoulder'): 0.16,
        ('shoulder',): 0.23,
        ('shoulder', 'elbow'): 0.186,
        ('elbow', 'wrist'): 0.146,
        ('shoulder', 'hip'): 0.29,
        ('hip',): 0.13,
        ('hip', 'knee'): 0.245,
        ('knee', 'ankle'): 0.246,
        ('neck', 'shoulder'): 0.115,
        ('thorax', 'shoulder'): 0.115,
        ('neck', 'hip'): 0.29,
        ('thorax', 'pelvis'): 0.29,
        ('pelvis', 'hip'): 0.065,
        ('ankle', 'heel'): 0.045,
        ('wrist', 'thumb'): 0.05,
        ('wrist', 'index'): 0.06,
        ('wrist', 'pinky'): 0.055,
    }.items()
}
_SIDES: Mapping[str, int] = {'left': 0, 'l': 0, 'right': 1, 'r': 1}
_FACE = frozenset(('nose', 'eye', 'ear'))  # is not joined to the body in most skeletons
_PAIRS = ('wrist', 'elbow', 'shoulder', 'hip', 'knee', 'ankle')
_HEAD = (('nose', 0), ('eye', 0), ('eye', 1), ('ear', 0), ('ear', 1))
_LONG = 0.1  # over the stature: shorter bones tell less of it than keypoints are off
_LONGEST = 0.3  # over the stature: of a bone that is called otherwise
TALLEST = 2.4
"""m; nobody's bones are longer than those of somebody of this stature."""


@dataclass(frozen=True, eq=False)
class Body:
    """A skeleton's points as parts of a body; made by `body_of`.

    Attributes:
        names: of the K points.
        behind: (K,) m that each lies behind the skin, away from the camera.
        radius: (K,) m, of the surface around each that is as far away.
        bones: (B, 2) indices of points that are joined.
        lengths: (B,) over the stature, NaN where a bone is none that is known.
        is_long: (B,) bool, bones that tell the stature.
        reach: (K, K) over the stature, the largest distance of two points; inf where nothing joins them.
        pairs: (6, 2) indices of the left and right wrists, elbows, shoulders, hips, knees and ankles; -1 for none.
        head: (5,) indices of the nose, the left and right eye, the left and right ear; -1 for none.
    """

    names: tuple[str, ...]
    behind: np.ndarray
    radius: np.ndarray
    bones: np.ndarray
    lengths: np.ndarray
    is_long: np.ndarray
    reach: np.ndarray
    pairs: np.ndarray
    head: np.ndarray


def body_of(names: Sequence[str], edges: Sequence[tuple[int, int]], behind: Mapping[str, float] | None = None) -> Body:
    """The body of a skeleton.

    Args:
        names: of its points, such as 'left_wrist'; one of another name is taken to lie on the skin.
        edges: indices of the points that are joined.
        behind: m by name, with the side or without: how far points lie behind the skin, where it is not the usual.

    Raises:
        ValueError: `behind` names a point that there is not.

    Example: a wrist is 25 mm behind the skin; surfaces as they are measured are had with 0.
        >>> body = body_of(['left_elbow', 'left_wrist'], [(0, 1)], {'elbow': 0.0})
        >>> body.behind.tolist(), body.lengths.tolist()
        ([0.0, 0.025], [0.146])
    """
    parts = [_part(name) for name in names]
    known = np.array([_PARTS.get(part, _OTHER) for part in parts], np.float64).reshape(-1, 2)
    depths = known[:, 0].copy()
    for name, metres in (behind or {}).items():
        which = [index for index, own in enumerate(names) if name in (own, parts[index])]
        if not which:
            raise ValueError(f'{name!r} is none of the points {", ".join(names)}')
        depths[which] = metres
    bones = [*((first, second) for first, second in edges), *_neck(parts, edges)]
    lengths_of = np.array([_length(names, parts, bone) for bone in bones], np.float64)
    where = {(part, _side(name)): index for index, (part, name) in enumerate(zip(parts, names, strict=True))}
    long = [lengths_of[k] >= _LONG and parts[first] != parts[second] for k, (first, second) in enumerate(bones)]
    return Body(
        tuple(names),
        depths,
        known[:, 1],
        np.array(bones, np.intp).reshape(-1, 2),
        lengths_of,
        np.array(long, np.bool_),
        _reach(len(names), bones, lengths_of),
        np.array([[where.get((part, side), -1) for side in (0, 1)] for part in _PAIRS], np.intp),
        np.array([where.get((part, None if part == 'nose' else side), -1) for part, side in _HEAD], np.intp),
    )


def _part(name: str) -> str:
    """The name without its side."""
    return '_'.join(word for word in _words(name) if word not in _SIDES)


def _side(name: str) -> int | None:
    """0 for a point of the left side, 1 for one of the right; None for one between."""
    return next((_SIDES[word] for word in _words(name) if word in _SIDES), None)


def _words(name: str) -> list[str]:
    return name.lower().replace(' ', '_').split('_')


def _length(names: Sequence[str], parts: Sequence[str], bone: tuple[int, int]) -> float:
    """Of a bone, over the stature; NaN for one that no table has. From a joint to what is between both it is half."""
    first, second = bone
    length = _BONES.get(frozenset((parts[first], parts[second])), np.nan)
    is_middle = [_part(names[end]) == names[end].lower() for end in bone]
    return length / 2 if parts[first] == parts[second] and is_middle[0] != is_middle[1] else length


def _neck(parts: Sequence[str], edges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Bones from ears to shoulders, where no edge joins the face to the rest."""
    face = {index for index, part in enumerate(parts) if part in _FACE}
    if not face or any((first in face) != (second in face) for first, second in edges):
        return []
    shoulders = [index for index, part in enumerate(parts) if part == 'shoulder']
    ears = [index for index, part in enumerate(parts) if part == 'ear']
    return list(zip(ears, shoulders, strict=False))


def _reach(count: int, bones: Sequence[tuple[int, int]], lengths: np.ndarray) -> np.ndarray:
    """(K, K) the shortest way along bones from each point to each other, over the stature (Floyd and Warshall)."""
    way = np.full((count, count), np.inf)
    np.fill_diagonal(way, 0.0)
    for (first, second), length in zip(bones, np.where(np.isnan(lengths), _LONGEST, lengths).tolist(), strict=True):
        way[first, second] = way[second, first] = min(way[first, second], length)
    for middle in range(count):
        way = np.minimum(way, way[:, middle, None] + way[middle])
    return way
