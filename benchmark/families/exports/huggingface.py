# SPDX-License-Identifier: Apache-2.0
"""Detectors of transformers, as optimum writes them and as plain `torch.onnx.export` does; small, random weights."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.families.arrays import best, by_size, from_center, sigmoid, softmax
from benchmark.families.case import (
    IMAGENET,
    Decode,
    Decoded,
    FamilyCase,
    MissingPackageError,
    Outputs,
    Preprocess,
    Truth,
)

_DETR = Preprocess('rgb', 'transformers, DetrImageProcessor: short side 800, ImageNet', **IMAGENET, fit='stretch')
_RT_DETR = Preprocess('rgb', 'transformers, RTDetrImageProcessor: 640 x 640, do_normalize False', fit='stretch')
_SQUARE = Preprocess('rgb', 'transformers, preprocessor_config.json of the checkpoints', **IMAGENET, fit='stretch')
_BACKBONE = {'embedding_size': 16, 'hidden_sizes': [16, 32, 64, 128], 'depths': [1, 1, 1, 1], 'layer_type': 'basic'}
_HEADS = {'encoder_attention_heads': 4, 'decoder_attention_heads': 4}
_LAYERS = {'encoder_layers': 1, 'decoder_layers': 2, 'encoder_ffn_dim': 128, 'decoder_ffn_dim': 128}
_DETR_SIZE = {'d_model': 64, **_LAYERS, **_HEADS}
_LEVELS = {
    'd_model': 64,
    'encoder_hidden_dim': 64,
    'decoder_layers': 2,
    'encoder_ffn_dim': 128,
    'decoder_ffn_dim': 128,
    'encoder_in_channels': [32, 64, 128],
    'decoder_in_channels': [64, 64, 64],
    **_HEADS,
}
_AXES = {'pixel_values': {0: 'batch_size', 1: 'num_channels', 2: 'height', 3: 'width'}}
_OUTPUT_AXES = {'logits': {0: 'batch_size', 1: 'num_queries'}, 'pred_boxes': {0: 'batch_size', 1: 'num_queries'}}


def cases() -> list[FamilyCase]:
    """Every case of these exporters."""
    return [
        _optimum('optimum_detr', 'Detr', 91, softmax_of, _DETR, (800, 800), _DETR_SIZE),
        _optimum('optimum_table_transformer', 'TableTransformer', 2, softmax_of, _DETR, (800, 800), _DETR_SIZE),
        _optimum('optimum_yolos', 'Yolos', 91, softmax_of, _DETR, (512, 512), _YOLOS),
        _optimum('optimum_rtdetr', 'RTDetr', 80, sigmoid_of, _RT_DETR, (640, 640), _LEVELS),
        _optimum('optimum_rtdetr_c2', 'RTDetr', 2, sigmoid_of, _RT_DETR, (640, 640), _LEVELS),
        _optimum('optimum_rtdetr_v2', 'RTDetrV2', 80, sigmoid_of, _RT_DETR, (640, 640), _LEVELS),
        _optimum('optimum_dfine', 'DFine', 80, sigmoid_of, _RT_DETR, (640, 640), _LEVELS),
        _plain('hf_detr_pixel_mask', 'Detr', 91, softmax_of, _DETR, (800, 800), _DETR_SIZE, mask=True),
        _plain('hf_conditional_detr', 'ConditionalDetr', 91, sigmoid_of, _DETR, (800, 800), _DETR_SIZE),
        _plain('hf_deformable_detr', 'DeformableDetr', 91, sigmoid_of, _DETR, (800, 800), _DEFORMABLE),
        _plain('hf_dab_detr', 'DabDetr', 91, sigmoid_of, _DETR, (800, 800), _DAB),
        _plain('hf_lw_detr', 'LwDetr', 91, sigmoid_of, _SQUARE, (640, 640), _LW, fixed=True),
        _plain(
            'hf_deimv2',
            'Deimv2',
            80,
            sigmoid_of,
            _RT_DETR,
            (640, 640),
            _LEVELS,
            fixed=True,
            note='ONNX Runtime 1.23 has no Cos for its float64 position embedding; 1.32 has',
        ),  # fmt: skip
    ]


_YOLOS = {
    'hidden_size': 96,
    'num_hidden_layers': 2,
    'num_attention_heads': 3,
    'intermediate_size': 192,
    'image_size': [512, 512],
    'num_detection_tokens': 100,
}
_DEFORMABLE = {**_DETR_SIZE, 'num_queries': 300, 'two_stage': False, 'disable_custom_kernels': True}
_DAB = {**_LAYERS, 'hidden_size': 64, 'encoder_attention_heads': 4, 'decoder_attention_heads': 4}
_SMALL_VIT = {'hidden_size': 64, 'num_attention_heads': 4, 'num_hidden_layers': 4, 'image_size': 640, 'patch_size': 16}
_LW = {'projector_scale_factors': [1.0], 'd_model': 64, 'decoder_ffn_dim': 128, 'decoder_layers': 2, 'num_queries': 300}


def softmax_of(logits: np.ndarray) -> np.ndarray:
    """Class scores of logits whose last column is "no object"."""
    return softmax(logits)[:, :-1]


def sigmoid_of(logits: np.ndarray) -> np.ndarray:
    """Class scores of logits without such a column."""
    return sigmoid(logits)


def _truth(
    classes: int,
    scores: Callable[[np.ndarray], np.ndarray],
    preprocess: Preprocess,
    input_wh: tuple[int, int],
    feeds: Callable[[tuple[int, int]], dict[str, np.ndarray]] | None = None,
) -> Truth:
    """What is true of logits and pred_boxes."""
    width = classes + (scores is softmax_of)

    def decode(outputs: Outputs, input_wh: tuple[int, int]) -> Decoded:
        boxes = by_size(from_center(outputs['pred_boxes'][0]), input_wh)
        return best(boxes, scores(outputs['logits'][0]))

    how = 'softmax, the last column is "no object"' if scores is softmax_of else 'sigmoid'
    columns = f'logits [N, queries, {width}]: {how}; pred_boxes [N, queries, 4]: cx, cy, w, h in 0..1'
    decoded: Decode = decode
    return Truth(columns, preprocess, classes, False, decoded, input_wh, feeds=feeds)


def _optimum(
    name: str,
    kind: str,
    classes: int,
    scores: Callable[[np.ndarray], np.ndarray],
    preprocess: Preprocess,
    input_wh: tuple[int, int],
    size: Mapping[str, Any],
) -> FamilyCase:
    """A checkpoint of random weights, exported by optimum."""

    def build(folder: Path) -> Path:
        try:
            from optimum.exporters.onnx import main_export
        except ImportError as error:
            raise MissingPackageError(f'optimum-onnx: {error}') from error
        work = folder / f'{name}.build'
        network(kind, classes, size).save_pretrained(work / 'torch')
        main_export(str(work / 'torch'), output=str(work / 'onnx'), task='object-detection')
        path = folder / f'{name}.onnx'
        shutil.move(work / 'onnx' / 'model.onnx', path)
        shutil.rmtree(work)
        return path

    return FamilyCase(name, 'optimum', build, _truth(classes, scores, preprocess, input_wh))


def _plain(
    name: str,
    kind: str,
    classes: int,
    scores: Callable[[np.ndarray], np.ndarray],
    preprocess: Preprocess,
    input_wh: tuple[int, int],
    size: Mapping[str, Any],
    mask: bool = False,
    fixed: bool = False,
    note: str = '',
) -> FamilyCase:
    """A network of random weights, exported by torch with optimum's names and axes."""

    def build(folder: Path) -> Path:
        path = folder / f'{name}.onnx'
        _export(network(kind, classes, size), path, input_wh, mask, fixed)
        return path

    feeds = (lambda wh: {'pixel_mask': np.ones((1, wh[1], wh[0]), np.int64)}) if mask else None
    return FamilyCase(
        name, 'transformers, torch.onnx', build, _truth(classes, scores, preprocess, input_wh, feeds), note
    )


