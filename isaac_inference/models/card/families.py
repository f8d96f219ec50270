# SPDX-License-Identifier: Apache-2.0
"""The conventions of each decoder family, in one table: roles of the outputs, options, and who prepares images how.

A family is a way of laying out a network's outputs, named like its decoder in `isaac_inference.ops.decoders`.
What a family's exporters have agreed on is written here once; a card or the file's metadata may say
otherwise. How images are prepared is a choice of its own: `conventions.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from isaac_inference.models.card.tasks import Task

LEVEL_STRIDES = (4, 8, 16, 32, 64, 128)
"""px between two cells of the grid levels that a role may name, such as `scores_8`."""

COLUMNS = ('x1', 'y1', 'x2', 'y2', 'cx', 'cy', 'w', 'h', 'score', 'class', 'image', 'angle')
"""What the columns of a table of finished boxes may be called."""

ANCHORS: Mapping[str, tuple[tuple[tuple[float, float], ...], ...]] = {
    'yolov3': (((10, 13), (16, 30), (33, 23)), ((30, 61), (62, 45), (59, 119)), ((116, 90), (156, 198), (373, 326))),
    'yolov4': (((12, 16), (19, 36), (40, 28)), ((36, 75), (76, 55), (72, 146)), ((142, 110), (192, 243), (459, 401))),
    'yolov3_tiny': (((10, 14), (23, 27), (37, 58)), ((81, 82), (135, 169), (344, 319))),
}
"""The anchors that YOLO's networks were published with, in px, by level: YOLOv5 has those of v3, YOLOv7 those of v4."""

_CORNERS = ('x1', 'y1', 'x2', 'y2')
_CENTER = ('cx', 'cy', 'w', 'h')
Check = Callable[[Any], Any]


@dataclass(frozen=True)
class Family:
    """The conventions of one decoder family.

    Attributes:
        decoder: the decoder's name.
        title: the family's name for people.
        layout: the outputs' layout for people, as written in messages; `nc` is the class count.
        roles: what each output is to the decoder.
        conventions: names in `conventions.CONVENTIONS` that exports of this layout follow, the likeliest first.
        options: decoder option -> default value.
        checks: decoder option -> function that returns the option's value from what YAML gave, or raises
            ValueError with the values it accepts.
        optional_roles: outputs that it also reads where they are there.
        level_roles: what an output is to the decoder where each grid level has its own; the roles are then
            `<role>_<stride>`, such as `scores_8`.
        task: what the family is for.
        labels: the classes of a family that is one network's, where nothing else names them.
        size_step: px of which the input's width and height must be multiples, where a file leaves them open.
    """

    decoder: str
    title: str
    layout: str
    roles: tuple[str, ...]
    conventions: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    checks: Mapping[str, Check] = field(default_factory=dict)
    optional_roles: tuple[str, ...] = ()
    level_roles: tuple[str, ...] = ()
    task: Task = Task.DETECTION
    labels: tuple[str, ...] = ()
    size_step: int = 1

    @property
    def all_roles(self) -> tuple[str, ...]:
        """Every role that a card may give to an output."""
        levels = tuple(f'{role}_{stride}' for role in self.level_roles for stride in LEVEL_STRIDES)
        return (*self.roles, *self.optional_roles, *levels)

    def takes(self, roles: Mapping[str, Any]) -> bool:
        """True when these roles are a complete set for the decoder."""
        known = set(self.all_roles)
        if not set(roles) <= known or not set(self.roles) <= set(roles):
            return False
        levels: dict[str, set[str]] = {}
        for role in roles:
            name, _, stride = role.rpartition('_')
            if name in self.level_roles:
                levels.setdefault(stride, set()).add(name)
        required = set(self.level_roles) - {'objectness'}
        return not self.level_roles or (bool(levels) and all(required <= found for found in levels.values()))


def _strides(value: Any) -> tuple[int, ...]:
    """Strides in px from a YAML list."""
    good = isinstance(value, (list, tuple)) and value and all(type(item) is int and item > 0 for item in value)
    if not good or list(value) != sorted(set(value)):
        raise ValueError('a growing list of whole numbers above 0, such as [8, 16, 32]')
    return tuple(value)


def _one_of(*choices: str) -> Check:
    """The check of an option that has a few names as values."""

    def check(value: Any) -> str:
        if value not in choices:
            raise ValueError(', '.join(repr(item) for item in choices[:-1]) + f' or {choices[-1]!r}')
        return str(value)

    return check


def _flag(value: Any) -> bool:
    """A YAML truth value."""
    if not isinstance(value, bool):
        raise ValueError('true or false')
    return value


def _first_label(value: Any) -> int:
    """The class id of the first label."""
    if value not in (0, 1) or isinstance(value, bool):
        raise ValueError('0 or 1')
    return int(value)


