# SPDX-License-Identifier: Apache-2.0
"""The record of a conversion in the metadata."""

from __future__ import annotations

import onnx
import pytest

from isaac_inference.errors import ModelError
from isaac_inference.models.precision.record import PRECISION_KEY, PrecisionRecord, read_record, write_record


def test_what_is_written_is_read_back_once():
    model, record = onnx.ModelProto(), PrecisionRecord('int8', 'a' * 64, kept=('x', 'y'), method='minmax')
    write_record(model, PrecisionRecord('fp16', 'b' * 64))
    write_record(model, record)
    (entry,) = model.metadata_props
    assert read_record({entry.key: entry.value}, 'a.onnx') == record
    assert read_record({}, 'a.onnx') is None


def test_a_field_of_a_later_release_is_left_alone():
    content = '{"precision": "fp16", "source_sha256": "c", "colour": "red"}'
    assert read_record({PRECISION_KEY: content}, 'a.onnx').precision == 'fp16'


@pytest.mark.parametrize('content', ['', '[]', '{}', '{"precision": "fp16"', '{"precision": 1, "kept": 3}'])
def test_what_is_no_record_is_refused(content):
    with pytest.raises(ModelError, match=r'a\.onnx: metadata'):
        read_record({PRECISION_KEY: content}, 'a.onnx')
