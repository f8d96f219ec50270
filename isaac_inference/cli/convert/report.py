# SPDX-License-Identifier: Apache-2.0
"""What a conversion cost: outputs and boxes compared with the original's, sizes, and a table of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from isaac_inference.evaluation.agreement.calibration import IOU, BoxAgreement
from isaac_inference.evaluation.agreement.tensor_error import TensorError, TensorErrorSum
from isaac_inference.models import ModelCard, read_card
from isaac_inference.models.onnx.reader import read_model_file
from isaac_inference.models.precision import inspect_precision
from isaac_inference.models.precision.session import Session
from isaac_inference.ros.recording.calibration_images import CalibrationImages
from isaac_inference.stages.image.calibration import CalibrationSet

_FINE_IOU = 0.98


@dataclass(frozen=True)
class Comparison:
    """A converted model against its original.

    Attributes:
        images: number of images compared.
        outputs: error of each output.
        agreement, fine_agreement: share of the boxes of both that match at IoU 0.75 and 0.98; None without real images.
        closeness: as `BoxAgreement.closeness`; None without real images.
    """

    images: int
    outputs: tuple[TensorError, ...]
    agreement: float | None
    fine_agreement: float | None
    closeness: float | None

    @property
    def not_finite(self) -> tuple[str, ...]:
        """Names of outputs with NaN or infinity."""
        return tuple(output.name for output in self.outputs if not output.finite)


def compare(
    card: ModelCard,
    made: Path,
    feeds: CalibrationSet,
    images: CalibrationImages,
    boxes_of: Callable[[ModelCard], BoxAgreement],
) -> Comparison:
    """Run both on all images with ONNX Runtime on the CPU, in the element types each expects.

    Args:
        card: the original's.
        made: the converted file.
        feeds: the original's inputs.
        images: the pictures they came from.
        boxes_of: compares the boxes.
    """
    original, converted, boxes = Session(card.path), Session(made), boxes_of(card)
    kinds = {item.name: item.dtype for item in read_model_file(made).inputs}
    names = original.output_names
    sums = [TensorErrorSum(name) for name in names]
    pairs, count = [], 0
    for feed in feeds:
        wanted = original.run(feed, names)
        got = converted.run({name: value.astype(kinds[name], copy=False) for name, value in feed.items()}, names)
        for total, first, second in zip(sums, wanted, got, strict=True):
            total.add(first, second)
        first_boxes, second_boxes = (boxes.boxes(dict(zip(names, values, strict=True))) for values in (wanted, got))
        pairs.append((first_boxes, second_boxes))
        count += 1
    errors = tuple(total.result() for total in sums)
    if not images.is_real:
        return Comparison(count, errors, None, None, None)
    return Comparison(
        count,
        errors,
        boxes.share(pairs, IOU),
        boxes.share(pairs, _FINE_IOU),
        boxes.mean_closeness(pairs),
    )


def print_report(
    screen: Console,
    card: ModelCard,
    out: Path,
    images: CalibrationImages,
    facts: Sequence[tuple[str, str]],
    comparison: Comparison,
) -> None:
    """The table of what was done and what it cost."""
    before, after = inspect_precision(card.path), inspect_precision(out)
    table = Table('', '', title=f'{card.path.name} → {out.name}')
    table.add_row('written', str(out))
    table.add_row('precision', after.describe())
    table.add_row(
        'size', f'{after.size / 2**20:.2f} MiB, was {before.size / 2**20:.2f} MiB ({after.size / before.size:.0%})'
    )
    for row in facts:
        table.add_row(*row)
    what = (
        f'{comparison.images} of {images.source}'
        if images.is_real
        else 'a grey image and noise; --calibration is better'
    )
    table.add_row('images', what)
    for error in comparison.outputs:
        table.add_row(f'output {error.name}', _error(error))
    if comparison.agreement is not None:
        table.add_row(
            'matching boxes',
            f'{comparison.agreement:.2%} at IoU {IOU}, {comparison.fine_agreement:.2%} at {_FINE_IOU}',
        )
        table.add_row('closeness of boxes', f'{comparison.closeness:.4f} (IoU x score agreement)')
    takes = read_card(out).image.tensor
    table.add_row('takes', takes.describe())
    screen.print(table)


def _error(error: TensorError) -> str:
    if error.max_abs is None or error.relative is None:
        return error.note or 'nothing to compare'
    return f'largest error {error.max_abs:.3g}, {error.relative:.2%} of its length'
