# SPDX-License-Identifier: Apache-2.0
"""What was done to a converted model, kept in its ONNX metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from isaac_inference.errors import ModelError

PRECISION_KEY = 'isaac_inference.precision'
PRECISIONS = ('fp16', 'int8', 'mixed', 'sparse')


@dataclass(frozen=True)
class PrecisionRecord:
    """How a file came from another one.

    Attributes:
        precision: 'fp16', 'int8', 'mixed' (int8 except for the layers that a sweep kept), or 'sparse'.
        source_sha256: digest of the file that was converted, as `ModelFile.sha256`.
        kept: nodes with weights that stayed as they were.
        kept_ops: operators that stayed float32.
        method: of the calibration; '' without one.
        percentile: of the method 'percentile', else None.
        calibration_images: how many; 0 without calibration.
        calibration_sha256: digest of the tensors made from them.
        sparsity: '2:4' when weights were pruned before, else ''.
        io_types: element type of float inputs and outputs.
    """

    precision: str
    source_sha256: str
    kept: tuple[str, ...] = ()
    kept_ops: tuple[str, ...] = ()
    method: str = ''
    percentile: float | None = None
    calibration_images: int = 0
    calibration_sha256: str = ''
    sparsity: str = ''
    io_types: str = 'float32'


def origin_sha256(earlier: PrecisionRecord | None, sha256: str) -> str:
    """Digest of the file that a conversion started from: the one before pruning, if it was pruned first."""
    return earlier.source_sha256 if earlier is not None and earlier.precision == 'sparse' else sha256


def write_record(model: Any, record: PrecisionRecord) -> None:
    """Put a record into the metadata of an `onnx.ModelProto`, in place of an earlier one."""
    content = json.dumps(asdict(record), sort_keys=True)
    for item in model.metadata_props:
        if item.key == PRECISION_KEY:
            item.value = content
            return
    model.metadata_props.add(key=PRECISION_KEY, value=content)


def read_record(metadata: Mapping[str, str], name: str) -> PrecisionRecord | None:
    """The record in a file's metadata; None without one.

    Raises:
        ModelError: it is not a valid record; `name` is the file's name in the message.
    """
    if PRECISION_KEY not in metadata:
        return None
    try:
        values = json.loads(metadata[PRECISION_KEY])
        for key in ('kept', 'kept_ops'):
            values[key] = tuple(values.get(key, ()))
        known = {key: values[key] for key in PrecisionRecord.__dataclass_fields__ if key in values}
        return PrecisionRecord(**known)
    except (ValueError, TypeError, AttributeError) as error:
        raise ModelError(
            f'{name}: metadata {PRECISION_KEY!r}: got {metadata[PRECISION_KEY][:60]!r}, expected what '
            '`isaac-inference convert` writes; convert the model again'
        ) from error
