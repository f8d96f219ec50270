# SPDX-License-Identifier: Apache-2.0
"""Cards of segmentation models, made by hand, for tests: of any model file, and of the real ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from isaac_inference.models import ImageInput, ModelCard, PreprocessSpec
from isaac_inference.models.card.tasks import ClassForm, SemanticSegmentationSpec
from isaac_inference.models.onnx.reader import read_model_file
from isaac_inference.ops.image.options import TensorLayout
from support.paths import DATA

VOC = [
    'background',
    'aeroplane',
    'bicycle',
    'bird',
    'boat',
    'bottle',
    'bus',
    'car',
    'cat',
    'chair',
    'cow',
    'diningtable',
    'dog',
    'horse',
    'motorbike',
    'person',
    'pottedplant',
    'sheep',
    'sofa',
    'train',
    'tvmonitor',
]


def segmentation_card(
    path: Path,
    labels: Sequence[str],
    *,
    form: ClassForm = ClassForm.SCORES,
    layout: str = 'NCHW',
    output_layout: str = '',
    activation: str = 'softmax',
    **preprocess: Any,
) -> ModelCard:
    """The card of a model with one image input, its first output being that of the classes.

    Args:
        layout: of the input, and of the output unless `output_layout` says otherwise.
        preprocess: of `PreprocessSpec`.
    """
    file = read_model_file(path)
    tensor = file.inputs[0]
    height, width = tensor.shape[-2:] if layout == 'NCHW' else tensor.shape[-3:-1]
    image = ImageInput(tensor, TensorLayout(layout), (width or 64, height or 64), PreprocessSpec(**preprocess))
    spec = SemanticSegmentationSpec(
        {form.value: file.outputs[0].name},
        form=form,
        layout=TensorLayout(output_layout or layout),
        activation=activation,
    )
    return ModelCard(path.stem, path, file.sha256, (image,), file.outputs, spec, tuple(labels))


def real_cards() -> dict[str, ModelCard]:
    """The real models of the folder beside the repository, by a short name; those that are there."""
    rows = {
        'voc': ('deeplabv3_mnv2_voc_257', VOC, {'scale': 1 / 127.5, 'mean': (1, 1, 1)}),
        'road': (
            'road_segmentation_adas_0001',
            ['background', 'road', 'curb', 'mark'],
            {'color': 'bgr', 'scale': 1.0, 'activation': 'none'},
        ),
        'selfie': ('selfie_segmentation_256', ['person'], {'activation': 'none'}),
    }
    return {
        name: segmentation_card(path, labels, layout='NHWC', **more)
        for name, (stem, labels, more) in rows.items()
        if (path := DATA / 'models' / f'{stem}.onnx').exists()
    }