def network(kind: str, classes: int, size: Mapping[str, Any]) -> Any:
    """A detector of transformers of this size, with random weights."""
    try:
        import torch
        import transformers

        config_type = getattr(transformers, f'{kind}Config')
        model_type = getattr(transformers, f'{kind}ForObjectDetection')
    except (ImportError, AttributeError) as error:
        raise MissingPackageError(f'transformers with {kind}: {error}') from error
    torch.manual_seed(0)
    settings = {'num_labels': classes, **size, **_backbone(kind)}
    model = model_type(config_type(**settings)).eval()
    for parameter_name, parameter in model.named_parameters():
        if 'class' in parameter_name and parameter.ndim == 1:
            parameter.data.normal_(-1, 2)
    return model


def _backbone(kind: str) -> dict[str, Any]:
    """A tiny backbone where the detector takes one."""
    import transformers

    if kind == 'Yolos':
        return {}
    if kind == 'LwDetr':
        vit = transformers.LwDetrViTConfig(**_SMALL_VIT, window_block_indices=[0, 2], out_indices=[2, 4])
        return {'backbone_config': vit}
    if kind in ('RTDetr', 'RTDetrV2'):
        return {'backbone_config': transformers.RTDetrResNetConfig(**_BACKBONE, out_features=_stages(2, 5))}
    if kind in ('DFine', 'Deimv2'):
        return {'backbone_config': _hgnet()}
    out = _stages(2, 5) if kind == 'DeformableDetr' else _stages(4, 5)
    return {
        'use_timm_backbone': False,
        'use_pretrained_backbone': False,
        'backbone': None,
        'backbone_config': transformers.ResNetConfig(**_BACKBONE, out_features=out),
    }


