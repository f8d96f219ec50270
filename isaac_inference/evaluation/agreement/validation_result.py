# SPDX-License-Identifier: Apache-2.0
"""What the comparison of a model with its reference says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from isaac_inference.errors import ConfigError
from isaac_inference.evaluation.agreement.boxes import ImageAgreement, agreement
from isaac_inference.evaluation.agreement.tensor_error import TensorError
from isaac_inference.evaluation.timing_stats import Ratio, TimingStats

IOUS = (0.5, 0.75, 0.9, 0.95, 0.98, 0.99)  # agreement is reported at each of them


@dataclass(frozen=True)
class ValidationSettings:
    """How two models are compared.

    Attributes:
        score_threshold: (0, 1], minimum score of a box that counts.
        iou: (0, 1], minimum IoU at which two boxes match.
        score_margin: a partner may have a score lower than `score_threshold` by this.
        max_images: use only this many images, the first ones; 0 for all.
        runs: timings of each model; 0 for none.
        nms_iou: the pipeline's NMS threshold.

    Raises:
        ConfigError: a value out of its range.
    """

    score_threshold: float = 0.25
    iou: float = 0.9
    score_margin: float = 0.05
    max_images: int = 0
    runs: int = 100
    nms_iou: float = 0.45

    def __post_init__(self) -> None:
        for name in ('score_threshold', 'iou', 'nms_iou'):
            if not 0.0 < getattr(self, name) <= 1.0:
                raise ConfigError(f'{name}: got {getattr(self, name)}, expected a number above 0 and up to 1')
        if not 0.0 <= self.score_margin < 1.0:
            raise ConfigError(f'score_margin: got {self.score_margin}, expected a number from 0 to below 1')
        for name in ('max_images', 'runs'):
            if getattr(self, name) < 0:
                raise ConfigError(f'{name}: got {getattr(self, name)}, expected 0 or more')

    @property
    def lowest_score(self) -> float:
        """Minimum score of the boxes that are compared."""
        return max(self.score_threshold - self.score_margin, 1e-3)


@dataclass(frozen=True)
class AveragePrecision:
    """AP of both models on the images that have labels, as fractions; COCO's AP is `ap50_95`.

    Attributes:
        images: number of images with labels.
        unlabelled: number of images without, which don't count.
        reference, candidate: AP50:95, None when no label names a box.
        reference50, candidate50: AP50.
    """

    images: int
    unlabelled: int
    reference: float | None
    candidate: float | None
    reference50: float | None
    candidate50: float | None

    @property
    def delta(self) -> float | None:
        """Candidate minus reference, AP50:95 in points (0 to 100)."""
        if self.reference is None or self.candidate is None:
            return None
        return 100.0 * (self.candidate - self.reference)


@dataclass(frozen=True, eq=False)
class ValidationResult:
    """A candidate against its reference.

    Attributes:
        candidate, reference: names of the models with their backends.
        settings: how they were compared.
        images: what both found in each image.
        tensors: the candidate's outputs.
        unreadable: names of images that could not be read.
        undecoded: image -> why the candidate's outputs gave no boxes there.
        precision: None without labels.
        times: 'reference' and 'candidate' -> engine times in ms, measured alternately; empty if not timed.
        speed: reference's p50 over the candidate's.
        bytes: 'reference' and 'candidate' -> size of the model file, of a built engine that of its plan.
        facts: versions and devices, for people.
    """

    candidate: str
    reference: str
    settings: ValidationSettings
    images: tuple[ImageAgreement, ...]
    tensors: tuple[TensorError, ...]
    unreadable: tuple[str, ...] = ()
    undecoded: Mapping[str, str] = field(default_factory=dict)
    precision: AveragePrecision | None = None
    times: Mapping[str, TimingStats] = field(default_factory=dict)
    speed: Ratio | None = None
    bytes: Mapping[str, int] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def agreement(self) -> float:
        """Share of the boxes of both that match, [0, 1]."""
        return agreement(self.images, self.settings.iou)

    @property
    def finite(self) -> bool:
        """No output of the candidate holds NaN or infinity."""
        return all(tensor.finite for tensor in self.tensors)

    @property
    def max_abs_error(self) -> float | None:
        """The largest of all outputs; None when none could be compared."""
        return max((tensor.max_abs for tensor in self.tensors if tensor.max_abs is not None), default=None)

    @property
    def size_ratio(self) -> float | None:
        """Candidate's bytes over the reference's."""
        sizes = self.bytes
        return sizes['candidate'] / sizes['reference'] if len(sizes) == 2 and sizes['reference'] else None

    @property
    def not_finite(self) -> tuple[str, ...]:
        """Names of the candidate's outputs that hold NaN or infinity."""
        return tuple(tensor.name for tensor in self.tensors if not tensor.finite)

    def failure(self, min_agreement: float | None = None) -> str:
        """Why the candidate must not be used, with the numbers; '' when it may.

        Args:
            min_agreement: minimum agreement; None requires only finite outputs.
        """
        bad = [tensor for tensor in self.tensors if not tensor.finite]
        if bad:
            counts = '; '.join(
                f'output {tensor.name}: {tensor.nans} NaN and {tensor.infinities} infinite of {tensor.elements} numbers'
                for tensor in bad
            )
            return f'{self.candidate}: not finite: {counts}; convert with float32 kept for what overflows'
        if min_agreement is None or self.agreement >= min_agreement:
            return ''
        boxes = sum(image.reference for image in self.images), sum(image.candidate for image in self.images)
        error = '' if self.max_abs_error is None else f', largest output error {self.max_abs_error:.4g}'
        return (
            f'{self.candidate}: agreement {self.agreement:.4f} with {self.reference} is below {min_agreement:g} '
            f'({boxes[1]} boxes against {boxes[0]} in {len(self.images)} images, IoU {self.settings.iou:g}, score '
            f'{self.settings.score_threshold:g}{error}); keep more of the model in a higher precision'
        )

    def summary(self) -> dict[str, Any]:
        """For JSON: the headline figures first."""
        return {
            'agreement': self.agreement,
            'max_abs_error': self.max_abs_error,
            'ap_delta': None if self.precision is None else self.precision.delta,
            'speedup': None if self.speed is None else self.speed.value,
            'size_ratio': self.size_ratio,
            'finite': self.finite,
            'model': self.candidate,
            'against': self.reference,
            'settings': asdict(self.settings),
            'boxes': self._boxes(),
            'average_precision': None if self.precision is None else asdict(self.precision),
            'times_ms': {name: stats.to_dict() for name, stats in self.times.items()},
            'speedup_of_blocks': None if self.speed is None else self.speed.to_dict(),
            'bytes': dict(self.bytes),
            'outputs': [tensor.to_dict() for tensor in self.tensors],
            'images': [_image(image, self.settings.iou) for image in self.images],
            'unreadable_images': list(self.unreadable),
            'undecoded_images': dict(self.undecoded),
            'facts': dict(self.facts),
        }

    def _boxes(self) -> dict[str, Any]:
        """All images together."""
        ious, differences = self.pooled('ious'), self.pooled('score_differences')
        keypoints = self.pooled('keypoint_px')
        return {
            'reference': sum(image.reference for image in self.images),
            'candidate': sum(image.candidate for image in self.images),
            'borderline_pairs': sum(image.borderline for image in self.images),
            'agreement_strict': agreement(self.images, self.settings.iou, strict=True),
            'agreement_at_iou': {f'{iou:g}': agreement(self.images, iou) for iou in IOUS},
            'iou_mean': float(ious.mean()) if len(ious) else None,
            'iou_least': float(ious.min()) if len(ious) else None,
            'score_difference_mean': float(np.abs(differences).mean()) if len(differences) else None,
            'score_difference_largest': float(np.abs(differences).max()) if len(differences) else None,
            'keypoint_px_mean': float(keypoints.mean()) if len(keypoints) else None,
            'keypoint_px_largest': float(keypoints.max()) if len(keypoints) else None,
        }

    def pooled(self, name: str) -> np.ndarray:
        """One field of `ImageAgreement` over all images."""
        return np.concatenate([np.empty(0), *(getattr(image, name) for image in self.images)])


def _image(image: ImageAgreement, iou: float) -> dict[str, Any]:
    return {
        'name': image.name,
        'reference': image.reference,
        'candidate': image.candidate,
        'agreement': agreement([image], iou),
        'iou_least': float(image.ious.min()) if len(image.ious) else None,
        'score_difference_largest': float(np.abs(image.score_differences).max()) if len(image.ious) else None,
    }
