# SPDX-License-Identifier: Apache-2.0
"""Whether the boxes stay: TensorRT's FP32 and FP16 engines and the GPU stages, against ONNX Runtime FP32 on the CPU.

All photos go from their bytes to final boxes, once through the CPU's stages and ONNX Runtime, once through the whole
chain on the GPU. Boxes are matched one to one.
"""

from __future__ import annotations

import contextlib

import cv2
import numpy as np

from benchmark.support.common import Figure, Options, Result, Table
from benchmark.support.gpu import NANO, build_note, cards, need_gpu, settings
from isaac_inference.evaluation.agreement.boxes import match_boxes
from isaac_inference.models import ModelCard
from isaac_inference.ops.boxes.detections import Detections
from isaac_inference.ops.image.raw_image import RawImage
from isaac_inference.stages import Postprocessor, Preprocessor

TITLE = 'Boxes of TensorRT and ONNX Runtime'
IOU = 0.98


def run(options: Options) -> Result:
    """FP32 and FP16 of YOLOX-nano."""
    need_gpu()
    result = Result('gpu_precision', TITLE, notes=[build_note(options)])
    card = cards(options)[NANO]
    pictures = [cv2.imread(str(path)) for path in options.image_paths()]
    reference = _on_cpu(card, pictures)
    table = Table(
        f'{len(pictures)} photos against ONNX Runtime FP32',
        [
            'engine',
            'boxes of the reference',
            f'matched at IoU >= {IOU}',
            'lowest IoU',
            'largest score difference',
            'extra',
        ],
    )
    for name, precision in (('FP32', 'model'), ('FP16', 'fp16')):
        found = _on_gpu(options, card, pictures, precision)
        matches = [match_boxes(one, other, IOU) for one, other in zip(reference, found, strict=True)]
        total, paired = sum(map(len, reference)), sum(len(match.pairs) for match in matches)
        ious = np.concatenate([match.ious for match in matches])
        scores = np.concatenate([match.score_differences for match in matches])
        extra = sum(map(len, found)) - paired
        table.add(name, total, paired, f'{ious.min():.4f}', f'{np.abs(scores).max():.4f}', extra)
        result.data[name] = {
            'boxes': total, 'matched': paired, 'extra': extra,
            'least_iou': float(ious.min()), 'score_difference': float(np.abs(scores).max()),
        }  # fmt: skip
        result.figures.append(
            Figure(
                f'{name} on TensorRT against FP32 on ONNX Runtime, {len(pictures)} photos',
                f'every box matched at IoU >= {IOU}',
                f'{paired} of {total}, {extra} extra, least IoU {ious.min():.4f}',
                paired == total and extra == 0,
            )
        )
    result.tables.append(table)
    return result


def _on_cpu(card: ModelCard, pictures: list[np.ndarray]) -> list[Detections]:
    from isaac_inference.engines import create_engine

    preprocess, postprocess = Preprocessor(card), Postprocessor(card)
    found = []
    with create_engine(card, 'onnxruntime', providers=('cpu',)) as engine:
        for picture in pictures:
            tensors, letterbox = preprocess(picture)
            found.append(postprocess(engine.infer(tensors), letterbox))
    return found


def _on_gpu(options: Options, card: ModelCard, pictures: list[np.ndarray], precision: str) -> list[Detections]:
    from isaac_inference.cuda.device import gpu
    from isaac_inference.engines import create_engine
    from isaac_inference.stages.chain_gpu import GpuChain

    chosen = settings(options, precision=precision)
    with (
        create_engine(card, 'tensorrt', settings={'tensorrt': chosen}) as engine,
        contextlib.closing(GpuChain(card, gpu(), engine)) as chain,
    ):
        return [chain(RawImage.from_array(picture, 'bgr8')) for picture in pictures]
