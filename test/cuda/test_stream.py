# SPDX-License-Identifier: Apache-2.0
"""Streams: priorities as the device has them, and host arrays that can't be copied."""

from __future__ import annotations

import numpy as np
import pytest

from isaac_inference.errors import DeviceError


def test_priorities_are_those_of_the_device(gpu):
    assert [gpu.stream(name).priority for name in ('low', 'normal', 'high')] == ['low', 'normal', 'high']
    assert gpu.stream('high').level == -5
    with pytest.raises(DeviceError, match="'urgent': expected one of low, normal, elevated, high"):
        gpu.stream('urgent')


@pytest.mark.parametrize('driver_library', [{'set_priority': 801}], indirect=True)
def test_a_driver_that_cannot_set_them_is_told_of(gpu, caplog):
    assert gpu.stream('high').priority == 'normal'
    assert 'CUDA_ERROR_NAMED (801): what it means' in caplog.text


def test_arrays_that_cannot_be_copied(gpu):
    stream = gpu.stream()
    with pytest.raises(DeviceError, match='not C-contiguous'):
        stream.upload(4096, np.zeros((4, 4))[:, ::2])
    with pytest.raises(DeviceError, match='17 bytes do not fit into an array of 16'):
        stream.download(np.zeros(4, np.float32), 4096, 17)
    stream.upload(4096, np.zeros((0, 3)))
    assert gpu.counters.copies == 0


def test_waiting_is_counted(gpu):
    stream, event = gpu.stream(), gpu.event()
    stream.record(event)
    stream.wait(event)
    assert gpu.counters.synchronizations == 0
    stream.synchronize()
    event.synchronize()
    assert gpu.counters.synchronizations == 2


def test_close_is_once(gpu):
    stream = gpu.stream()
    stream.close()
    stream.close()