def _class_ids(value: Any) -> tuple[int, ...]:
    """Class ids from a YAML list."""
    if not isinstance(value, (list, tuple)) or not all(type(item) is int and item >= 0 for item in value):
        raise ValueError('a list of class ids, such as [0, 12]')
    return tuple(value)


def _offset(value: Any) -> float:
    """Where in its cell a grid point lies."""
    if value not in (0, 0.5) or isinstance(value, bool):
        raise ValueError('0 or 0.5')
    return float(value)


def _columns(value: Any) -> tuple[str, ...]:
    """The columns of a table of boxes."""
    names = re.split(r'[\s,]+', value.strip()) if isinstance(value, str) else value
    boxes = (_CORNERS, _CENTER)
    if (
        not isinstance(names, (list, tuple))
        or len(set(map(str, names))) != len(names)
        or not set(map(str, names)) <= set(COLUMNS)
        or not any(set(box) <= set(names) for box in boxes)
        or 'score' not in names
    ):
        raise ValueError(
            f'a list of column names that holds a box and the score, such as [x1, y1, x2, y2, score, class]; known are '
            f'{", ".join(COLUMNS)}'
        )
    return tuple(map(str, names))


def _anchors(value: Any) -> tuple[tuple[tuple[float, float], ...], ...]:
    """Anchor sizes by level, or the name of a published set."""
    if isinstance(value, str) and value in ANCHORS:
        return ANCHORS[value]
    try:
        levels = tuple(tuple((float(w), float(h)) for w, h in level) for level in value)
    except (TypeError, ValueError):
        levels = ()
    if not levels or not all(level and min(map(min, level)) > 0 for level in levels):
        raise ValueError(
            f'one of {", ".join(ANCHORS)}, or a list of [w, h] in px for each level, '
            'such as [[[10, 13], [16, 30], [33, 23]], ...]'
        )
    return levels


_FORMATS = _one_of('xyxy', 'cxcywh', 'xywh', 'yxyx')
_ACTIVATIONS = _one_of('none', 'sigmoid', 'softmax')
_BACKGROUNDS = _one_of('none', 'first', 'last')
_BOXES: Mapping[str, Check] = {'box_format': _FORMATS, 'normalized': _flag}
_FINISHED: Mapping[str, Any] = {'box_format': 'xyxy', 'normalized': False, 'first_label': 0}
_FINISHED_CHECKS: Mapping[str, Check] = {**_BOXES, 'first_label': _first_label}

