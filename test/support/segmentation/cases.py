# SPDX-License-Identifier: Apache-2.0
"""Outputs of segmentation networks, to compare the GPU's classes with the CPU's."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from isaac_inference.models import ImageInput, ModelCard, TensorSpec
from isaac_inference.models.card.tasks import ClassForm, SemanticSegmentationSpec
from isaac_inference.ops.image.options import TensorLayout
from isaac_inference.stages.segmentation.segmenter import Segmentation

NAME = 'out'
WH = (32, 24)  # of the network's input
LABELS = ('floor', 'wall', 'cup', 'mug', 'box')


def segmentation_case(
    labels=LABELS, layout='NCHW', activation='softmax', dtype='float32', form=ClassForm.SCORES
) -> ModelCard:
    """A card with one output, 'out', of any size; one label is a single class against the rest."""
    channels = 1 if len(labels) == 1 else len(labels)
    shape = (None, channels, None, None) if layout == 'NCHW' else (None, None, None, channels)
    spec = SemanticSegmentationSpec({form.value: 'out'}, form=form, layout=TensorLayout(layout), activation=activation)
    image = ImageInput(TensorSpec('image', 'float32', (1, 3, WH[1], WH[0])), TensorLayout.NCHW, WH)
    return ModelCard('tiny', Path('/tiny.onnx'), '0' * 64, (image,), (TensorSpec('out', dtype, shape),), spec, labels)


def scores_of(one: ModelCard, batch: int = 1, stride: int = 1, seed: int = 1) -> np.ndarray:
    """Smooth scores, so that there are areas of one class, with ties here and there."""
    channels = 1 if len(one.labels) == 1 else len(one.labels)
    rng = np.random.default_rng(seed)
    coarse = (
        rng.normal(0, 2, (batch, channels, WH[1] // 4, WH[0] // 4)).repeat(4 // stride, axis=2).repeat(4 // stride, 3)
    )
    scores = coarse + rng.normal(0, 0.3, coarse.shape)
    if one.spec.activation == 'none':
        scores = np.clip(0.5 + scores / 8, 0, 1)
    if one.spec.layout is TensorLayout.NHWC:
        scores = scores.transpose(0, 2, 3, 1)
    return np.ascontiguousarray(scores.round(1), one.outputs[0].dtype)


def assert_same(got: Segmentation, expected: Segmentation) -> None:
    """The same mask; confidence up to the last bit of an exponential."""
    assert got.mask.dtype == expected.mask.dtype
    np.testing.assert_array_equal(got.mask, expected.mask)
    assert (got.confidence is None) == (expected.confidence is None)
    if got.confidence is not None and expected.confidence is not None:
        np.testing.assert_allclose(got.confidence.astype(int), expected.confidence, atol=1)  # of an exponential
    assert (got.only_class, got.mark) == (expected.only_class, expected.mark)
