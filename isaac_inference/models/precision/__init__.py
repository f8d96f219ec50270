# SPDX-License-Identifier: Apache-2.0
"""Precision in the graph: float16 by casting, int8 by Q/DQ, a mix chosen by a sweep, 2:4 sparse weights.

The converted file runs on any backend, so its accuracy can be checked on a CPU before an engine is built from it.

to_float16(source, target, feeds=feeds)
quantize(source, target, feeds)
inspect_precision(target).describe()
"""

from __future__ import annotations

from isaac_inference.models.precision.float_regions import DEFAULT_KEEP
from isaac_inference.models.precision.half.float16 import Float16Report, to_float16
from isaac_inference.models.precision.inspect import FilePrecision, inspect_precision
from isaac_inference.models.precision.int8.calibration_cache import CalibrationCache
from isaac_inference.models.precision.int8.quantize import CalibrationOptions, QuantizeReport, calibrate, quantize
from isaac_inference.models.precision.int8.sensitivity import SweepOptions, SweepReport, quantize_mixed
from isaac_inference.models.precision.record import PRECISION_KEY, PrecisionRecord, read_record
from isaac_inference.models.precision.sparsity import SparsityReport, prune_2_4

__all__ = [
    'DEFAULT_KEEP',
    'PRECISION_KEY',
    'CalibrationCache',
    'CalibrationOptions',
    'FilePrecision',
    'Float16Report',
    'PrecisionRecord',
    'QuantizeReport',
    'SparsityReport',
    'SweepOptions',
    'SweepReport',
    'calibrate',
    'inspect_precision',
    'prune_2_4',
    'quantize',
    'quantize_mixed',
    'read_record',
    'to_float16',
]