FAMILIES: Mapping[str, Family] = {
    family.decoder: family
    for family in (
        Family(
            'yolox',
            'YOLOX',
            '[N, cells of strides 8, 16, 32, 5 + nc]',
            ('predictions',),
            ('yolox', 'yolox_legacy'),
            options={'strides': (8, 16, 32)},
            checks={'strides': _strides},
        ),
        Family(
            'yolov5',
            'YOLOv5',
            '[N, 3 x cells of strides 8, 16, 32, 5 + nc]',
            ('predictions',),
            ('ultralytics',),
            options={'box_format': 'cxcywh', 'normalized': False},
            checks=_BOXES,
        ),
        Family(
            'yolov8',
            'YOLOv8/9/11',
            '[N, 4 + nc, cells of strides 8, 16, 32]',
            ('predictions',),
            ('ultralytics',),
            options={'box_format': 'cxcywh', 'normalized': False, 'activation': 'none', 'nms': True},
            checks={**_BOXES, 'activation': _ACTIVATIONS, 'nms': _flag},
        ),
        Family(
            'yolov8_pose',
            'YOLOv8/11-pose',
            '[N, 4 + nc + values of the keypoints, cells of strides 8, 16, 32]',
            ('predictions',),
            ('ultralytics',),
            task=Task.KEYPOINTS,
        ),
        Family(
            'yolov8_obb',
            'YOLOv8/11-OBB',
            '[N, 4 + nc + 1, cells of strides 8, 16, 32], the last row is the angle',
            ('predictions',),
            ('ultralytics',),
        ),
        Family(
            'end_to_end',
            'YOLOv10/26 end-to-end',
            '[N, boxes, 6] as x1, y1, x2, y2, score, class',
            ('predictions',),
            ('ultralytics', 'rt_detr', 'yolox', 'paddle', 'tensorflow', 'centernet', 'caffe'),
            options={'columns': (*_CORNERS, 'score', 'class'), 'normalized': False, 'first_label': 0, 'nms': False},
            checks={'columns': _columns, 'normalized': _flag, 'first_label': _first_label, 'nms': _flag},
            optional_roles=('num_detections',),
        ),
        Family(
            'end_to_end_pose',
            'YOLO26-pose end-to-end',
            '[N, boxes, 6 + values of the keypoints] as x1, y1, x2, y2, score, class, keypoints',
            ('predictions',),
            ('ultralytics',),
            options={'nms': False},
            checks={'nms': _flag},
            task=Task.KEYPOINTS,
        ),
        Family(
            'movenet_multipose',
            'MoveNet for several people',
            '[N, boxes, values of the keypoints + 5] as y, x and score of each keypoint, y1, x1, y2, x2, score',
            ('predictions',),
            ('movenet',),
            task=Task.KEYPOINTS,
            labels=('person',),
            size_step=32,
        ),
        Family(
            'detr',
            'DETR',
            'logits [N, queries, nc] and boxes [N, queries, 4]',
            ('logits', 'boxes'),
            ('rt_detr', 'rf_detr', 'detr'),
            options={'activation': 'sigmoid', 'box_format': 'cxcywh', 'normalized': True, 'unused': ()},
            checks={'activation': _one_of('sigmoid', 'softmax'), **_BOXES, 'unused': _class_ids},
        ),
        Family(
            'boxes_scores',
            'boxes and class scores',
            'boxes [N, boxes, 4] and scores [N, boxes, nc] or [N, nc, boxes], before NMS',
            ('boxes', 'scores'),
            ('yolo_nas', 'damo_yolo', 'rt_detr', 'paddle', 'darknet', 'ssd', 'rtmdet', 'efficientdet'),
            options={
                'box_format': 'xyxy',
                'normalized': False,
                'activation': 'none',
                'background': 'none',
                'nms': True,
            },
            checks={**_BOXES, 'activation': _ACTIVATIONS, 'background': _BACKGROUNDS, 'nms': _flag},
            optional_roles=('selected', 'anchors'),
        ),
        Family(
            'boxes_scores_labels',
            'RT-DETR with postprocessing',
            'boxes [N, boxes, 4], scores [N, boxes] and labels [N, boxes]',
            ('boxes', 'labels'),
            ('rt_detr', 'rf_detr', 'rtmdet', 'torchvision', 'detectron', 'ultralytics', 'ssd'),
            options={**_FINISHED, 'nms': False},
            checks={**_FINISHED_CHECKS, 'nms': _flag},
            optional_roles=('scores',),
        ),
        Family(
            'efficient_nms',
            'EfficientNMS',
            'number of detections [N, 1], boxes [N, boxes, 4], scores and labels [N, boxes]',
            ('num_detections', 'boxes', 'scores', 'labels'),
            ('ultralytics', 'yolox', 'yolo_nas', 'tensorflow', 'detectnet'),
            options=_FINISHED,
            checks=_FINISHED_CHECKS,
        ),
        Family(
            'nanodet',
            'NanoDet-Plus',
            '[N, cells of strides 8, 16, 32, 64, nc + 32]',
            ('predictions',),
            ('nanodet',),
            options={'strides': (8, 16, 32, 64), 'cell_offset': 0.0},
            checks={'strides': _strides, 'cell_offset': _offset},
        ),
        Family(
            'anchor_free_heads',
            'anchor-free heads',
            'scores [N, cells, nc] and distances [N, cells, 4 or 4 x bins] for each grid level',
            (),
            ('paddle', 'rtmdet', 'nanodet'),
            options={'activation': 'none', 'cell_offset': 0.5, 'distances': 'strides'},
            checks={
                'activation': _ACTIVATIONS,
                'cell_offset': _offset,
                'distances': _one_of('strides', 'px'),
            },
            level_roles=('scores', 'boxes', 'objectness'),
        ),
        Family(
            'anchor_heads',
            'YOLOv3/v4/v5/v7 raw heads',
            '[N, anchors x (5 + nc), rows, columns] for each grid level',
            (),
            ('darknet', 'ultralytics'),
            options={'anchors': (), 'formula': 'v3', 'activated': False},
            checks={'anchors': _anchors, 'formula': _one_of('v3', 'v5'), 'activated': _flag},
            level_roles=('predictions',),
        ),
        Family(
            'detectnet',
            'TAO DetectNet_v2',
            'scores [N, nc, rows, columns] and boxes [N, 4 x nc, rows, columns]',
            ('scores', 'boxes'),
            ('detectnet',),
        ),
        Family(
            'centernet',
            'CenterNet heat maps',
            'heatmap [N, nc, rows, columns], sizes and offsets [N, 2, rows, columns]',
            ('heatmap', 'sizes'),
            ('centernet', 'detr', 'bytes'),
            options={'activation': 'none'},
            checks={'activation': _one_of('none', 'sigmoid')},
            optional_roles=('offsets',),
        ),
    )
}
