# SPDX-License-Identifier: Apache-2.0
"""torchvision's detectors with small backbones, exported by `torch.onnx.export`; resizing and NMS are in the graph."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmark.families.arrays import final
from benchmark.families.case import Decoded, FamilyCase, MissingPackageError, Outputs, Preprocess, Truth

_PREPROCESS = Preprocess(
    'rgb', 'torchvision, detection/transform.py GeneralizedRCNNTransform: 0..1 in, the graph normalizes and resizes',
    fit='any',
)  # fmt: skip
_COLUMNS = 91
_WH = (320, 256)


def cases() -> list[FamilyCase]:
    """Every case of this exporter."""
    in_order = ('boxes', 'labels', 'scores')
    scores_second = ('boxes', 'scores', 'labels')
    return [
        _case('torchvision_fasterrcnn', _faster_rcnn, in_order, fixed=False, batch_axis=False),
        _case('torchvision_fasterrcnn_batch', _faster_rcnn, in_order, fixed=True),
        _case('torchvision_retinanet', _retinanet, scores_second, fixed=False),
        _case('torchvision_fcos', _fcos, scores_second, fixed=True),
        _case('torchvision_ssdlite', _ssdlite, scores_second, fixed=True, wh=(320, 320)),
    ]


def _case(
    name: str,
    network: Callable[[], Any],
    names: tuple[str, ...],
    fixed: bool,
    batch_axis: bool = True,
    wh: tuple[int, int] = _WH,
) -> FamilyCase:
    """Boxes, labels and scores in the order that this detector returns them."""

    def build(folder: Path) -> Path:
        path = folder / f'{name}.onnx'
        _export(network, path, names, wh, fixed, batch_axis)
        return path

    def decode(outputs: Outputs, input_wh: tuple[int, int]) -> Decoded:
        return final(outputs['boxes'], outputs['scores'], outputs['labels'])

    columns = 'boxes [N, 4]: x1, y1, x2, y2 in px; labels [N] int64, 0 is background and never reported; scores [N]'
    layout = 'NCHW' if batch_axis else 'CHW'
    truth = Truth(columns, _PREPROCESS, _COLUMNS - 1, False, decode, wh, first_class=1, layout=layout)
    return FamilyCase(name, 'torchvision, torch.onnx', build, truth)


def _export(
    network: Callable[[], Any], path: Path, names: tuple[str, ...], wh: tuple[int, int], fixed: bool, batch_axis: bool
) -> None:
    try:
        import torch
        import torchvision  # noqa: F401
    except ImportError as error:
        raise MissingPackageError(f'torchvision: {error}') from error
    torch.manual_seed(0)
    model = network().eval()
    for name, parameter in model.named_parameters():
        if 'cls' in name and name.endswith('bias'):
            parameter.data.normal_(-1, 2)
    image = torch.rand(3, wh[1], wh[0])
    axes = {} if fixed else {'image': {1 + batch_axis: 'height', 2 + batch_axis: 'width'}}
    torch.onnx.export(
        model,
        (image[None],) if batch_axis else ([image],),
        str(path),
        input_names=['image'],
        output_names=list(names),
        dynamic_axes={**axes, **{name: {0: 'detections'} for name in names}},
        opset_version=17,
        dynamo=False,
    )


def _backbone() -> Any:
    """One feature map of stride 32 with 64 channels."""
    import torch

    layers: list[Any] = []
    for into, out in ((3, 16), (16, 32), (32, 64), (64, 64), (64, 64)):
        layers += [torch.nn.Conv2d(into, out, 3, 2, 1), torch.nn.ReLU()]
    backbone = torch.nn.Sequential(*layers)
    backbone.out_channels = 64
    return backbone


def _anchors() -> Any:
    from torchvision.models.detection.anchor_utils import AnchorGenerator

    return AnchorGenerator(sizes=((32, 64, 128),), aspect_ratios=((0.5, 1.0, 2.0),))


def _faster_rcnn() -> Any:
    from torchvision.models.detection import FasterRCNN
    from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
    from torchvision.ops import MultiScaleRoIAlign

    return FasterRCNN(
        _backbone(),
        rpn_anchor_generator=_anchors(),
        box_roi_pool=MultiScaleRoIAlign(['0'], 7, 2),
        box_head=TwoMLPHead(64 * 49, 128),
        box_predictor=FastRCNNPredictor(128, _COLUMNS),
        min_size=256,
        max_size=512,
    )


def _retinanet() -> Any:
    from torchvision.models.detection import RetinaNet

    return RetinaNet(_backbone(), _COLUMNS, min_size=256, max_size=512, anchor_generator=_anchors())


def _fcos() -> Any:
    from torchvision.models.detection import FCOS
    from torchvision.models.detection.anchor_utils import AnchorGenerator

    anchors = AnchorGenerator(sizes=((32,),), aspect_ratios=((1.0,),))
    return FCOS(_backbone(), _COLUMNS, min_size=256, max_size=512, anchor_generator=anchors)


def _ssdlite() -> Any:
    from torchvision.models.detection import ssdlite320_mobilenet_v3_large

    return ssdlite320_mobilenet_v3_large(
        weights=None, weights_backbone=None, num_classes=_COLUMNS, score_thresh=0.005, detections_per_img=100
    )
