# SPDX-License-Identifier: Apache-2.0
"""How the projects that train networks prepare their images: one named convention each, for cards and messages.

An ONNX file rarely says how its images must be prepared, and the layout of its outputs does not either: the same
layout comes from projects that normalise differently. So the convention is a choice of its own, beside the decoder.
Every value was taken from the project's own inference code or configuration.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from isaac_inference.models.card.inputs import PreprocessSpec
from isaac_inference.ops.image.options import Anchor, ColorOrder, Fit, Rounding

_BYTE_GAIN = 0.1
_BYTES: dict[str, Any] = {'scale': 1.0}
_IMAGENET: dict[str, Any] = {'mean': (0.485, 0.456, 0.406), 'std': (0.229, 0.224, 0.225)}
_HALF_BYTES: dict[str, Any] = {'mean': (127.0, 127.0, 127.0), 'std': (128.0, 128.0, 128.0)}
_IMAGENET_BYTES_BGR: dict[str, Any] = {
    'color': ColorOrder.BGR,
    'scale': 1.0,
    'mean': (103.53, 116.28, 123.675),
    'std': (57.375, 57.12, 58.395),
}
_CAFFE: dict[str, Any] = {'color': ColorOrder.BGR, 'scale': 1.0, 'mean': (104.0, 117.0, 123.0)}
_DETECTRON: dict[str, Any] = {'color': ColorOrder.BGR, 'scale': 1.0, 'mean': (102.9801, 115.9465, 122.7717)}
_CENTERNET: dict[str, Any] = {'color': ColorOrder.BGR, 'mean': (0.408, 0.447, 0.47), 'std': (0.289, 0.274, 0.278)}
_HALF_UNIT: dict[str, Any] = {'mean': (0.5, 0.5, 0.5), 'std': (0.5, 0.5, 0.5)}
_STRETCH: dict[str, Any] = {'fit': Fit.STRETCH}
_TOP_LEFT: dict[str, Any] = {'fit': Fit.LETTERBOX, 'anchor': Anchor.TOP_LEFT, 'rounding': Rounding.FLOOR}
_RESIZED_WITH_PAD: dict[str, Any] = {  # tf.image.resize_with_pad
    'fit': Fit.LETTERBOX,
    'anchor': Anchor.CENTER,
    'rounding': Rounding.FLOOR,
    'pad_value': 0,
}
_CENTERED: dict[str, Any] = {'fit': Fit.LETTERBOX, 'anchor': Anchor.CENTER, 'rounding': Rounding.NEAREST}


@dataclass(frozen=True)
class Convention:
    """How one group of projects prepares images.

    Attributes:
        name: as in a card, `preprocess: {convention: <name>}`.
        title: whose exports follow it.
        preprocess: what it says.
        input_wh: (width, height) in px that its models usually take; used only where a file leaves the size open.
    """

    name: str
    title: str
    preprocess: PreprocessSpec
    input_wh: tuple[int, int] = (640, 640)

    @property
    def keeps_bytes(self) -> bool:
        """True where the network sees numbers as large as the raw 0..255."""
        return self.preprocess.scale / max(self.preprocess.std) > _BYTE_GAIN

    def describe(self) -> str:
        """In one line for notes: `RGB, x / 255, letterbox center`."""
        return preprocess_text(self.preprocess)


def preprocess_text(spec: PreprocessSpec) -> str:
    """What a preprocessing does, in one line: `BGR, 0..255, letterbox top_left`."""
    unit = {1.0: '0..255', 1 / 255: '0..1'}.get(spec.scale, f'x * {spec.scale:.4g}')
    parts = [spec.color.value.upper(), unit]
    if any(spec.mean) or spec.std != (1.0, 1.0, 1.0):
        parts.append(f'mean {_numbers(spec.mean)}, std {_numbers(spec.std)}')
    fit = spec.fit.value if spec.fit is Fit.STRETCH else f'{spec.fit.value} {spec.anchor.value}'
    return ', '.join((*parts, fit))


def _numbers(values: tuple[float, ...]) -> str:
    shown = [f'{value:g}' for value in values]
    return shown[0] if len(set(shown)) == 1 else f'[{", ".join(shown)}]'


def _convention(name: str, title: str, input_wh: tuple[int, int] = (640, 640), **preprocess: Any) -> Convention:
    return Convention(name, title, PreprocessSpec(**preprocess), input_wh)


CONVENTIONS: Mapping[str, Convention] = {
    item.name: item
    for item in (
        _convention('ultralytics', 'YOLOv5 to v13 of ultralytics and its forks, YOLOv6, YOLOv7', **_CENTERED),
        _convention('yolox', 'YOLOX from 0.2 on, Autoware', color=ColorOrder.BGR, **_BYTES, **_TOP_LEFT),
        _convention('yolox_legacy', 'YOLOX before 0.2', **_IMAGENET, **_TOP_LEFT),
        _convention('yolo_nas', 'YOLO-NAS (super-gradients)', **_CENTERED),
        _convention('darknet', 'YOLOv3 and v4 of darknet and its converters', (416, 416), **_STRETCH),
        _convention('damo_yolo', 'DAMO-YOLO', **_BYTES, **_TOP_LEFT, pad_value=0),
        _convention('rt_detr', 'RT-DETR, RT-DETRv2, D-FINE, DEIM, PP-YOLOE from 2.5 on', **_STRETCH),
        _convention('rf_detr', 'RF-DETR, LW-DETR, DEIMv2 S to X', **_IMAGENET, **_STRETCH),
        _convention('detr', 'DETR, Conditional and Deformable DETR, YOLOS', (800, 800), **_IMAGENET, **_STRETCH),
        _convention('paddle', 'PicoDet, older PP-YOLO and PP-YOLOE', **_IMAGENET, **_STRETCH),
        _convention('rtmdet', 'RTMDet, and MMDetection with bgr', **_IMAGENET_BYTES_BGR, **_TOP_LEFT),
        _convention('nanodet', 'NanoDet, NanoDet-Plus', (416, 416), **_IMAGENET_BYTES_BGR, **_STRETCH),
        _convention('tensorflow', 'TensorFlow Object Detection API, EfficientDet', (512, 512), **_BYTES, **_STRETCH),
        _convention('torchvision', 'torchvision: the graph normalises by itself', (800, 800), **_STRETCH),
        _convention('caffe', 'SSD of Caffe and OpenVINO', (300, 300), **_CAFFE, **_STRETCH),
        _convention(
            'detectron', 'Faster R-CNN of Detectron and maskrcnn-benchmark', (800, 800), **_DETECTRON, **_STRETCH
        ),
        _convention('centernet', 'CenterNet', (512, 512), **_CENTERNET, **_CENTERED, pad_value=0),
        _convention('efficientdet', 'EfficientDet in PyTorch', (512, 512), **_IMAGENET, **_TOP_LEFT, pad_value=124),
        _convention('libreyolo', 'the YOLO models of LibreYOLO', **_TOP_LEFT),
        _convention('ssd', 'pytorch-ssd, jetson-inference', (300, 300), **_BYTES, **_HALF_BYTES, **_STRETCH),
        _convention('detectnet', 'TAO DetectNet_v2', (960, 544), **_STRETCH),
        _convention('bytes', 'networks on raw 0..255, RGB', (512, 512), **_BYTES, **_STRETCH),
        _convention(
            'bytes_bgr', 'OpenVINO, networks on raw 0..255, BGR', (512, 512), color=ColorOrder.BGR, **_BYTES, **_STRETCH
        ),
        _convention(
            'imagenet',
            'Segformer, BiSeNet, PIDNet, DeepLab of torchvision, Depth Anything, MiDaS small',
            (512, 512),
            **_IMAGENET,
            **_STRETCH,
        ),
        _convention('half_range', 'DeepLab of TensorFlow, DPT, ZoeDepth: -1..1', (512, 512), **_HALF_UNIT, **_STRETCH),
        _convention('unit', 'MediaPipe, and networks on 0..1', (256, 256), **_STRETCH),
        _convention('movenet', 'MoveNet', (256, 256), **_BYTES, **_RESIZED_WITH_PAD),
        _convention('mediapipe', "MediaPipe's landmarks: BlazePose, Objectron", (256, 256), **_CENTERED, pad_value=0),
        _convention(
            'mmpose',
            'mmpose: RTMPose, HRNet, ViTPose; SimpleBaseline',
            (192, 256),
            **_IMAGENET,
            **_CENTERED,
            pad_value=0,
        ),
    )
}
"""Every convention by name, in the order in which messages list them."""

_BY_FAMILY: Mapping[str, str] = {
    'yolox': 'yolox',
    'rtmdet': 'rtmdet',
    'picodet': 'paddle',
    'ppyoloe': 'paddle',
    'dfine': 'rt_detr',
    'deim': 'rt_detr',
    'rtdetr': 'rt_detr',
    'rfdetr': 'rf_detr',
    'lwdetr': 'rf_detr',
    'nanodet': 'nanodet',
    'damoyolo': 'damo_yolo',
    'yolonas': 'yolo_nas',
    'efficientdet': 'efficientdet',
    'centernet': 'centernet',
    'detr': 'detr',
    'yolos': 'detr',
}


def convention_of(family: str) -> str:
    """The convention of a family that an exporter names in the metadata, '' where that names none.

    Args:
        family: such as 'rtmdet' or 'RF-DETR'.
    """
    plain = ''.join(letter for letter in family.lower() if letter.isalnum())
    found = _BY_FAMILY.get(plain, '')
    return found or ('libreyolo' if plain.startswith('yolo') else '')
