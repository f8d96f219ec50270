# SPDX-License-Identifier: Apache-2.0
"""One row for each cell of a grid: YOLOX raw or decoded, YOLOv6, YOLOv8 with its axes swapped, NanoDet, DeepStream."""

from __future__ import annotations

from dataclasses import dataclass

from isaac_inference.models.card.tensor_spec import TensorSpec
from isaac_inference.models.recognition.layouts import values
from isaac_inference.models.recognition.layouts.candidate import Candidate, Evidence
from isaac_inference.models.recognition.layouts.grid import STRIDES_P6
from isaac_inference.models.recognition.layouts.tables import BEST_FIRST, classes_by_width, units_of

NANODET_BOX_COLUMNS = 32
"""Four box sides, each a distribution over 8 distances."""

_NANODET_BINS = (32, 44, 64, 68)  # four sides, 8 to 17 distances each
_COCO = 80


@dataclass(frozen=True)
class CellRows:
    """An output [N, cells, columns], and the ways to read it.

    Attributes:
        evidence: what is known about the model.
        spec: the output.
        columns: of it.
        strides: px between two cells of each level.
    """

    evidence: Evidence
    spec: TensorSpec
    columns: int
    strides: tuple[int, ...]

    def candidates(self) -> list[Candidate]:
        """The decoders that fit: by what the graph does, else by columns, labels and the numbers of a run."""
        return picked_rows(self.evidence, self.spec, self.columns) or self._by_graph() or self._by_columns()

    def _by_graph(self) -> list[Candidate]:
        """The decoder that the last layers speak for; [] where they are not known, or speak for none."""
        tail = self.evidence.tail(self.spec)
        widths, columns, bins = set(tail.widths), self.columns, self._bins
        if not widths:
            return []
        is_distribution = columns > NANODET_BOX_COLUMNS and not tail.is_computed
        if is_distribution and (columns in widths or {columns - bins, bins} <= widths):
            return [self._nanodet()]
        if columns > 5 and {1, 4, columns - 5} <= widths:
            return [self._decoded() if tail.is_computed else self._raw()]
        if columns > 4 and columns - 4 in widths and columns - 5 not in widths:
            return [self._swapped()]
        if columns > 5 and columns - 5 in widths and tail.is_computed:
            return [self._with_ones()]
        return []

    def _by_columns(self) -> list[Candidate]:
        """The decoders that the number of columns allows."""
        labels, columns = self.evidence.label_count, self.columns
        if columns == 4 + (labels or _COCO) and columns != 5 + (labels or -1):
            return [self._swapped()]
        found = []
        if self.strides == STRIDES_P6 and columns > NANODET_BOX_COLUMNS:
            found.append(self._nanodet())
        if columns > 5 and (not found or columns == 5 + _COCO):
            numbers = self.evidence.numbers(self.spec, columns)
            in_px = numbers is not None and values.are_in_px(numbers[:, :2])
            is_decoded = in_px or self.evidence.tail(self.spec).is_computed
            found.append(self._decoded() if is_decoded else self._raw())
        return found or ([self._swapped()] if columns == 5 else [])

    @property
    def _bins(self) -> int:
        """Columns with the distributions of the four sides: what the known classes leave, else NanoDet's own."""
        labels = self.evidence.label_count
        if labels is not None and self.columns > labels and (self.columns - labels) % 4 == 0:
            return self.columns - labels
        return next((bins for bins in _NANODET_BINS if self.columns - bins == _COCO), NANODET_BOX_COLUMNS)

    def _why(self, columns: str) -> str:
        levels = ', '.join(map(str, self.strides))
        return f'shape of {self.spec.name}: one row per cell of strides {levels}, {columns}'

    def _nanodet(self) -> Candidate:
        classes = self.columns - self._bins
        options = {'strides': self.strides, 'cell_offset': 0.0 if len(self.strides) > 3 else 0.5}
        why = self._why(f'{classes} + {self._bins} columns')
        return Candidate('nanodet', {'predictions': self.spec}, why, options, classes, 'nanodet')

    def _raw(self) -> Candidate:
        classes, options = self.columns - 5, {'strides': self.strides}
        why = self._why(f'5 + {classes} columns')
        return Candidate('yolox', {'predictions': self.spec}, why, options, classes, 'yolox')

    def _decoded(self) -> Candidate:
        classes = self.columns - 5
        why = self._why(f'5 + {classes} columns in px: decoded in the graph')
        others = ('yolox_legacy', 'ultralytics')
        return Candidate('yolov5', {'predictions': self.spec}, why, {}, classes, 'yolox', others)

    def _with_ones(self) -> Candidate:
        classes = self.columns - 5
        why = self._why(f'5 + {classes} columns in px, as YOLOv6 has')
        return Candidate('yolov5', {'predictions': self.spec}, why, {}, classes, 'ultralytics', ('yolox',))

    def _swapped(self) -> Candidate:
        classes, options = self.columns - 4, units_of(self.evidence, self.spec, channels_first=False)
        why = self._why(f'4 + {classes} columns')
        return Candidate('yolov8', {'predictions': self.spec}, why, options, classes, 'ultralytics')


def picked_rows(evidence: Evidence, spec: TensorSpec, columns: int) -> list[Candidate]:
    """One row per cell with the best class picked in the graph, before NMS, as DeepStream-Yolo exports it; else []."""
    if columns != len(BEST_FIRST) or evidence.exporter.decoders:
        return []
    tail = evidence.tail(spec)
    if tail.is_known and not tail.picks and not tail.ops & {'ReduceMax', 'Max'}:
        return []
    numbers = evidence.numbers(spec, columns)
    if not tail.is_known and (numbers is None or not values.is_class_column(numbers[:, 5]) or not numbers[:, 5].any()):
        return []
    found = None if numbers is None else values.columns_of(numbers)
    why = f'{spec.name}: one row per grid cell, with the best class picked in the graph'
    options = {'columns': found or BEST_FIRST, 'nms': True}
    count = classes_by_width(tail)
    return [Candidate('end_to_end', {'predictions': spec}, why, options, count, 'ultralytics')]