def _stages(first: int, last: int) -> list[str]:
    """Names of the stages from `first` to before `last`."""
    return [f'stage{index}' for index in range(first, last)]


def _hgnet() -> Any:
    """D-FINE's backbone, narrow."""
    import transformers

    return transformers.HGNetV2Config(
        stem_channels=[3, 8, 8],
        stage_in_channels=[8, 16, 32, 64],
        stage_mid_channels=[8, 8, 16, 32],
        stage_out_channels=[16, 32, 64, 128],
        stage_num_blocks=[1, 1, 1, 1],
        stage_numb_of_layers=[1, 1, 1, 1],
        stage_downsample=[False, True, True, True],
        stage_light_block=[False, False, True, True],
        stage_kernel_size=[3, 3, 5, 5],
        embedding_size=8,
        hidden_sizes=[16, 32, 64, 128],
        depths=[1, 1, 1, 1],
        out_features=_stages(2, 5),
    )


def _export(model: Any, path: Path, input_wh: tuple[int, int], mask: bool, fixed: bool) -> None:
    """torch.onnx.export with two named outputs of the dictionary that a detector returns."""
    import torch

    class Named(torch.nn.Module):
        """Returns the two tensors alone, in their order."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, pixel_values: Any, pixel_mask: Any = None) -> tuple[Any, Any]:
            """Logits and boxes."""
            given = {'pixel_mask': pixel_mask} if mask else {}
            found = self.model(pixel_values=pixel_values, **given)
            return found.logits, found.pred_boxes

    width, height = input_wh
    image = torch.rand(1, 3, height, width)
    inputs = (image, torch.ones(1, height, width, dtype=torch.int64)) if mask else (image,)
    axes: dict[str, dict[int, str]] = {} if fixed else {**_AXES, **_OUTPUT_AXES}
    if mask:
        axes['pixel_mask'] = {0: 'batch_size', 1: 'height', 2: 'width'}
    with torch.no_grad():
        torch.onnx.export(
            Named().eval(),
            inputs,
            str(path),
            input_names=['pixel_values', 'pixel_mask'][: len(inputs)],
            output_names=['logits', 'pred_boxes'],
            dynamic_axes=axes,
            opset_version=17,
            dynamo=False,
        )
