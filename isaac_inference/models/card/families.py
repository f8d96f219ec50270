# SPDX-License-Identifier: Apache-2.0
"""The conventions of each decoder family, in one table: roles of the outputs, options, preprocessing.

A family is a way of laying out a network's outputs, named like its decoder in `isaac_inference.ops.decoders`.
What a family's exporters have agreed on is written here once; a card or the file's metadata may say
otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from isaac_inference.models.card.inputs import PreprocessSpec
from isaac_inference.models.card.tasks import Task
from isaac_inference.ops.image.options import Anchor, ColorOrder, Fit, Rounding

_RAW_BGR: dict[str, Any] = {'color': ColorOrder.BGR, 'scale': 1.0}
_IMAGENET: dict[str, Any] = {'mean': (0.485, 0.456, 0.406), 'std': (0.229, 0.224, 0.225)}
_YOLOX = PreprocessSpec(**_RAW_BGR, fit=Fit.LETTERBOX, anchor=Anchor.TOP_LEFT, rounding=Rounding.FLOOR, pad_value=114)
_ULTRALYTICS = PreprocessSpec(
    color=ColorOrder.RGB,
    scale=1 / 255,
    fit=Fit.LETTERBOX,
    anchor=Anchor.CENTER,
    rounding=Rounding.NEAREST,
    pad_value=114,
)
_RT_DETR = PreprocessSpec(color=ColorOrder.RGB, scale=1 / 255, fit=Fit.STRETCH)
_DETR = PreprocessSpec(color=ColorOrder.RGB, scale=1 / 255, fit=Fit.STRETCH, **_IMAGENET)
_NANODET = PreprocessSpec(**_RAW_BGR, mean=(103.53, 116.28, 123.675), std=(57.375, 57.12, 58.395), fit=Fit.STRETCH)


@dataclass(frozen=True)
class Family:
    """The conventions of one decoder family.

    Attributes:
        decoder: the decoder's name.
        title: the family's name for people.
        layout: the outputs' layout for people, as written in messages; `nc` is the class count.
        roles: what each output is to the decoder.
        preprocess: how its exports expect their images.
        options: decoder option -> default value.
        checks: decoder option -> function that returns the option's value from what YAML gave, or raises
            ValueError with the values it accepts.
        task: what the family is for.
    """

    decoder: str
    title: str
    layout: str
    roles: tuple[str, ...]
    preprocess: PreprocessSpec
    options: Mapping[str, Any] = field(default_factory=dict)
    checks: Mapping[str, Callable[[Any], Any]] = field(default_factory=dict)
    task: Task = Task.DETECTION


def _strides(value: Any) -> tuple[int, ...]:
    """Strides in px from a YAML list."""
    good = isinstance(value, (list, tuple)) and value and all(type(item) is int and item > 0 for item in value)
    if not good or list(value) != sorted(set(value)):
        raise ValueError('a growing list of whole numbers above 0, such as [8, 16, 32]')
    return tuple(value)


def _activation(value: Any) -> str:
    """The name of the function that makes scores from logits."""
    if value not in ('sigmoid', 'softmax'):
        raise ValueError("'sigmoid' or 'softmax'")
    return str(value)


def _flag(value: Any) -> bool:
    """A YAML truth value."""
    if not isinstance(value, bool):
        raise ValueError('true or false')
    return value


FAMILIES: Mapping[str, Family] = {
    family.decoder: family
    for family in (
        Family(
            'yolox',
            'YOLOX',
            '[N, cells of strides 8, 16, 32, 5 + nc]',
            ('predictions',),
            _YOLOX,
            options={'strides': (8, 16, 32)},
            checks={'strides': _strides},
        ),
        Family('yolov5', 'YOLOv5', '[N, 3 x cells of strides 8, 16, 32, 5 + nc]', ('predictions',), _ULTRALYTICS),
        Family('yolov8', 'YOLOv8/9/11', '[N, 4 + nc, cells of strides 8, 16, 32]', ('predictions',), _ULTRALYTICS),
        Family(
            'yolov8_pose',
            'YOLOv8/11-pose',
            '[N, 4 + nc + values of the keypoints, cells of strides 8, 16, 32]',
            ('predictions',),
            _ULTRALYTICS,
            task=Task.KEYPOINTS,
        ),
        Family(
            'end_to_end',
            'YOLOv10/26 end-to-end',
            '[N, boxes, 6] as x1, y1, x2, y2, score, class',
            ('predictions',),
            _ULTRALYTICS,
        ),
        Family(
            'detr',
            'DETR',
            'logits [N, queries, nc] and boxes [N, queries, 4]',
            ('logits', 'boxes'),
            _RT_DETR,
            options={'activation': 'sigmoid'},
            checks={'activation': _activation},
        ),
        Family(
            'boxes_scores_labels',
            'RT-DETR with postprocessing',
            'boxes [N, boxes, 4], scores [N, boxes] and labels [N, boxes]',
            ('boxes', 'scores', 'labels'),
            _RT_DETR,
            options={'normalized': False},
            checks={'normalized': _flag},
        ),
        Family(
            'efficient_nms',
            'EfficientNMS',
            'number of detections [N, 1], boxes [N, boxes, 4], scores and labels [N, boxes]',
            ('num_detections', 'boxes', 'scores', 'labels'),
            _ULTRALYTICS,
            options={'normalized': False},
            checks={'normalized': _flag},
        ),
        Family(
            'nanodet',
            'NanoDet-Plus',
            '[N, cells of strides 8, 16, 32, 64, nc + 32]',
            ('predictions',),
            _NANODET,
            options={'strides': (8, 16, 32, 64)},
            checks={'strides': _strides},
        ),
    )
}


def preprocess_default(
    decoder: str, options: Mapping[str, Any], class_columns: int | None
) -> tuple[PreprocessSpec, str]:
    """How a family's exports expect their images, and the text that says where that came from.

    DETR's relatives differ: those that score with softmax, and the ones with COCO's 91 category ids
    (Deformable DETR, RF-DETR), were trained on ImageNet mean and std; RT-DETR on plain 0..1.

    Args:
        decoder: a key of `FAMILIES`.
        options: the decoder's resolved options.
        class_columns: width of the class scores that the model outputs, or None if unknown.
    """
    if decoder == 'detr':
        if options.get('activation') == 'softmax':
            return _DETR, 'default of the DETR family with softmax'
        if class_columns == 91:
            return _DETR, 'default of the DETR family with 91 category ids'
        return _RT_DETR, 'default of the RT-DETR family'
    family = FAMILIES[decoder]
    return family.preprocess, f'default of the {family.title} family'
